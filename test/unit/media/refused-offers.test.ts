/**
 * Later offers that would change how a side is secured, and that nobody answers: the relay is not told of a refusal, and
 * media goes on as before. All kinds against all kinds, from either side, before and after a restart from the store.
 */
import { createHash } from 'node:crypto';
import { expect } from 'chai';
import {
  withSecurityEvents,
  type SecurityEvent,
} from '../../../src/daemon/calls/security-events.js';
import type { CallState } from '../../../src/media/call-state.js';
import { applyRelayEvents, type EventTable } from '../../../src/daemon/calls/media-events.js';
import { mediaPlan } from '../../../src/media/plan.js';
import type { RelayEvent, SrtpSessionPlan, TransportPlan } from '../../../src/media/relay.js';
import { Log } from '../../../src/observe/log.js';
import { readRequest } from '../../../src/ng-protocol/interpret.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { body, interfaces, ModelCall, type Keys } from '../../support/unit/media.js';
import { settings } from '../../support/unit/redis-store.js';

const digest = (byte: string): string => Array.from({ length: 32 }, () => byte).join(':');
const crypto = (key: string, tag = 1): string =>
  `a=crypto:${tag} AES_CM_128_HMAC_SHA1_80 inline:${key.repeat(40)}`;
/** Of `crypto`. */
const keyHex = (key: string): string => Buffer.from(key.repeat(40), 'base64').toString('hex');
const dtls = (byte: string, setup: string, tlsId = 'a'): readonly string[] => [
  `a=setup:${setup}`,
  `a=fingerprint:sha-256 ${digest(byte)}`,
  `a=tls-id:${tlsId.repeat(20)}`,
];
const ice = (name: string): readonly string[] => [
  `a=ice-ufrag:${name}`,
  `a=ice-pwd:${name.repeat(8)}`,
  'a=candidate:1 1 udp 2122260223 192.0.2.10 6000 typ host',
];

interface Kind {
  readonly protocol: string;
  readonly lines: readonly string[];
}
const dtlsProtocol = 'UDP/TLS/RTP/SAVPF';
/** What a side can say of itself. */
const kinds: Readonly<Record<string, Kind>> = {
  plain: { protocol: 'RTP/AVP', lines: [] },
  'plain with ICE': { protocol: 'RTP/AVP', lines: ice('abcd') },
  SDES: { protocol: 'RTP/SAVP', lines: [crypto('A')] },
  'SDES with another key': { protocol: 'RTP/SAVP', lines: [crypto('B')] },
  'SDES with ICE': { protocol: 'RTP/SAVP', lines: [crypto('A'), ...ice('abcd')] },
  'T.38': { protocol: 'udptl', lines: [] },
  OSRTP: { protocol: 'RTP/AVP', lines: [crypto('A')] },
  DTLS: { protocol: dtlsProtocol, lines: dtls('AA', 'active') },
  'DTLS with another fingerprint': { protocol: dtlsProtocol, lines: dtls('BB', 'active') },
  'DTLS with another tls-id': { protocol: dtlsProtocol, lines: dtls('AA', 'active', 'b') },
  'DTLS with the other role': { protocol: dtlsProtocol, lines: dtls('AA', 'passive') },
  'DTLS with ICE': { protocol: dtlsProtocol, lines: [...dtls('AA', 'active'), ...ice('abcd')] },
  'DTLS with ICE begun anew': {
    protocol: dtlsProtocol,
    lines: [...dtls('BB', 'active'), ...ice('efgh')],
  },
};

const bodyOf = ({ protocol, lines }: Kind): string => {
  const sdp = body(6000, lines);
  return protocol === 'udptl'
    ? sdp.replace(/m=audio (\d+) .*\r\n(a=rtpmap.*\r\n)*/, 'm=image $1 udptl t38\r\n')
    : sdp.replace('RTP/AVP', protocol);
};

