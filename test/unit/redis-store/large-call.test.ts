/** A call of many branches: what did not change is not made again, and what is written is the same. */
import { expect } from 'chai';
import type { CallState } from '../../../src/media/call-state.js';
import { withoutParticipant } from '../../../src/media/removal.js';
import { restricted } from '../../../src/media/restriction.js';
import { encodeCall } from '../../../src/redis-store/codec.js';
import { EncodedCalls } from '../../../src/redis-store/encode-output.js';
import type { CodecSettings, StoredFormat } from '../../../src/redis-store/schema.js';
import { asItIs, type CallMoment } from '../../../src/redis-store/store.js';
import { body, ModelCall } from '../media/support.js';
import { settings } from './support.js';

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

describe('a call of many branches', () => {
  for (const format of ['JSON', 'JSON-12.5', 'JSON-10.5'] satisfies StoredFormat[]) {
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
