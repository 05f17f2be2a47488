/** Plans of calls with many medias: taken from the plan before as far as they are the same, and never otherwise. */
import { expect } from 'chai';
import { readFileSync } from 'node:fs';
import type { CallState } from '../../../src/media/call-state.js';
import { withOwnership, withStreams } from '../../../src/media/call-change.js';
import { PlanEncoder } from '../../../src/media/plan-codec.js';
import { PlanMemory } from '../../../src/media/plan-memory.js';
import { mediaPlan } from '../../../src/media/plan.js';
import type { MediaPlan } from '../../../src/media/relay.js';
import { withoutParticipant } from '../../../src/media/removal.js';
import { restricted } from '../../../src/media/restriction.js';
import { body, ModelCall } from '../../support/unit/media.js';
import { changed, plain } from '../../support/unit/plan-changes.js';
import { PublishedCall } from '../../support/unit/subscriptions.js';

const branches = 24;
const settings = { measureRtp: false, rtcpIntervalMs: 5000, tellsDigits: false };
const callee = (port: number, ...lines: readonly string[]): string =>
  body(port, lines, '192.0.2.77');

const block = (command: 'block media' | 'unblock media', fromTag: string, toTag: string | null) =>
  ({
    ...{ command, all: false, fromTag, toTag, viaBranch: null, label: null },
    ...{ address: null, setLabel: null, dtmf: null, toLabel: null, flows: null },
  }) as unknown as Parameters<typeof restricted>[1];

/** The streams of the participant with a tag, as `change` makes them. */
function learned(call: ModelCall, tag: string): CallState {
  const state = call.state ?? expect.fail('no call');
  const { medias } = call.participant(tag);
  const streams = state.streams
    .filter(({ mediaId }) => medias.includes(mediaId))
    .map((stream) => {
      const endpoint = { address: '198.51.100.9', port: 4000 + stream.id };
      return [
        stream.id,
        { ...stream, endpoint, learningGeneration: stream.learningGeneration + 1 },
      ] as const;
    });
  return withStreams(state, new Map(streams));
}

/** One entity of the state is another, and nothing else. */
function* singleChanges(state: CallState, of: ModelCall): Generator<CallState> {
  const mediaOf = (tag: string): number => of.participant(tag).medias[0] ?? -1;
  const [offerer, branch] = [mediaOf('a'), mediaOf('x4')];
  const held = state.streams.map((stream) =>
    stream.mediaId === offerer
      ? { ...stream, flags: new Set([...stream.flags, 'zero-address' as const]) }
      : stream,
  );
  yield { ...state, streams: held };
  yield state;
  const medias = state.medias.map((media) =>
    media.id === offerer
      ? { ...media, subscriptions: media.subscriptions.filter((s) => s.mediaId !== branch) }
      : media,
  );
  yield { ...state, medias };
  yield state;
  const given = state.streams.find(({ mediaId }) => mediaId === branch)?.id;
  const sockets = state.sockets.map((socket) =>
    socket.streamId === given ? { ...socket, open: false } : socket,
  );
  yield { ...state, sockets };
  yield state;
}

function* forked(): Generator<CallState> {
  const call = new ModelCall();
  const set = (state: CallState): CallState => (call.state = state);
  const now = (): CallState => call.state ?? expect.fail('no call');
  for (let at = 0; at < branches; at += 1) {
    call.offer(body(6000), { viaBranch: `b${at}` });
    yield now();
    if (at % 2 === 1) continue;
    call.answer(callee(7000 + 2 * at), { viaBranch: `b${at}`, toTag: `x${at}` });
    yield now();
  }
  yield* singleChanges(now(), call);
  yield set(learned(call, 'x4'));
  yield set(restricted(now(), block('block media', 'x4', null)));
  yield set(restricted(now(), block('unblock media', 'x4', null)));
  call.offer(body(6000, [], '0.0.0.0'), { toTag: 'x6' });
  yield now();
  call.answer(callee(9000, 'a=rtcp-mux'), { toTag: 'x6' });
  yield now();
  call.offer(body(6000, ['a=rtcp-mux', 'a=recvonly']), { toTag: 'x8' });
  yield now();
  yield set(withOwnership(now(), { ownership: 'foreign' }));
  yield set(withOwnership(now(), { ownership: 'own' }));
  for (const tag of ['x2', 'x0', 'x10']) {
    yield set(withoutParticipant(now(), call.participant(tag).id));
  }
  call.answer(callee(9200), { toTag: 'x6' });
  yield now();
}