/** What decides about packets. */
interface Treated {
  readonly receive: string | null;
  readonly send: string | null;
  readonly secret: boolean;
  readonly dtls: unknown;
  readonly ice: unknown;
  readonly kind: string | undefined;
}

const keyText = (session: SrtpSessionPlan | 'plain' | null | undefined): string | null =>
  session === 'plain' ? session : (session?.key.toString('hex') ?? null);

function treatedAs({ srtp, dtls, ice }: TransportPlan, kind: string | undefined): Treated {
  return {
    receive: keyText(srtp?.receive),
    send: keyText(srtp?.send),
    secret: srtp !== null,
    dtls: dtls && [dtls.role, dtls.fingerprint, dtls.generation, dtls.established],
    ice: ice && [ice.mode, ice.local, ice.remote],
    kind,
  };
}

function treatment(state: CallState | null): readonly Treated[] {
  if (state === null) throw new Error('no call');
  const { transports, streams } = mediaPlan(state, interfaces);
  return transports.map((each) => treatedAs(each, streams.find(({ id }) => id === each.id)?.kind));
}

const restored = (state: CallState | null): CallState => {
  if (state === null) throw new Error('no call');
  return decodeCall('call', encodeCall(state, 'JSON', settings), settings).state;
};

const silent = new Log({ sink: { write: () => undefined }, levels: new Map() });
/** The peer's certificate in each of them. */
const shown = Buffer.of(1);
let handshakes = 0;
/** Handshakes end well, wherever one is waited for. */
function withKeys(state: CallState | null): CallState {
  if (state === null) throw new Error('no call');
  const events = mediaPlan(state, interfaces).transports.flatMap(
    ({ id, dtls }): SecurityEvent[] => {
      if (dtls === null || dtls.established || dtls.fingerprint === null) return [];
      const key = (octet: number): { key: Buffer; salt: Buffer } => ({
        key: Buffer.alloc(16, octet),
        salt: Buffer.alloc(14, octet),
      });
      handshakes += 1;
      return [
        {
          ...{ type: 'dtls-status', transportId: id, generation: dtls.generation, status: 'keyed' },
          keys: {
            suite: 'AES_CM_128_HMAC_SHA1_80',
            receive: key(handshakes % 128),
            send: key(128 + (handshakes % 128)),
            certificate: shown,
          },
        } as SecurityEvent,
      ];
    },
  );
  return withSecurityEvents(silent, state, events, () => null) ?? state;
}

const words = (dictionary: Readonly<Record<string, string>>): Keys => {
  const { transportProtocol, dtls, ice, sdes, opportunistic } = readRequest(
    'offer',
    new Map(Object.entries(dictionary)),
  );
  return { transportProtocol, dtls, ice, sdes, opportunistic };
};
const towards: Readonly<Record<string, Keys>> = {
  plain: words({ 'transport-protocol': 'RTP/AVP', ICE: 'remove' }),
  'plain with ICE': words({ 'transport-protocol': 'RTP/AVP', ICE: 'force' }),
  SDES: words({ 'transport-protocol': 'RTP/SAVP', ICE: 'remove', DTLS: 'off' }),
  DTLS: words({ 'transport-protocol': dtlsProtocol, ICE: 'remove' }),
  'DTLS with ICE': words({ 'transport-protocol': dtlsProtocol, ICE: 'force' }),
};
const plainSide = bodyOf({ protocol: 'RTP/AVP', lines: [] });

const named = Object.keys(kinds);
/** Of fax and plain RTP nothing is secured, and their packets go the same way. */
const isNeverSecured = (name: string): boolean => name === 'plain' || name === 'T.38';
const every = named
  .flatMap((was) => named.map((is) => [was, is] as const))
  .filter(([was, is]) => !(isNeverSecured(was) && isNeverSecured(is)));
const kind = (name: string): Kind => kinds[name] ?? { protocol: '', lines: [] };

/** A call between that kind of side and a plain one. */
function callOf(name: string): ModelCall {
  const call = new ModelCall();
  call.offer(bodyOf(kind(name)), towards['plain']);
  call.answer(plainSide);
  call.state = withKeys(call.state);
  return call;
}

