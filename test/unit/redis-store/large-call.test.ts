/** A call of many branches: what did not change is not made again, and what is written is the same. */
import { expect } from 'chai';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import type { CallState } from '../../../src/media/call-state.js';
import { withoutParticipant } from '../../../src/media/removal.js';
import { restricted } from '../../../src/media/restriction.js';
import { decodeBencode } from '../../../src/ng-protocol/bencode.js';
import { decodeCall, encodeCall, encodeNext } from '../../../src/redis-store/codec.js';
import { EncodedCalls } from '../../../src/redis-store/encoded-calls.js';
import type { CodecSettings, StoredFormat } from '../../../src/redis-store/schema.js';
import { asItIs, type CallMoment } from '../../../src/redis-store/store.js';
import {
  spoiltByte,
  type ValueEdit,
  type ValueReceipt,
} from '../../../src/redis-store/value-edit.js';
import { bencodeText, leastRoom } from '../../../src/redis-store/value-text.js';
import { body, ModelCall } from '../../support/unit/media.js';
import { settings } from '../../support/unit/redis-store.js';

const branches = 24;

const callee = (port: number): string => body(port, [], '192.0.2.77');

const stateOf = ({ state }: ModelCall): CallState => state ?? expect.fail('no call');

const block = (command: 'block media' | 'unblock media') =>
  ({
    ...{ command, all: false, fromTag: 'x5', toTag: null, viaBranch: null, label: null },
    ...{ address: null, setLabel: null, dtmf: null, toLabel: null, flows: null },
  }) as unknown as Parameters<typeof restricted>[1];

/** The states of a call that forks, is answered, restricted, and loses branches. */
function* states(): Generator<CallState> {
  const call = new ModelCall();
  for (let at = 0; at < branches; at += 1) {
    call.offer(body(6000), { viaBranch: `b${at}` });
    yield stateOf(call);
  }
  for (let at = 0; at < branches; at += 3) {
    call.answer(callee(7000 + 2 * at), { viaBranch: `b${at}`, toTag: `x${at}` });
    yield stateOf(call);
  }
  for (const at of [3, 0, 9]) {
    call.state = withoutParticipant(stateOf(call), call.participant(`x${at}`).id);
    yield stateOf(call);
  }
  call.offer(body(6000, [], '0.0.0.0'), { toTag: 'x6' });
  yield stateOf(call);
  call.answer(callee(9000), { toTag: 'x6' });
  yield stateOf(call);
}

const keys = [1, 2].map(
  (tag) => `a=crypto:${tag} AES_CM_128_HMAC_SHA1_80 inline:${String(tag).repeat(40)}`,
);
const secured = (sdp: string): string => sdp.replace('RTP/AVP', 'RTP/SAVP');

/** The same with keys by SDES, of which the callees choose the second one. */
function* securedStates(): Generator<CallState> {
  const call = new ModelCall();
  for (let at = 0; at < branches; at += 1) {
    const viaBranch = `b${at}`;
    call.offer(secured(body(6000, keys)), { viaBranch });
    yield stateOf(call);
    if (at % 3 !== 0) continue;
    const chosen = body(7000 + 2 * at, keys.slice(1), '192.0.2.77');
    call.answer(secured(chosen), { viaBranch, toTag: `x${at}` });
    yield stateOf(call);
  }
}

function* allStates(): Generator<CallState> {
  yield* states();
  yield* securedStates();
}

/** The list with one entity in another's place. */
const replaced = <T extends { readonly id: number }>(list: readonly T[], entity: T): T[] =>
  list.map((each) => (each.id === entity.id ? entity : each));

const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const;
const flagSets = [['echo'], ['blackhole'], ['passthrough']] as const;