function* published(): Generator<CallState> {
  const call = new PublishedCall();
  call.publish(body(6000, ['a=sendonly']));
  for (let at = 0; at < branches; at += 1) {
    call.subscribe(`s${at}`);
    yield call.present;
    call.accept(`s${at}`, callee(7000 + 2 * at, at % 3 === 0 ? 'a=inactive' : 'a=recvonly'));
    yield call.present;
  }
  call.publish(body(6100, ['a=sendonly']));
  yield call.present;
  call.state = learned(call, 'p');
  yield call.present;
  call.unsubscribe('s3');
  yield call.present;
  call.subscribe('s3');
  yield call.present;
  call.accept('s3', callee(9000, 'a=recvonly', 'a=rtcp-mux'));
  yield call.present;
}

/** One party comes with keys: from then on nothing is taken over. */
function* secured(): Generator<CallState> {
  const call = new ModelCall();
  for (let at = 0; at < branches; at += 1) {
    const key = `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${'1'.repeat(40)}`;
    const offer = at === 20 ? body(6000, [key]).replace('RTP/AVP', 'RTP/SAVP') : body(6000);
    call.offer(offer, { viaBranch: `b${at}` });
    yield call.state ?? expect.fail('no call');
  }
}

const bytesOf = (encoder: PlanEncoder, plan: MediaPlan): string => {
  const { buffer, length } = encoder.encode(plan);
  return buffer.toString('hex', 0, length);
};

/** A call that grows, is held, learns, closes a port and opens it again. */
function* small(): Generator<CallState> {
  const call = new ModelCall();
  const now = (): CallState => call.state ?? expect.fail('no call');
  for (let at = 0; at < 4; at += 1) {
    call.offer(body(6000), { viaBranch: `b${at}` });
    yield now();
    call.answer(callee(7000 + 2 * at), { viaBranch: `b${at}`, toTag: `x${at}` });
    yield now();
  }
  call.offer(body(6000, ['a=rtcp-mux'], '0.0.0.0'), { toTag: 'x2' });
  yield now();
  yield learned(call, 'x2');
  const state = now();
  const closed = state.sockets.map((socket, at) =>
    at === 4 ? { ...socket, open: false } : socket,
  );
  yield { ...state, sockets: closed };
  yield state;
  yield { ...state, tos: 184 };
}