describe('an offer that would change how its sender is secured', () => {
  it('changes nothing of the media before its answer, and nothing if there is none', () => {
    for (const [was, is] of every) {
      const call = callOf(was);
      const before = treatment(call.state);
      const told = call.offer(bodyOf(kind(is)), towards['plain']);
      expect(told).to.match(is === 'T.38' ? /^m=image \d+ udptl /m : /^m=audio \d+ RTP\/AVP /m);
      expect(treatment(call.state), `${was} → ${is}`).to.deep.equal(before);
      call.state = restored(call.state);
      expect(treatment(call.state), `${was} → ${is}, restored`).to.deep.equal(before);
      // What was agreed on is offered again.
      call.offer(bodyOf(kind(was)), towards['plain']);
      call.answer(plainSide);
      expect(treatment(call.state), `${was} → ${is} → ${was}`).to.deep.equal(before);
    }
  });

  it('counts from its answer on, whether another process took it or not', () => {
    const begun = new Map(
      named.map((name) => {
        const call = new ModelCall();
        call.offer(bodyOf(kind(name)), towards['plain']);
        call.answer(plainSide);
        return [name, treatment(call.state)[2]] as const;
      }),
    );
    for (const [was, is] of every) {
      const [call, other] = [callOf(was), callOf(was)];
      for (const each of [call, other]) each.offer(bodyOf(kind(is)), towards['plain']);
      other.state = restored(other.state);
      for (const each of [call, other]) each.answer(plainSide);
      const [, , offerer] = treatment(call.state);
      const [, , theirs] = treatment(other.state);
      const likewise = begun.get(is);
      const text = `${was} → ${is}`;
      // What was secured may go on so until something comes in the clear.
      const isWatched = kind(is).protocol === 'RTP/AVP' && /SDES|DTLS|OSRTP/.test(was);
      for (const each of [offerer, theirs]) {
        expect(each?.secret, text).to.equal(isWatched || likewise?.secret);
        expect(each?.dtls === null, text).to.equal(likewise?.dtls === null);
        expect(each?.ice === null, text).to.equal(likewise?.ice === null);
        expect(each?.kind, text).to.equal(likewise?.kind);
        if (is.includes('SDES')) expect(each?.receive, text).to.equal(likewise?.receive);
      }
      // From one association to the next without a gap: the keys stay until its handshake gives others.
      if (was.includes('DTLS') && is.includes('DTLS')) expect(offerer?.receive).to.not.equal(null);
    }
  });
});

