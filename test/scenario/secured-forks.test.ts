/**
 * A request that reaches two phones, each of which answers provisionally with keys of its own and sends media, one of
 * which is then called; with real packets. The one that is not keeps sending for as long as nobody has told it to stop.
 */
import { expect } from 'chai';
import { pickOf, randomSource } from '../support/random.js';
import { SecuredPhone, meet, type Agreed, type Security } from '../support/secured-phone.js';
import { readKeyLines, type KeyLine } from '../support/srtp-codec.js';
import { StoredDaemon, type Words } from '../support/stored-daemon.js';

/** How a phone secures its media. */
type Kind = Security | 'ICE';
const securityOf = (kind: Kind): Security => (kind === 'ICE' ? 'DTLS' : kind);

const towards: Readonly<Record<Kind, Words>> = {
  plain: { 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'] },
  SDES: { 'transport-protocol': 'RTP/SAVP', ICE: 'remove', 'rtcp-mux': ['demux'], DTLS: 'off' },
  DTLS: {
    ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVP', 'rtcp-mux': ['offer', 'require'] },
    ...{ ICE: 'remove', flags: ['SDES-off'] },
  },
  ICE: {
    ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVP', 'rtcp-mux': ['offer', 'require'] },
    ...{ ICE: 'force', flags: ['SDES-off'] },
  },
};

describe('a request that reaches two phones', function () {
  this.timeout(300_000);
  const daemon = new StoredDaemon('forks');
  before(() => daemon.start());
  after(() => daemon.stop());

  /** One call. */
  class Fork {
    /** By phone, what it answered with. */
    readonly #lines = new Map<SecuredPhone, readonly [own: KeyLine, theirs: KeyLine]>();
    readonly #told = new Map<SecuredPhone, string>();
    readonly #branches = new Map<SecuredPhone, Words>();
    readonly #random;

    constructor(
      readonly callId: string,
      readonly caller: SecuredPhone,
      readonly callees: readonly SecuredPhone[],
      seed: number,
    ) {
      this.#random = randomSource(seed);
    }

    async offer(kind: Kind, perBranch: boolean): Promise<void> {
      let told = '';
      for (const [at, callee] of this.callees.entries()) {
        const branch = perBranch ? { 'via-branch': `branch-${at}` } : {};
        this.#branches.set(callee, branch);
        if (perBranch || at === 0)
          told = await daemon.ask({
            ...{ command: 'offer', 'call-id': this.callId, 'from-tag': 'a', ...branch },
            ...towards[kind],
            sdp: this.caller.body('actpass', false),
          });
        this.#told.set(callee, told);
      }
    }

    #linesOf(callee: SecuredPhone, told: string): readonly [KeyLine, KeyLine] | null {
      if (callee.wishes.security !== 'SDES') return null;
      const known = this.#lines.get(callee);
      if (known !== undefined) return known;
      const taken = new Set([...this.#lines.values()].map(([own]) => own.tag));
      const free = readKeyLines(told).filter(({ tag }) => !taken.has(tag));
      const theirs = pickOf(free, this.#random);
      const lines = [callee.lineLike(theirs), theirs] as const;
      this.#lines.set(callee, lines);
      return lines;
    }

    async answer(callee: SecuredPhone): Promise<void> {
      const told = this.#told.get(callee) ?? '';
      const [own = null, theirs = null] = this.#linesOf(callee, told) ?? [];
      const isHeld = false;
      const answer = await daemon.ask({
        ...{ command: 'answer', 'call-id': this.callId, 'from-tag': 'a', 'to-tag': callee.name },
        ...this.#branches.get(callee),
        sdp: callee.body('active', isHeld, { ...callee.wishes, lines: own === null ? [] : [own] }),
      });
      const [back = null] = readKeyLines(answer);
      const chosen = this.caller.wishes.lines.find(
        ({ tag, suite }) => tag === back?.tag && suite === back.suite,
      );
      const agreed: readonly [SecuredPhone, Agreed][] = [
        [callee, callee.read(told, { own, theirs, isHeld, begins: true })],
        [
          this.caller,
          this.caller.read(answer, {
            ...{ own: chosen ?? null, theirs: back, isHeld },
            begins: /^a=setup:passive/m.test(answer),
          }),
        ],
      ];
      for (const [phone, each] of agreed) await phone.agree(each);
    }
  }

  const kinds: readonly Kind[] = ['plain', 'SDES', 'DTLS', 'ICE'];
  let number = Number(process.env['SECURED_FORKS_SEED'] ?? 1);
  const calls: { from: Kind; to: Kind; perBranch: boolean; winner: 0 | 1; seed: number }[] = [];
  for (const from of kinds)
    for (const to of kinds)
      for (const perBranch of [true, false])
        for (const winner of [0, 1] as const)
          calls.push({ from, to, perBranch, winner, seed: (number += 1) });
  for (const { from, to, perBranch, winner, seed } of calls)
    it(`${from} to ${to}, ${perBranch ? 'two offers' : 'one offer'}, phone ${winner} is called`, async () => {
      const random = randomSource(seed);
      const open = async (name: string, kind: Kind): Promise<SecuredPhone> => {
        const phone = await SecuredPhone.open(name, random, daemon.files, securityOf(kind));
        phone.wishes.ice = kind === 'ICE';
        return phone;
      };
      const caller = await open('a', from);
      const callees = [await open('b', to), await open('c', to)] as const;
      callees[1].wishes.certificate = 1;
      const fork = new Fork(`fork-${seed}`, caller, callees, seed);
      const [first, second] = callees;
      const called = callees[winner];
      try {
        await fork.offer(to, perBranch);
        await fork.answer(first);
        await meet([caller, first], 'the first one early');
        await fork.answer(second);
        // Of plain RTP nothing tells one phone from another that sends to the same port.
        const isTold = perBranch || to !== 'plain';
        for (let count = 0; isTold && count < 5; count++) first.send();
        await meet([caller, second], 'the second one early');
        await fork.answer(called);
        for (const callee of callees) if (isTold) callee.send();
        await meet([caller, called], 'called');
        await daemon.kill();
        await meet([caller, called], 'killed');
      } finally {
        await daemon.ask({ command: 'delete', 'call-id': fork.callId, 'delete-delay': 0 });
        for (const phone of [caller, ...callees]) phone.close();
      }
    });

  // By the third answer the key of the first one is not the former any more.
  for (const kind of ['SDES', 'DTLS'] as const)
    it(`three phones answer by one offer, each with ${kind} of its own, and the first one is called`, async () => {
      const random = randomSource(1);
      const names = ['a', 'b', 'c', 'd'];
      const phones = await Promise.all(
        names.map((name) =>
          SecuredPhone.open(name, random, daemon.files, name === 'a' ? 'plain' : kind),
        ),
      );
      phones.forEach(({ wishes }, at) => (wishes.certificate = Math.max(0, at - 1)));
      const [caller, first, ...others] = phones;
      if (caller === undefined || first === undefined) throw new Error('no phones');
      const fork = new Fork(`fork-of-three-${kind}`, caller, [first, ...others], 1);
      try {
        await fork.offer(kind, false);
        for (const callee of [first, ...others]) {
          await fork.answer(callee);
          await meet([caller, callee], callee.name);
        }
        await daemon.kill();
        await fork.answer(first);
        await meet([caller, first], 'called');
        await daemon.kill();
        await meet([caller, first], 'killed');
        expect(first.repeated).to.equal(0);
      } finally {
        await daemon.ask({ command: 'delete', 'call-id': fork.callId, 'delete-delay': 0 });
        for (const phone of phones) phone.close();
      }
    });
});
