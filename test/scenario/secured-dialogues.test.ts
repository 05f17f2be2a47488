/**
 * Random dialogues with real packets, the same for the same seed: two sides that are plain, speak SDES or DTLS, make offers
 * to one another that change keys, tags, suites, certificates, roles, credentials of ICE or the whole security, hold, add
 * sections, take them away, are answered, answered provisionally, answered anew, refused. Candidates may come in fragments.
 * After each step RTP and RTCP of each section reach both. The daemon is killed in between and goes on from Redis.
 * CONTRIBUTING.md has what chooses others.
 */
import type { CertificateFiles } from '../support/certificates.js';
import { pickOf, randomSource, type Below } from '../support/random.js';
import { joinedBodies, sectionAlone } from '../support/sdp.js';
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

const mostSections = 3;

type Pair = readonly [SecuredPhone, SecuredPhone];

/** Of an offer, by section; null: it is, or was, taken away. */
type Offered = readonly (Pair | null)[];

/** An offer, and what was asked for by it. */
interface Exchange {
  readonly offered: Offered;
  readonly told: string;
  readonly tags: Words;
  readonly toTag: string;
  readonly isHeld: boolean;
}

const present = (offered: Offered): readonly Pair[] => offered.filter((pair) => pair !== null);

const nothing = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 0 RTP/AVP 0\r\n';

/** Bodies, or fragments, of the sections of one side. */
const joined = (offered: Offered, textOf: (pair: Pair) => string): string =>
  joinedBodies(offered.map((pair) => (pair === null ? nothing : textOf(pair))));

