/**
 * Random dialogues with real packets, the same for the same seed: two phones that are plain, speak SDES or DTLS, make offers
 * to one another that change keys, tags, suites, certificates, roles, credentials of ICE or the whole security, hold, are
 * answered, answered provisionally, answered anew, refused. After each step RTP and RTCP reach both. The daemon is killed in
 * between and goes on from Redis. CONTRIBUTING.md has what chooses others.
 */
import type { CertificateFiles } from '../support/certificates.js';
import { pickOf, randomSource, type Below } from '../support/random.js';
import {
  SecuredPhone,
  meet,
  securityIn,
  type Agreed,
  type Security,
  type Wishes,
} from '../support/secured-phone.js';
import { readKeyLines, type KeyLine } from '../support/srtp-codec.js';
import { StoredDaemon, type Words } from '../support/stored-daemon.js';

const firstSeed = Number(process.env['SECURED_DIALOGUES_SEED'] ?? 1);
const count = Number(process.env['SECURED_DIALOGUES'] ?? 3);
const steps = Number(process.env['SECURED_DIALOGUES_STEPS'] ?? 6);

const securities: readonly Security[] = ['plain', 'SDES', 'DTLS'];

/** How an offer ends. */
type End = '200' | '183 and 200' | '183 and another 200' | 'refused' | '183 and refused';
const ends: readonly End[] = [
  '200',
  '200',
  '183 and 200',
  '183 and another 200',
  'refused',
  '183 and refused',
];

interface Settled {
  readonly offerer: Agreed;
  readonly answerer: Agreed;
}

class Dialogue {
  readonly story: string[] = [];
  readonly #callId: string;
  #phones: readonly [SecuredPhone, SecuredPhone] | null = null;
  /** What was refused after a 183 had RTCP on other ports: it goes there (docs/reference/conformance.md). */
  #hasOtherRtcp = false;

  constructor(
    seed: number,
    private readonly random: Below,
    private readonly ask: (words: Words) => Promise<string>,
    private readonly kill: () => Promise<void>,
  ) {
    this.#callId = `secured-${seed}`;
  }