describe('an offer that is refused after a provisional answer', () => {
  it('leaves the former key good, and ours what it was, with or without a next one', () => {
    const call = new ModelCall();
    const sdes = (key: string): string => bodyOf({ protocol: 'RTP/SAVP', lines: [crypto(key)] });
    call.offer(sdes('A'), towards['plain']);
    call.answer(plainSide);
    const before = treatment(call.state);
    call.offer(sdes('B'), towards['plain']);
    // 183, with a body; then it is refused.
    call.answer(plainSide);
    expect(treatment(call.state)).to.not.deep.equal(before);
    const formerKeys = (): readonly (string | null)[] =>
      call.state === null
        ? []
        : mediaPlan(call.state, interfaces).transports.map(({ srtp }) => keyText(srtp?.former));
    expect(formerKeys()).to.deep.equal(before.map(({ receive }) => receive));
    expect(treatment(call.state).map(({ send }) => send)).to.deep.equal(
      before.map(({ send }) => send),
    );
    // The answer again, as final ones repeat it: still.
    call.answer(plainSide);
    expect(formerKeys()).to.deep.equal(before.map(({ receive }) => receive));
    call.state = restored(call.state);
    expect(formerKeys(), 'restored').to.deep.equal(before.map(({ receive }) => receive));
    call.offer(sdes('A'), towards['plain']);
    call.answer(plainSide);
    expect(treatment(call.state)).to.deep.equal(before);
  });

  it('leaves our former key good, too, where another tag gave another one; of several those in use', () => {
    const call = new ModelCall();
    const negotiate = (key: string, tag: number, answer = plainSide): void => {
      call.offer(bodyOf({ protocol: 'RTP/SAVP', lines: [crypto(key, tag)] }), towards['plain']);
      call.answer(answer);
    };
    const formerKeys = (): readonly (readonly (string | null)[])[] =>
      call.state === null
        ? []
        : mediaPlan(call.state, interfaces).transports.map(({ srtp }) => [
            keyText(srtp?.former),
            keyText(srtp?.formerSend),
          ]);
    negotiate('A', 1);
    const inUse = treatment(call.state).map(({ receive, send }) => [receive, send]);
    expect(inUse.flat().filter((key) => key !== null)).to.have.length.above(1);
    for (const [key, tag] of [
      ['B', 2],
      ['C', 3],
    ] as const) {
      negotiate(key, tag);
      expect(treatment(call.state).map(({ send }) => send)).to.not.deep.equal(
        inUse.map(([, send]) => send),
      );
      expect(formerKeys(), key).to.deep.equal(inUse);
      call.state = restored(call.state);
      expect(formerKeys(), `${key}, restored`).to.deep.equal(inUse);
    }
    // Who sends nothing does not show that it goes on with it.
    negotiate('D', 4, bodyOf({ protocol: 'RTP/AVP', lines: ['a=sendonly'] }));
    expect(formerKeys()).to.deep.equal(inUse.map(([receive]) => [receive, null]));
  });

  it('leaves both former keys good where SRTP passed through and ends here, or the other way', () => {
    for (const passedBefore of [true, false]) {
      const call = new ModelCall();
      const endsHere: Keys = { ...towards['SDES'], flags: new Set(['recrypt']) };
      const negotiate = (offered: string, answered: string, passes: boolean): void => {
        const sdes = (key: string): string =>
          bodyOf({ protocol: 'RTP/SAVP', lines: [crypto(key)] });
        call.offer(sdes(offered), passes ? towards['SDES'] : endsHere);
        call.answer(sdes(answered));
      };
      const plans = (): readonly unknown[] =>
        call.state === null
          ? []
          : mediaPlan(call.state, interfaces)
              .transports.filter(({ srtp }) => srtp !== null)
              .map(({ srtp }) => [
                keyText(srtp?.receive),
                keyText(srtp?.former),
                srtp?.formerSend !== undefined,
                srtp?.send !== null,
                srtp?.passing,
              ]);
      negotiate('A', 'B', passedBefore);
      expect(plans().length > 0).to.equal(!passedBefore);
      for (const [offered, answered] of [
        ['C', 'D'],
        ['E', 'F'],
        ['A', 'G'],
      ] as const) {
        negotiate(offered, answered, !passedBefore);
        const before = plans();
        const [sends, passing] = [passedBefore, passedBefore ? 'former' : 'present'];
        for (const [key, former] of [
          [offered, 'A'],
          [answered, 'B'],
        ] as const) {
          const line = [keyHex(key), keyHex(former), !sends, sends, passing];
          expect(before, `${key} after ${former}`).to.deep.include(line);
        }
        call.state = restored(call.state);
        expect(plans(), 'restored').to.deep.equal(before);
      }
      // As it was agreed on before: there is nothing to go back to.
      negotiate('A', 'B', passedBefore);
      expect(JSON.stringify(plans())).to.not.contain('former').and.not.contain('present');
    }
  });

  it('leaves what is sent by the offerer to be read here, once the answerer alone had another key', () => {
    const call = new ModelCall();
    const sdes = (key: string): string => bodyOf({ protocol: 'RTP/SAVP', lines: [crypto(key)] });
    call.offer(sdes('A'), towards['SDES']);
    call.answer(sdes('B'));
    // Passed through until here; from now on it ends here.
    call.offer(sdes('A'), { ...towards['SDES'], flags: new Set(['recrypt']) });
    call.answer(sdes('C'));
    const state = call.state ?? expect.fail('no call');
    const heard = { direction: 'receive', ssrc: 1, rtp: 1, rtcp: null, offset: 0 } as const;
    call.state = {
      ...state,
      medias: state.medias.map((each) => ({ ...each, srtpIndexes: [heard] })),
    };
    call.offer(sdes('D'), { ...towards['SDES'], flags: new Set(['recrypt']) });
    call.answer(sdes('E'));
    const formers = call.state.medias.map(({ former }) =>
      former?.kind === 'SDES' ? [former.line.key, former.passed] : null,
    );
    expect(formers).to.have.length(2).and.not.include(null);
    for (const former of formers) expect(former?.[1]).to.equal(false);
  });

  it('leaves good what it was before, plain, SDES or DTLS, and takes it back', () => {
    const names = ['plain', 'SDES', 'DTLS'] as const;
    for (const [was, is] of names.flatMap((one) => names.map((two) => [one, two] as const))) {
      if (was === is) continue;
      const text = `${was} → ${is}`;
      const call = callOf(was);
      const negotiate = (name: string): void => {
        call.offer(bodyOf(kind(name)), towards['plain']);
        call.answer(plainSide);
      };
      const offerer = (): TransportPlan['srtp'] | undefined =>
        call.state === null ? null : mediaPlan(call.state, interfaces).transports[2]?.srtp;
      const keys = (): readonly (string | null)[] => {
        const srtp = offerer();
        return [keyText(srtp?.receive), keyText(srtp?.send)];
      };
      const before = keys();
      negotiate(is);
      const check = (): void => {
        const srtp = offerer();
        const [receive, send] = was === 'plain' ? ['plain', null] : before;
        expect([keyText(srtp?.former), keyText(srtp?.formerSend)], text).to.deep.equal([
          receive,
          send,
        ]);
        expect(srtp?.isPlain === true, text).to.equal(is === 'plain');
      };
      check();
      call.state = restored(call.state);
      check();
      // Another one of the same, as final ones repeat it.
      call.answer(plainSide);
      check();
      negotiate(was);
      // Of SDES that has ended we have another key.
      const isKept = was !== 'SDES';
      expect(keys().slice(0, isKept ? 2 : 1), `${text} → ${was}`).to.deep.equal(
        before.slice(0, isKept ? 2 : 1),
      );
      expect(offerer()?.former, text).to.equal(undefined);
    }
  });

  it('counts no longer once what is agreed on now has come', () => {
    for (const [was, is] of [
      ['SDES', 'plain'],
      ['DTLS', 'plain'],
      ['plain', 'SDES'],
    ] as const) {
      const call = callOf(was);
      call.offer(bodyOf(kind(is)), towards['plain']);
      call.answer(plainSide);
      const { state } = call;
      if (state === null) throw new Error('no call');
      const formers = (each: CallState): readonly string[] =>
        each.medias.flatMap(({ former }) => (former === null ? [] : [former.kind]));
      expect(formers(state)).to.deep.equal([was]);
      const of = { callId: state.callId, transportId: 2 };
      const indexes = { ssrc: 1, rtp: 1, rtcp: null, offset: 0 };
      const heard: RelayEvent =
        is === 'plain'
          ? { type: 'plain-heard', ...of }
          : { type: 'srtp-index', ...of, direction: 'receive', isFormer: false, indexes };
      const committed: [CallState, unknown][] = [];
      const table: EventTable = {
        call: () => state,
        tellsOf: () => () => null,
        commit: (next, { media }) => {
          committed.push([next, media]);
          return Promise.resolve('committed');
        },
      };
      applyRelayEvents(table, silent, [heard]);
      expect(committed.map(([next, media]) => [formers(next), media])).to.deep.equal([
        [[], 'reserved'],
      ]);
    }
  });

  it('of one branch leaves nothing to the branch that takes the call', () => {
    const sdes = (key: string): string => bodyOf({ protocol: 'RTP/SAVP', lines: [crypto(key)] });
    const call = new ModelCall();
    call.offer(plainSide, towards['SDES']);
    call.answer(sdes('A'), { toTag: 'x' });
    const early = treatment(call.state).map(({ receive }) => receive);
    call.answer(sdes('B'), { toTag: 'y' });
    const received = treatment(call.state).map(({ receive }) => receive);
    const only = new ModelCall();
    only.offer(plainSide, towards['SDES']);
    only.answer(sdes('B'), { toTag: 'y' });
    const wanted = treatment(only.state).flatMap(({ receive }) => receive ?? []);
    expect(wanted[0]).to.be.a('string');
    expect(early).to.not.include(wanted[0]);
    expect(received).to.include(wanted[0]);
  });
});