class Dialogue {
  readonly story: string[] = [];
  readonly #callId: string;
  #files: readonly CertificateFiles[] = [];
  /** Each the phones of both sides, the first one's before the other's; null: it was taken away. */
  #sections: Offered = [];
  readonly #opened: SecuredPhone[] = [];
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
    this.#files = files;
    this.#sections = [await this.#open(null)];
    for (const { wishes } of this.phones) this.#chooseIce(wishes);
  }

  #chooseIce(wishes: Wishes): void {
    wishes.ice = wishes.security === 'DTLS' && this.#chance(2);
    wishes.trickle = wishes.ice && this.#chance(3);
  }

  /** @param like a section whose sides secure this one, too; null: it is the first one. */
  async #open(like: Pair | null): Promise<Pair> {
    const phone = async (name: string, at: 0 | 1): Promise<SecuredPhone> => {
      const security = like?.[at].wishes.security ?? pickOf(securities, this.random);
      const type = like === null ? 'audio' : pickOf(['audio', 'video'] as const, this.random);
      const made = await SecuredPhone.open(name, this.random, this.#files, security, type);
      if (like !== null) {
        const { ice, trickle, mux } = like[at].wishes;
        Object.assign(made.wishes, { ice, trickle, mux });
      }
      this.#opened.push(made);
      return made;
    };
    return [await phone('a', 0), await phone('b', 1)];
  }

  close(): void {
    for (const phone of this.#opened) phone.close();
  }

  get #pairs(): readonly Pair[] {
    return present(this.#sections);
  }

  /** Of the first section that there is. */
  get phones(): Pair {
    const [first] = this.#pairs;
    if (first === undefined) throw new Error('no phones');
    return first;
  }

  async #meet(what: string): Promise<void> {
    await Promise.all(
      this.#pairs.map(async (pair, at) => {
        if (!pair[0].agreed.isHeld) await meet(pair, `${what}, ${at}`, !this.#hasOtherRtcp);
      }),
    );
  }

  /** Not while it is held: of a handshake that has just ended on one side nothing shows whether the relay has its keys. */
  async #killed(when: string): Promise<void> {
    if (this.phones[0].agreed.isHeld) return;
    this.story.push(`  killed ${when}`);
    await this.kill();
    await this.#meet(`killed ${when}`);
  }

  /** Of a side itself: what counts for all its sections, and for each. */
  #changeWishes(phones: readonly SecuredPhone[], step: number, isOfferer: boolean): void {
    const [first] = phones;
    if (first === undefined) return;
    if (this.#chance(isOfferer ? 5 : 6)) {
      const security = pickOf(securities, this.random);
      Object.assign(first.wishes, { security, mux: security === 'DTLS' });
      this.#chooseIce(first.wishes);
      const { mux, ice, trickle } = first.wishes;
      for (const { wishes } of phones) Object.assign(wishes, { security, mux, ice, trickle });
    }
    if (isOfferer) for (const phone of phones) this.#changeOffer(phone, step);
  }

  #changeOffer(phone: SecuredPhone, step: number): void {
    const { wishes } = phone;
    if (wishes.security === 'SDES') {
      if (this.#chance(3)) wishes.lines = phone.someLines();
      if (this.#chance(6))
        wishes.lines = wishes.lines.map((line) => ({ ...line, tag: line.tag + 2 }));
    }
    if (wishes.security === 'DTLS' && this.#chance(5))
      wishes.certificate = (wishes.certificate + 1) % 3;
    if (wishes.ice && this.#chance(4)) {
      wishes.ufrag = `${phone.name}${step}${this.random(1000)}xyz`;
      wishes.password = `${wishes.password.slice(0, 22)}${10 + step}`;
    }
  }

  /** One may be added, or taken away. */
  async #changeSections(): Promise<Offered> {
    const pairs = this.#pairs;
    if (pairs.length < mostSections && this.#chance(4)) {
      const added = await this.#open(this.phones);
      const free = this.#sections.indexOf(null);
      return free < 0
        ? [...this.#sections, added]
        : this.#sections.map((pair, at) => (at === free ? added : pair));
    }
    if (pairs.length < 2 || !this.#chance(5)) return this.#sections;
    const gone = pickOf(pairs, this.random);
    return this.#sections.map((pair) => (pair === gone ? null : pair));
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
    const offererAt = isFirst || this.#chance(2) ? 0 : 1;
    const before = this.#pairs.flat().map((phone) => [phone, { ...phone.wishes }] as const);
    const goBack = (): void => {
      for (const [phone, wishes] of before) Object.assign(phone.wishes, wishes);
    };
    const sides = (pairs: Offered): Offered =>
      pairs.map((pair) => (pair === null || offererAt === 0 ? pair : [pair[1], pair[0]]));
    if (!isFirst) {
      const pairs = present(sides(this.#sections));
      this.#changeWishes(
        pairs.map(([offerer]) => offerer),
        step,
        true,
      );
      this.#changeWishes(
        pairs.map(([, answerer]) => answerer),
        step,
        false,
      );
    }
    const sections = isFirst ? this.#sections : await this.#changeSections();
    const offered = sides(sections);
    const [offerer, answerer] = present(offered)[0] ?? this.phones;
    const isHeld = !isFirst && this.#chance(6);
    // An offer that takes a section away ends it at once (docs/reference/conformance.md).
    const isGone = this.#pairs.some((pair) => !sections.includes(pair));
    const end = isFirst
      ? pickOf(['200', '183 and 200'] as const, this.random)
      : pickOf(isGone ? ends.filter((each) => !each.includes('refused')) : ends, this.random);
    const setup = pickOf(
      isFirst ? ['actpass', 'active', 'passive'] : ['actpass', 'actpass', 'active', 'passive'],
      this.random,
    );
    const [from, to] = [offerer, answerer].map(
      ({ wishes: { security, ice, trickle } }) =>
        `${security}${ice ? ' with ICE' : ''}${trickle ? ' by trickle' : ''}`,
    );
    const how = offered.map((pair) => (pair === null ? '-' : 'x')).join('');
    this.story.push(
      `${step}: ${offerer.name}, ${from}, to ${to}, ${how}, ${setup}${isHeld ? ', held' : ''}: ${end}`,
    );
    const tags = { 'call-id': this.#callId, 'from-tag': offerer.name };
    const told = await this.ask({
      ...{ command: 'offer', ...tags, ...(isFirst ? {} : { 'to-tag': answerer.name }) },
      ...this.#wordsFor(answerer.wishes),
      sdp: joined(offered, ([phone]) => phone.body(setup, isHeld)),
    });
    if (isGone)
      this.#sections = this.#sections.map((pair, at) => (sections[at] === pair ? pair : null));
    if (!isFirst) {
      await this.#meet('offered');
      if (this.#chance(5)) await this.#killed('once offered');
    }
    const exchange = { offered, told, tags, toTag: answerer.name, isHeld };
    if (end === 'refused') {
      goBack();
      await this.#meet(end);
    } else await this.#answers(end, exchange, sections, goBack);
    await this.#moves();
    if (this.#chance(3)) await this.#killed('afterwards');
  }

  async #answers(
    end: End,
    exchange: Exchange,
    sections: Offered,
    goBack: () => void,
  ): Promise<void> {
    const phones = present(exchange.offered).flat();
    const wishes = phones.map((phone) => phone.wishes);
    if (end === '183 and another 200') await this.answer(exchange);
    const settled = await this.answer(exchange);
    const known = phones.filter(({ hasCall }) => hasCall);
    // Where ICE begins or ends there is no way back (docs/reference/conformance.md).
    const canGoBack = known.every(({ wishes: { ice }, agreed }) => ice === agreed.ice);
    if (end === '183 and refused' && canGoBack && !exchange.isHeld) {
      for (const phone of known) {
        const [ufrag] = phone.agreed.credentials;
        phone.mayHearClear = phone.wishes.security === 'plain';
        phone.mayLoseChecks = phone.wishes.ice && phone.wishes.ufrag !== ufrag;
      }
      this.#hasOtherRtcp ||= known.some(({ wishes: { mux }, agreed }) => mux !== agreed.mux);
      goBack();
      if (this.#chance(2)) await this.#killed('after the 183');
      await this.#meet(end);
      return;
    }
    this.#hasOtherRtcp = false;
    if (wishes.some(({ trickle }) => trickle)) {
      if (this.#chance(3)) {
        this.story.push('  killed before the candidates');
        await this.kill();
      }
      await this.#tellCandidates(exchange);
    }
    this.#sections = sections;
    for (const [phone, agreed] of settled)
      if (await phone.agree(agreed)) this.story.push(`  handshake of ${phone.name}`);
    await this.#meet(end);
  }

  async #tellCandidates({ offered, tags, toTag }: Exchange): Promise<void> {
    const tell = (words: Words, side: 0 | 1): Promise<string> =>
      this.ask({
        ...{ ...tags, ...words, flags: ['fragment'] },
        sdp: joined(offered, (pair) => pair[side].fragment()),
      });
    await tell({ command: 'offer' }, 0);
    await tell({ command: 'answer', 'to-tag': toTag }, 1);
  }

  /** @returns what each phone goes by from then on. */
  async answer(exchange: Exchange): Promise<readonly (readonly [SecuredPhone, Agreed])[]> {
    const { offered, told, tags, toTag, isHeld } = exchange;
    const answers = offered.map((pair, at) =>
      pair === null ? null : this.#answerTo(pair[1], sectionAlone(told, at), isHeld),
    );
    const back = await this.ask({
      ...{ command: 'answer', ...tags, 'to-tag': toTag },
      sdp: joinedBodies(answers.map((answer) => answer?.body ?? nothing)),
    });
    return offered.flatMap((pair, at) => {
      const answer = answers[at] ?? null;
      if (pair === null || answer === null) return [];
      const [offerer, answerer] = pair;
      return [
        [answerer, answer.agreed],
        [offerer, this.#read(offerer, sectionAlone(back, at), isHeld)],
      ] as const;
    });
  }

  /** @param told the section that it was offered. */
  #answerTo(
    answerer: SecuredPhone,
    told: string,
    isHeld: boolean,
  ): { body: string; agreed: Agreed } {
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
    return {
      body: answerer.body(begins ? 'active' : 'passive', isHeld, offers),
      agreed: answerer.read(told, { own, theirs, isHeld, begins }),
    };
  }

  /** @param back the section that it was answered with. */
  #read(offerer: SecuredPhone, back: string, isHeld: boolean): Agreed {
    const { wishes } = offerer;
    if (securityIn(back) !== wishes.security)
      throw new Error(`${wishes.security} is answered by ${securityIn(back)}`);
    const [theirs = null] = readKeyLines(back);
    const chosen = wishes.lines.find(
      ({ tag, suite }) => tag === theirs?.tag && suite === theirs.suite,
    );
    if (wishes.security === 'SDES' && chosen === undefined)
      throw new Error(`none of its lines was taken: ${back}`);
    const begins = /^a=setup:passive/m.test(back);
    return offerer.read(back, { own: chosen ?? null, theirs, isHeld, begins });
  }

  /** Other sources, and sequence numbers that begin anew. */
  async #moves(): Promise<void> {
    for (const phone of this.#pairs.flat()) {
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