describe('plans of large calls', () => {
  const { interfaces } = new ModelCall().context;

  const cases = { forked, published, secured };
  for (const [name, states] of Object.entries(cases)) {
    it(`are those that are made from nothing, in memory and as bytes: ${name}`, () => {
      const memory = new PlanMemory(interfaces, settings);
      const encoder = new PlanEncoder();
      let [count, changes] = [0, 0];
      let before: MediaPlan | null = null;
      for (const state of states()) {
        const plan = memory.plan(state);
        const whole = mediaPlan(state, interfaces);
        expect(plain(plan), `state ${count}`).to.deep.equal(whole);
        const { change } = plan;
        if (before !== null && change?.since === before.change?.version && change !== undefined) {
          expect(changed(before, plan), `change ${count}`).to.deep.equal(whole);
          changes += 1;
        }
        before = plan;
        expect(bytesOf(encoder, plan), `state ${count}`).to.equal(
          bytesOf(new PlanEncoder(), whole),
        );
        count += 1;
      }
      expect(count).to.be.at.least(branches);
      expect(changes).to.be.at.least(name === 'secured' ? 4 : branches / 2);
    });
  }

  /** The reader in C++ is held to the same file. */
  it('are changed by the bytes of the golden file', () => {
    const memory = new PlanMemory(interfaces, settings, 3);
    const encoder = new PlanEncoder();
    const lines: string[] = [];
    for (const state of small()) {
      const plan = memory.plan(state);
      const { change } = plan;
      if (change === undefined || change === null) continue;
      if (change.since !== null) {
        const { buffer, length } = encoder.encodeChange(plan, change);
        lines.push(`change ${buffer.toString('hex', 0, length)}`);
      }
      lines.push(`plan ${bytesOf(encoder, plan)}`);
    }
    expect(lines).to.have.length.above(16);
    const file = new URL('../../golden/plan-changes.txt', import.meta.url);
    expect(lines.join('\n')).to.equal(readFileSync(file, 'latin1').trimEnd());
  });

  /** Of what each of the last commands has told the addon: bytes, parts, ports and routes. */
  function told(states: Iterable<CallState>): string[] {
    const memory = new PlanMemory(interfaces, settings);
    const encoder = new PlanEncoder();
    return [...states].map((state) => {
      const plan = memory.plan(state);
      const { change } = plan;
      if (change === undefined || change === null || change.since === null) return 'whole';
      const { parts, ports } = change;
      const routes = parts.reduce((sum, each) => sum + (each.routes ?? each.part.routes).length, 0);
      const { length } = encoder.encodeChange(plan, change);
      return `${length} bytes, ${parts.length} parts, ${ports.length} ports, ${routes} routes`;
    });
  }

  it('change by as much, whether a call has few branches or many', () => {
    function* branched(count: number): Generator<CallState> {
      const call = new ModelCall();
      for (let at = 0; at < count; at += 1) {
        call.offer(body(6000), { viaBranch: `b${at}` });
        yield call.state ?? expect.fail('no call');
        call.answer(callee(7000 + 2 * at), { viaBranch: `b${at}`, toTag: `x${at}` });
        yield call.state ?? expect.fail('no call');
      }
    }
    const [few, many] = [told(branched(20)), told(branched(300))];
    expect(few.at(-1)).to.match(/^\d+ bytes, 4 parts, 2 ports, \d+ routes$/);
    expect(many.slice(-2)).to.deep.equal(few.slice(-2));
  });

  it('change by as much, whether somebody has few subscribers or many', () => {
    function* subscribed(count: number): Generator<CallState> {
      const call = new PublishedCall();
      call.publish(body(6000, ['a=sendonly']));
      for (let at = 0; at < count; at += 1) {
        call.subscribe(`s${at}`);
        yield call.present;
        call.accept(`s${at}`, callee(7000 + 2 * at, 'a=recvonly'));
        yield call.present;
      }
    }
    const [few, many] = [told(subscribed(20)), told(subscribed(300))];
    expect(few.at(-1)).to.match(/ bytes, /);
    expect(many.slice(-2)).to.deep.equal(few.slice(-2));
  });

  it('have new entries for what a command concerns alone', () => {
    const memory = new PlanMemory(interfaces, settings);
    const call = new ModelCall();
    const offered = (at: number): MediaPlan => {
      call.offer(body(6000), { viaBranch: `b${at}` });
      return memory.plan(call.state ?? expect.fail('no call'));
    };
    let before = offered(0);
    for (let at = 1; at < branches; at += 1) before = offered(at);
    const after = offered(branches);
    const known = new Set<unknown>(
      [before.ports, before.transports, before.streams, before.routes].flat(),
    );
    const isNew = (entry: unknown): boolean => !known.has(entry);
    // The offerer, the branch that was connected with it before, and the new one.
    expect(after.ports.filter(isNew)).to.have.length(2);
    expect(after.transports.filter(isNew)).to.have.length(6);
    expect(after.streams.filter(isNew)).to.have.length(6);
  });
});