describe('a fingerprint by another hash', () => {
  const by = (hash: string, certificate: Buffer): Kind => {
    const hex = createHash(hash.replace('-', '')).update(certificate).digest('hex');
    const text = (hex.toUpperCase().match(/../g) ?? []).join(':');
    const lines = ['a=setup:active', `a=fingerprint:${hash} ${text}`];
    return { protocol: dtlsProtocol, lines };
  };
  const generations = ({ state }: ModelCall): readonly (number | undefined)[] =>
    state === null
      ? []
      : mediaPlan(state, interfaces).transports.map((each) => each.dtls?.generation);

  it('of the certificate that was shown is of the same association, of another one it is not', () => {
    const call = new ModelCall();
    const say = (kind: Kind): void => {
      call.offer(bodyOf(kind), towards['plain']);
      call.answer(plainSide);
    };
    say(by('sha-1', shown));
    call.state = withKeys(call.state);
    for (const hash of ['sha-224', 'sha-256', 'sha-384', 'sha-512', 'sha-1']) {
      say(by(hash, shown));
      expect(generations(call).at(-1), hash).to.equal(0);
      call.state = restored(call.state);
    }
    say(by('sha-256', Buffer.of(7)));
    expect(generations(call).at(-1)).to.equal(1);
    // Nothing was shown in that one yet.
    say(by('sha-512', shown));
    expect(generations(call).at(-1)).to.equal(2);
  });
});