/** What may change of one entity at a time, whatever it means. */
const singleChanges: readonly ((state: CallState, pick: number) => Partial<CallState> | null)[] = [
  ({ medias }, pick) => {
    const media = medias[pick % medias.length];
    return media ? { medias: replaced(medias, { ...media, rtcpMux: !media.rtcpMux }) } : null;
  },
  ({ medias }, pick) => {
    const media = medias[pick % medias.length];
    const direction = directions[pick % 4] ?? 'inactive';
    return media ? { medias: replaced(medias, { ...media, direction }) } : null;
  },
  ({ medias }, pick) => {
    const media = medias[pick % medias.length];
    const flags = new Set([...(media?.flags ?? []), ...(flagSets[pick % 3] ?? [])]);
    return media ? { medias: replaced(medias, { ...media, flags }) } : null;
  },
  ({ medias }, pick) => {
    const media = medias[pick % medias.length];
    const subscriptions = media?.subscriptions.filter((_, at) => at !== pick % 3) ?? [];
    return media ? { medias: replaced(medias, { ...media, subscriptions }) } : null;
  },
  ({ medias }, pick) => {
    const [media, other] = [medias[pick % medias.length], medias[(pick * 7) % medias.length]];
    if (media === undefined || other === undefined || media === other) return null;
    const wanted = { offerAnswer: pick % 2 === 0, rtcpOnly: pick % 5 === 0, egress: false };
    const added = { mediaId: other.id, ...wanted, inject: pick % 11 === 0 };
    const others = media.subscriptions.filter(({ mediaId }) => mediaId !== other.id);
    return { medias: replaced(medias, { ...media, subscriptions: [added, ...others] }) };
  },
  ({ medias }, pick) => {
    const media = medias[pick % medias.length];
    return media ? { medias: replaced(medias, { ...media, streams: [...media.streams] }) } : null;
  },
  ({ streams }, pick) => {
    const stream = streams[pick % streams.length];
    const endpoint = { address: '198.51.100.9', port: 4000 + (pick % 1000) };
    const advertisedEndpoint = stream?.advertisedEndpoint === null ? endpoint : null;
    return stream ? { streams: replaced(streams, { ...stream, advertisedEndpoint }) } : null;
  },
  ({ sockets }, pick) => {
    const socket = sockets[pick % sockets.length];
    return socket ? { sockets: replaced(sockets, { ...socket, port: 1 + (pick % 60_000) }) } : null;
  },
  ({ endpointMaps }, pick) => {
    const map = endpointMaps[pick % endpointMaps.length];
    return map
      ? { endpointMaps: replaced(endpointMaps, { ...map, wildcard: !map.wildcard }) }
      : null;
  },
  ({ participants }, pick) => {
    const participant = participants[pick % participants.length];
    const medias = [...(participant?.medias ?? [])].reverse();
    return participant
      ? { participants: replaced(participants, { ...participant, medias }) }
      : null;
  },
  ({ participants }, pick) => {
    const participant = participants[pick % participants.length];
    const sdpSent = participant?.sdpSent === null ? participant.sdpReceived : null;
    return participant
      ? { participants: replaced(participants, { ...participant, sdpSent }) }
      : null;
  },
];

/** Entities of `next` that are not those of `previous`, by kind. */
function changed(next: CallState, previous: CallState): Record<string, number> {
  const count = <T>(a: readonly T[], b: readonly T[]): number =>
    a.filter((entity, at) => entity !== b[at]).length;
  return {
    participants: count(next.participants, previous.participants),
    medias: count(next.medias, previous.medias),
    streams: count(next.streams, previous.streams),
    sockets: count(next.sockets, previous.sockets),
    maps: count(next.endpointMaps, previous.endpointMaps),
  };
}

const formats = ['JSON', 'JSON-12.5', 'JSON-10.5', 'bencode'] satisfies StoredFormat[];

/** What is stored after an edit. */
function edited(stored: Buffer, { before, at, bytes, spoilt }: ValueEdit): Buffer {
  expect(before.length).to.equal(stored.length);
  const ends = [stored.subarray(0, before.head), stored.subarray(at - before.tail, at)];
  expect(createHash('sha1').update(Buffer.concat(ends)).digest('hex')).to.equal(before.digest);
  const next = Buffer.alloc(Math.max(stored.length, at + bytes.length));
  stored.copy(next);
  bytes.copy(next, at);
  for (const place of spoilt) {
    expect(String.fromCharCode(next[place] ?? 0)).to.match(/[a-z]/);
    next[place] = spoiltByte.charCodeAt(0);
  }
  return next;
}

/** All that it says by its names; of bencode each of them stands once. */
function memberOf(value: Buffer, format: StoredFormat): unknown {
  if (format !== 'bencode') return JSON.parse(value.toString('latin1'));
  const members = decodeBencode(value) as ReadonlyMap<string, unknown>;
  const isSaid = (name: string): boolean =>
    !name.startsWith(spoiltByte) && !name.startsWith('rtprelay_room');
  return new Map([...members].filter(([name]) => isSaid(name)).sort());
}