  #chance(of: number): boolean {
    return this.random(of) === 0;
  }

  async begin(files: readonly CertificateFiles[]): Promise<void> {
    const phone = (name: string): Promise<SecuredPhone> =>
      SecuredPhone.open(name, this.random, files, pickOf(securities, this.random));
    this.#phones = [await phone('a'), await phone('b')];
    for (const { wishes } of this.#phones)
      wishes.ice = wishes.security === 'DTLS' && this.#chance(2);
  }

  close(): void {
    for (const phone of this.#phones ?? []) phone.close();
  }

  get phones(): readonly [SecuredPhone, SecuredPhone] {
    if (this.#phones === null) throw new Error('no phones');
    return this.#phones;
  }

  async #meet(what: string): Promise<void> {
    if (!this.phones[0].agreed.isHeld) await meet(this.phones, what, !this.#hasOtherRtcp);
  }

  /** Not while it is held: of a handshake that has just ended on one side nothing shows whether the relay has its keys. */
  async #killed(when: string): Promise<void> {
    if (this.phones[0].agreed.isHeld) return;
    this.story.push(`  killed ${when}`);
    await this.kill();
    await this.#meet(`killed ${when}`);
  }

  /** Of the side itself. */
  #changeWishes(phone: SecuredPhone, step: number, isOfferer: boolean): void {
    const { wishes } = phone;
    if (this.#chance(isOfferer ? 5 : 6)) {
      wishes.security = pickOf(securities, this.random);
      wishes.mux = wishes.security === 'DTLS';
      wishes.ice = wishes.mux && this.#chance(2);
    }
    if (!isOfferer) return;
    if (wishes.security === 'SDES') {
      if (this.#chance(3)) wishes.lines = phone.someLines();
      if (this.#chance(6))
        wishes.lines = wishes.lines.map((line) => ({ ...line, tag: line.tag + 2 }));
    }
    if (wishes.security === 'DTLS' && this.#chance(5))
      wishes.certificate = (wishes.certificate + 1) % 3;
    if (wishes.ice && this.#chance(4)) {
      wishes.ufrag = `${phone.name}${step}xyz`;
      wishes.password = `${wishes.password.slice(0, 22)}${10 + step}`;
    }
  }

  #wordsFor({ security, ice }: Wishes): Words {
    if (security === 'plain')
      return { 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'] };
    if (security === 'DTLS')
      return {
        ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVP', 'rtcp-mux': ['offer', 'require'] },
        ...{ ICE: ice ? 'force' : 'remove', flags: ['SDES-off'] },
      };
    return {
      ...{ 'transport-protocol': 'RTP/SAVP', ICE: 'remove', 'rtcp-mux': ['demux'], DTLS: 'off' },
      flags: this.#chance(4) ? ['recrypt'] : [],
    };
  }

  async step(step: number): Promise<void> {
    const isFirst = !this.phones[0].hasCall;
    const [a, b] = this.phones;
    const [offerer, answerer] = isFirst || this.#chance(2) ? [a, b] : [b, a];
    const before = [offerer, answerer].map(({ wishes }) => ({ ...wishes }));
    const goBack = (): void => {
      [offerer, answerer].forEach(({ wishes }, at) => Object.assign(wishes, before[at]));
    };
    if (!isFirst) {
      this.#changeWishes(offerer, step, true);
      this.#changeWishes(answerer, step, false);
    }
    const isHeld = !isFirst && this.#chance(6);
    const end = isFirst
      ? pickOf(['200', '183 and 200'] as const, this.random)
      : pickOf(ends, this.random);
    const setup = pickOf(
      isFirst ? ['actpass', 'active', 'passive'] : ['actpass', 'actpass', 'active', 'passive'],
      this.random,
    );
    const [from, to] = [offerer, answerer].map(
      ({ wishes: { security, ice } }) => `${security}${ice ? ' with ICE' : ''}`,
    );
    this.story.push(
      `${step}: ${offerer.name}, ${from}, to ${to}, ${setup}${isHeld ? ', held' : ''}: ${end}`,
    );
    const tags = { 'from-tag': offerer.name, ...(isFirst ? {} : { 'to-tag': answerer.name }) };
    const told = await this.ask({
      ...{ command: 'offer', 'call-id': this.#callId, ...tags },
      ...this.#wordsFor(answerer.wishes),
      sdp: offerer.body(setup, isHeld),
    });
    if (!isFirst) {
      await this.#meet('offered');
      if (this.#chance(5)) await this.#killed('once offered');
    }
    if (end === 'refused') {
      goBack();
      await this.#meet(end);
    } else await this.#answers(end, { offerer, answerer, told, isHeld, before, goBack });
    await this.#moves();
    if (this.#chance(3)) await this.#killed('afterwards');
  }

  async #answers(
    end: End,
    {
      before,
      goBack,
      ...offered
    }: Parameters<Dialogue['answer']>[0] & { before: readonly Wishes[]; goBack: () => void },
  ): Promise<void> {
    const { offerer, answerer, isHeld } = offered;
    if (end === '183 and another 200') await this.answer(offered);
    const { offerer: ofOfferer, answerer: ofAnswerer } = await this.answer(offered);
    // Where ICE begins or ends there is no way back (docs/reference/conformance.md).
    const canGoBack = [offerer, answerer].every(
      ({ wishes: { ice } }, at) => ice === before[at]?.ice,
    );
    if (end === '183 and refused' && canGoBack && !isHeld) {
      for (const phone of [offerer, answerer])
        phone.mayHearClear = phone.wishes.security === 'plain';
      this.#hasOtherRtcp ||= [offerer, answerer].some(
        ({ wishes: { mux } }, at) => mux !== before[at]?.mux,
      );
      goBack();
      if (this.#chance(2)) await this.#killed('after the 183');
      await this.#meet(end);
      return;
    }
    this.#hasOtherRtcp = false;
    for (const [phone, agreed] of [
      [offerer, ofOfferer],
      [answerer, ofAnswerer],
    ] as const)
      if (await phone.agree(agreed)) this.story.push(`  handshake of ${phone.name}`);
    await this.#meet(end);
  }

  async answer({
    offerer,
    answerer,
    told,
    isHeld,
  }: {
    offerer: SecuredPhone;
    answerer: SecuredPhone;
    told: string;
    isHeld: boolean;
  }): Promise<Settled> {
    const { wishes } = answerer;
    let own: KeyLine | null = null;
    let theirs: KeyLine | null = null;
    if (wishes.security === 'SDES') {
      const taken = pickOf(readKeyLines(told), this.random);
      const alike = wishes.lines.find(
        ({ suite, ...line }) =>
          suite === taken.suite &&
          line.unencryptedRtp === taken.unencryptedRtp &&
          line.unencryptedRtcp === taken.unencryptedRtcp &&
          line.unauthenticatedRtp === taken.unauthenticatedRtp,
      );
      const isKept = alike !== undefined && this.#chance(2);
      own = isKept ? { ...alike, tag: taken.tag } : answerer.lineLike(taken);
      theirs = taken;
      wishes.lines = [...wishes.lines.filter((line) => line !== alike), own];
    }
    const relaySetup = /^a=setup:(\S+)/m.exec(told)?.[1] ?? '';
    const goesOn = answerer.hasCall && answerer.agreed.security === 'DTLS';
    const begins =
      relaySetup === 'actpass'
        ? goesOn
          ? answerer.agreed.begins
          : this.#chance(2)
        : relaySetup === 'passive';
    const offers = {
      ...wishes,
      ice: wishes.ice && /^a=ice-ufrag/m.test(told),
      mux: wishes.mux && /^a=rtcp-mux\r?$/m.test(told),
      lines: own === null ? [] : [own],
    };
    const answer = await this.ask({
      ...{ command: 'answer', 'call-id': this.#callId },
      ...{ 'from-tag': offerer.name, 'to-tag': answerer.name },
      sdp: answerer.body(begins ? 'active' : 'passive', isHeld, offers),
    });
    if (securityIn(answer) !== offerer.wishes.security)
      throw new Error(`${offerer.wishes.security} is answered by ${securityIn(answer)}`);
    const [back = null] = readKeyLines(answer);
    const chosen = offerer.wishes.lines.find(
      ({ tag, suite }) => tag === back?.tag && suite === back.suite,
    );
    if (offerer.wishes.security === 'SDES' && chosen === undefined)
      throw new Error(`none of its lines was taken: ${answer}`);
    return {
      offerer: offerer.read(answer, {
        ...{ own: chosen ?? null, theirs: back, isHeld },
        begins: /^a=setup:passive/m.test(answer),
      }),
      answerer: answerer.read(told, { own, theirs, isHeld, begins }),
    };
  }

  /** Other sources, and sequence numbers that begin anew. */
  async #moves(): Promise<void> {
    for (const phone of this.phones) {
      if (!this.#chance(3)) continue;
      phone.ssrc = this.random(2 ** 32);
      phone.sequenceNumber = this.#chance(2) ? 65530 : this.random(0x10000);
      this.story.push(`  another source of ${phone.name}, from ${phone.sequenceNumber} on`);
      await this.#meet('another source');
    }
  }

  async end(): Promise<void> {
    await this.ask({ command: 'delete', 'call-id': this.#callId, 'delete-delay': 0 });
  }
}

describe('random dialogues of secured phones', function () {
  this.timeout(300_000);
  const daemon = new StoredDaemon('dialogues');
  before(() => daemon.start());
  after(() => daemon.stop());

  for (let seed = firstSeed; seed < firstSeed + count; seed++)
    it(`seed ${seed}`, async () => {
      const dialogue = new Dialogue(seed, randomSource(seed), daemon.ask, daemon.kill);
      try {
        await dialogue.begin(daemon.files);
        for (let step = 0; step < steps; step++) await dialogue.step(step);
        await dialogue.end();
      } catch (error) {
        throw new Error(`${dialogue.story.join('\n')}\n${String(error)}`, { cause: error });
      } finally {
        dialogue.close();
      }
    });
});