describe('an offer that would change how its receiver is secured', () => {
  it('changes nothing of the media before its answer, and nothing if there is none', () => {
    for (const was of named.filter((name) => name !== 'T.38'))
      for (const [is, keys] of Object.entries(towards)) {
        const call = new ModelCall();
        // It offered first itself, or answered: all the same.
        call.offer(bodyOf(kind(was)), towards['plain']);
        call.answer(plainSide);
        call.state = withKeys(call.state);
        const before = treatment(call.state);
        const tags = { fromTag: 'x', toTag: 'a' };
        call.offer(plainSide, { ...keys, ...tags });
        const text = `${was} → ${is}`;
        // Our new credentials count at once; the peer may check before it has answered.
        const comparable = (all: readonly Treated[]): readonly Treated[] =>
          all.map((each) => ({ ...each, ice: each.ice !== null }));
        expect(comparable(treatment(call.state)), text).to.deep.equal(comparable(before));
        expect(comparable(treatment(restored(call.state))), text).to.deep.equal(comparable(before));
      }
  });
});

describe('a former key without authentication', () => {
  it('is not asked of what comes in the clear from now on: it would take it', () => {
    const call = new ModelCall();
    const open = { protocol: 'RTP/SAVP', lines: [`${crypto('A')} UNAUTHENTICATED_SRTP`] };
    for (const offered of [open, kind('SDES with another key'), kind('plain')]) {
      call.offer(bodyOf(offered), towards['plain']);
      call.answer(plainSide);
    }
    expect(treatment(call.state).map(({ receive, secret }) => [receive, secret])).to.deep.equal(
      treatment(call.state).map(() => [null, false]),
    );
  });
});