describe('room in a value', () => {
  it('takes as many bytes as it is to, whatever they are', () => {
    for (let bytes = leastRoom; bytes < 12_000; bytes += 1) {
      const room = Buffer.alloc(bytes, 'e');
      room.write(bencodeText.room(bytes), 'latin1');
      const value = decodeBencode(Buffer.concat([Buffer.from('d'), room, Buffer.from('e')]));
      expect((value as ReadonlyMap<string, unknown>).size, String(bytes)).to.equal(1);
    }
  });
});

describe('a call of many branches', () => {
  for (const format of formats) {
    it(`is written byte for byte as if it were made anew (${format})`, () => {
      const before = new EncodedCalls();
      let packets = 0;
      for (const state of allStates()) {
        packets += 1;
        const counted = {
          ...{ packets, bytes: 172 * packets, errors: 0, kernelPackets: 0, kernelBytes: 0 },
          lastPacketMicros: 1_700_000_000_000_000 + packets * 1_000_000,
        };
        const moment: CallMoment = {
          counters: new Map([[packets % 5, counted]]),
          offsetMicros: packets < 30 ? 0 : 3_000_000,
        };
        const written = encodeCall(state, format, settings, moment, before);
        const anew = encodeCall(state, format, settings, moment);
        expect(written.equals(anew), `after ${packets} commands`).to.equal(true);
      }
    });
  }

  for (const format of formats) {
    for (const room of [0, 1 / 4])
      it(`says the same where only what changed is added to what is stored (${format}, room ${room})`, () => {
        const before = new EncodedCalls(room);
        let stored: Buffer = Buffer.alloc(0);
        let receipt: ValueReceipt | null = null;
        let [added, whole, grown] = [0, 0, 0];
        for (const state of allStates()) {
          const next = encodeNext(state, format, settings, asItIs, before, receipt);
          ({ receipt } = next);
          if (Buffer.isBuffer(next.value)) {
            stored = Buffer.from(next.value);
            whole += 1;
          } else {
            const { length } = stored;
            stored = edited(stored, next.value);
            added += 1;
            if (stored.length > length) grown += 1;
          }
          const anew = encodeCall(state, format, settings, asItIs);
          const owner = { ownership: 'own', database: null } as const;
          expect(decodeCall(state.callId, stored, settings, owner)).to.deep.equal(
            decodeCall(state.callId, anew, settings, owner),
          );
          expect(memberOf(stored, format)).to.deep.equal(memberOf(anew, format));
        }
        expect(added).to.be.greaterThan(10);
        expect(whole).to.be.greaterThan(1);
        expect(grown).to.equal(room > 0 ? 0 : added);
      });
  }

  it('is written whole where what is stored is not what was made last', () => {
    const call = new ModelCall();
    for (let at = 0; at < branches; at += 1) call.offer(body(6000), { viaBranch: `b${at}` });
    const before = new EncodedCalls();
    const next = (stored: ValueReceipt | null) => {
      call.offer(body(6000), { viaBranch: 'b1' });
      return encodeNext(stateOf(call), 'JSON', settings, asItIs, before, stored);
    };
    const first = next(null);
    expect(Buffer.isBuffer(first.value)).to.equal(true);
    const second = next(first.receipt);
    expect(Buffer.isBuffer(second.value)).to.equal(false);
    expect(Buffer.isBuffer(next(first.receipt).value)).to.equal(true);
    before.forget('call');
    expect(Buffer.isBuffer(next(second.receipt).value)).to.equal(true);
  });

  it('is so whatever entities change, and how', () => {
    let start: CallState | null = null;
    for (const state of states()) start = state;
    const change = fc.tuple(fc.nat(singleChanges.length - 1), fc.nat(10_000));
    const several = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { maxLength: 6 });
    fc.assert(
      fc.property(several, (steps) => {
        for (const format of formats) {
          const before = new EncodedCalls();
          const continued = new EncodedCalls(1 / 4);
          let state = start ?? expect.fail('no call');
          encodeCall(state, format, settings, asItIs, before);
          let [stored, receipt]: [Buffer, ValueReceipt | null] = [Buffer.alloc(0), null];
          const proceed = (): void => {
            const next = encodeNext(state, format, settings, asItIs, continued, receipt);
            ({ receipt } = next);
            stored = Buffer.isBuffer(next.value) ? next.value : edited(stored, next.value);
          };
          proceed();
          for (const step of steps) {
            for (const [which, pick] of step)
              state = { ...state, ...singleChanges[which]?.(state, pick) };
            const written = encodeCall(state, format, settings, asItIs, before);
            const anew = encodeCall(state, format, settings, asItIs);
            expect(written.equals(anew)).to.equal(true);
            proceed();
            expect(memberOf(stored, format)).to.deep.equal(memberOf(anew, format));
          }
        }
      }),
      { numRuns: 40 },
    );
  });

  it('a command changes the entities of its own branch only', () => {
    const call = new ModelCall();
    for (let at = 0; at < branches; at += 1) call.offer(body(6000), { viaBranch: `b${at}` });
    const before = stateOf(call);
    call.answer(callee(7000), { viaBranch: 'b5', toTag: 'x5' });
    const answered = stateOf(call);
    expect(changed(answered, before)).to.deep.equal({
      // The third media: the branch whose dialogue was the last.
      ...{ participants: 2, medias: 3, streams: 4, sockets: 0, maps: 1 },
    });
    const blocked = restricted(answered, block('block media'));
    expect(changed(blocked, answered)).to.deep.equal({
      ...{ participants: 1, medias: 0, streams: 0, sockets: 0, maps: 0 },
    });
  });

  it('no more sockets and endpoint maps are looked at where there are more', () => {
    const looked = (count: number) => {
      const call = new ModelCall();
      const before = new EncodedCalls();
      for (let at = 0; at < count; at += 1) {
        call.offer(body(6000), { viaBranch: `b${at}` });
        call.answer(callee(7000 + 2 * at), { viaBranch: `b${at}`, toTag: `x${at}` });
      }
      encodeCall(stateOf(call), 'JSON', settings, asItIs, before);
      const looks = { sockets: 0, endpointMaps: 0 };
      for (const command of ['offer', 'answer'] as const) {
        if (command === 'offer') call.offer(body(6000), { viaBranch: 'last' });
        else call.answer(callee(6900), { viaBranch: 'last', toTag: 'xlast' });
        const state = stateOf(call) as CallState & Record<keyof typeof looks, readonly object[]>;
        const { sockets, endpointMaps } = state;
        for (const kind of ['sockets', 'endpointMaps'] as const) {
          const counting = new Proxy(state[kind], {
            get: (of: readonly object[], name) => {
              if (typeof name === 'string' && /^\d+$/.test(name)) looks[kind] += 1;
              return Reflect.get(of, name) as unknown;
            },
          });
          Object.assign(state, { [kind]: counting });
        }
        encodeCall(state, 'JSON', settings, asItIs, before);
        Object.assign(state, { sockets, endpointMaps });
      }
      return looks;
    };
    const [few, many] = [looked(30), looked(120)];
    expect(few.sockets).to.be.greaterThan(0);
    expect(many.sockets).to.equal(few.sockets);
    // The list of the caller's media names each of them, in both commands.
    expect(many.endpointMaps - few.endpointMaps).to.be.at.most(2 * (120 - 30));
  });

  it('only what changed is made again', () => {
    const call = new ModelCall();
    for (let at = 0; at < branches; at += 1) call.offer(body(6000), { viaBranch: `b${at}` });
    const before = new EncodedCalls();
    // Each media that is written asks for it.
    let asked = 0;
    const counting: CodecSettings = {
      ...settings,
      get endpointLearning() {
        asked += 1;
        return settings.endpointLearning;
      },
    };
    encodeCall(stateOf(call), 'JSON', counting, asItIs, before);
    const all = stateOf(call).medias.length;
    expect(asked).to.equal(all);
    asked = 0;
    call.answer(callee(7000), { viaBranch: 'b5', toTag: 'x5' });
    encodeCall(stateOf(call), 'JSON', counting, asItIs, before);
    expect(asked).to.equal(3);
    // A clock that was set changes every time in it.
    asked = 0;
    encodeCall(stateOf(call), 'JSON', counting, { ...asItIs, offsetMicros: 5_000_000 }, before);
    expect(asked).to.equal(all);
    asked = 0;
    before.forget('call');
    encodeCall(stateOf(call), 'JSON', counting, asItIs, before);
    expect(asked).to.equal(all);
  });
});
