/** A call of two sides with several sections, each with a phone of its own on either side (`secured-phone.ts`). */
import type { CertificateFiles } from './certificates.js';
import { randomSource } from './random.js';
import { joinedBodies, sectionAlone } from './sdp.js';
import { SecuredPhone, meet, type Agreed, type Security } from './secured-phone.js';
import { readKeyLines, type KeyLine } from './srtp-codec.js';
import type { Words } from './stored-daemon.js';

export type Ask = (words: Words) => Promise<string>;

/** How both sides secure a section. */
export interface Section {
  readonly type: 'audio' | 'video';
  /** With SDES. */
  readonly suites?: readonly [offerer: string, answerer: string];
}

interface SideOfSection {
  readonly phone: SecuredPhone;
  readonly own: KeyLine | null;
  readonly theirs: KeyLine | null;
}

const words: Readonly<Record<Security, Words>> = {
  plain: { 'transport-protocol': 'RTP/AVP' },
  SDES: { 'transport-protocol': 'RTP/SAVP', ICE: 'remove', DTLS: 'off' },
  DTLS: {
    ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVP', 'rtcp-mux': ['offer', 'require'] },
    ...{ ICE: 'force', flags: ['SDES-off'] },
  },
};

const lineOf = (phone: SecuredPhone, suite: string, tag: number): KeyLine =>
  phone.lineLike({
    ...{ tag, suite },
    ...{ unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false },
  });

export class SecuredSections {
  readonly #pairs: (readonly [SecuredPhone, SecuredPhone])[] = [];
  readonly #suites: (readonly [string, string])[] = [];
  readonly #random = randomSource(12);

  constructor(
    private readonly ask: Ask,
    private readonly callId: string,
    private readonly security: Security,
    private readonly files: readonly CertificateFiles[],
  ) {}

  /** For the next offer and all after it. @param trickle candidates follow in fragments. */
  async add({ type, suites = ['', ''] }: Section, trickle = false): Promise<void> {
    const phone = async (name: string): Promise<SecuredPhone> => {
      const made = await SecuredPhone.open(name, this.#random, this.files, this.security, type);
      made.wishes.ice = this.security === 'DTLS';
      made.wishes.trickle = trickle;
      return made;
    };
    this.#pairs.push([await phone('a'), await phone('b')]);
    this.#suites.push(suites);
  }

  /**
   * An offer of the first side or the second one, with an answer.
   * @param answered where something is to happen before any candidate is told in fragments, and before anybody goes by it.
   */
  async negotiate(
    offererAt: 0 | 1,
    answered: () => Promise<void> = () => Promise.resolve(),
  ): Promise<void> {
    const sections = this.#pairs.map(
      (pair) => [pair[offererAt], pair[offererAt === 0 ? 1 : 0]] as const,
    );
    const isFirst = sections.every(([offerer]) => !offerer.hasCall);
    const names = sections.map(([offerer, answerer]) => [offerer.name, answerer.name])[0] ?? [];
    const tags = { 'call-id': this.callId, 'from-tag': names[0] ?? '' };
    sections.forEach(([offerer], at) => {
      const suite = this.#suites[at]?.[offererAt] ?? '';
      if (suite !== '' && !offerer.hasCall) offerer.wishes.lines = [lineOf(offerer, suite, 1)];
    });
    const told = await this.ask({
      ...{ command: 'offer', ...tags, ...words[this.security] },
      ...(isFirst ? {} : { 'to-tag': names[1] ?? '' }),
      sdp: joinedBodies(sections.map(([offerer]) => offerer.body('actpass', false))),
    });
    const answerers = sections.map(([, answerer], at) => this.#answer(answerer, told, at));
    const back = await this.ask({
      ...{ command: 'answer', ...tags, 'to-tag': names[1] ?? '' },
      sdp: joinedBodies(
        answerers.map(({ phone, own }) =>
          phone.body('active', false, { ...phone.wishes, lines: own === null ? [] : [own] }),
        ),
      ),
    });
    await answered();
    await this.#tellCandidates(
      'offer',
      tags,
      sections.map(([offerer]) => offerer),
    );
    const toTag = { ...tags, 'to-tag': names[1] ?? '' };
    await this.#tellCandidates(
      'answer',
      toTag,
      sections.map(([, answerer]) => answerer),
    );
    for (const [at, [offerer]] of sections.entries())
      await this.#agree(offerer, answerers[at], [sectionAlone(told, at), sectionAlone(back, at)]);
  }

  #answer(phone: SecuredPhone, told: string, at: number): SideOfSection {
    const suite = this.#suites[at]?.[phone.name === 'a' ? 0 : 1] ?? '';
    if (suite === '') return { phone, own: null, theirs: null };
    const theirs = readKeyLines(sectionAlone(told, at)).find((line) => line.suite === suite);
    if (theirs === undefined) throw new Error(`no ${suite} in ${told}`);
    const known = phone.hasCall ? phone.agreed.own : null;
    const own = known === null ? lineOf(phone, suite, theirs.tag) : { ...known, tag: theirs.tag };
    phone.wishes.lines = [own];
    return { phone, own, theirs };
  }

  async #tellCandidates(
    command: 'offer' | 'answer',
    tags: Words,
    phones: readonly SecuredPhone[],
  ): Promise<void> {
    if (!phones.some(({ wishes: { trickle } }) => trickle)) return;
    const sdp = joinedBodies(phones.map((phone) => phone.fragment()));
    await this.ask({ ...{ command, ...tags }, flags: ['fragment'], sdp });
  }

  async #agree(
    offerer: SecuredPhone,
    answerer: SideOfSection | undefined,
    [told, back]: readonly [string, string],
  ): Promise<void> {
    if (answerer === undefined) throw new Error('nobody answers');
    const { phone, own, theirs } = answerer;
    const [line = null] = readKeyLines(back);
    const chosen = offerer.wishes.lines.find(({ tag }) => tag === line?.tag) ?? null;
    const settled: readonly (readonly [SecuredPhone, Agreed])[] = [
      [phone, phone.read(told, { own, theirs, isHeld: false, begins: true })],
      [
        offerer,
        offerer.read(back, {
          ...{ own: line === null ? null : chosen, theirs: line, isHeld: false },
          begins: /^a=setup:passive/m.test(back),
        }),
      ],
    ];
    for (const [each, agreed] of settled) await each.agree(agreed);
  }

  /** Packets of each section reach both, no other section's, and nobody sees an index twice. */
  async meet(what: string): Promise<void> {
    for (const [at, pair] of this.#pairs.entries()) {
      await meet(pair, `section ${at}, ${what}`);
      const repeated = pair.reduce((sum, phone) => sum + phone.repeated, 0);
      if (repeated > 0) throw new Error(`${what}: ${repeated} packets by an index of before`);
    }
  }

  async end(): Promise<void> {
    for (const phone of this.#pairs.flat()) phone.close();
    await this.ask({ command: 'delete', 'call-id': this.callId, 'delete-delay': 0 });
  }
}
