/** Who gets what in a call, and that the plan, the stored value and the replies say the same of it. */
import { expect } from 'chai';
import { isDictionary } from '../../../src/ng-protocol/dictionary.js';
import { CallIndex } from '../../../src/media/call-index.js';
import type { CallState, Subscription } from '../../../src/media/call-state.js';
import { mediaPlan } from '../../../src/media/plan.js';
import { callDictionary } from '../../../src/observe/query-reply.js';
import { encodeCall } from '../../../src/redis-store/codec.js';
import { settings } from '../../support/unit/redis-store.js';
import { body, interfaces, ModelCall } from '../../support/unit/media.js';

const callee = (port: number): string => body(port, [], '192.0.2.77');

/** Streams 0 and 1 face the callee, 2 and 3 the caller, as rtpengine numbers them. */
function pair(): ModelCall {
  const call = new ModelCall();
  call.offer(body(6000));
  call.answer(callee(7000));
  return call;
}

const stateOf = ({ state }: ModelCall): CallState => state ?? expect.fail('no call');

/** The callee's subscription to the caller, changed. */
function withSubscription(state: CallState, change: Partial<Subscription>): CallState {
  const medias = state.medias.map((media) =>
    media.id === 0
      ? { ...media, subscriptions: media.subscriptions.map((s) => ({ ...s, ...change })) }
      : media,
  );
  return { ...state, medias };
}

/** Stream id -> where its RTP and its RTCP go, by the plan. */
function planned(state: CallState): unknown {
  const { streams, routes } = mediaPlan(state, interfaces);
  const targets = (from: number, kind: string): readonly number[] =>
    routes.filter((r) => r.fromStream === from && r.kind === kind).map((r) => r.toStream);
  return streams.map(({ id }) => [id, targets(id, 'rtp'), targets(id, 'rtcp')]);
}

/** The same by the stored value. */
function stored(state: CallState): unknown {
  const value: unknown = JSON.parse(String(encodeCall(state, 'JSON-10.5', settings)));
  const list = (name: string): unknown =>
    Object.entries(value ?? {}).find(([n]) => n === name)?.[1];
  return state.streams.map(({ id }) => [id, list(`rtp_sinks-${id}`), list(`rtcp_sinks-${id}`)]);
}

describe('the index of a call', () => {
  it('a plain call: each side gets what the other sends', () => {
    const state = stateOf(pair());
    expect(planned(state)).to.deep.equal([
      [0, [2], [3]],
      [1, [], [3]],
      [2, [0], [1]],
      [3, [], [1]],
    ]);
    // RTCP on an RTP port is no route of rtpengine's unless both share it.
    expect(stored(state)).to.deep.equal([
      [0, ['2'], []],
      [1, [], ['3']],
      [2, ['0'], []],
      [3, [], ['1']],
    ]);
  });

  it('a subscription to RTCP only brings no RTP', () => {
    const state = withSubscription(stateOf(pair()), { rtcpOnly: true });
    expect(planned(state)).to.deep.equal([
      [0, [2], [3]],
      [1, [], [3]],
      [2, [], [1]],
      [3, [], [1]],
    ]);
    expect(stored(state)).to.deep.equal([
      [0, ['2'], []],
      [1, [], ['3']],
      [2, [], []],
      [3, [], ['1']],
    ]);
    const index = new CallIndex(state);
    expect(index.subscribersOf(1).map(({ media }) => media.id)).to.deep.equal([0]);
    expect(index.receiversOf(1)).to.deep.equal([]);
  });

  it('on hold by a zero address: still a target of the routes as stored, sent nothing', () => {
    const call = pair();
    const before = stored(stateOf(call));
    call.offer(body(6000, [], '0.0.0.0'), { toTag: 'x' });
    call.answer(callee(7000));
    expect(stored(stateOf(call))).to.deep.equal(before);
    expect(planned(stateOf(call))).to.deep.equal([
      [0, [], []],
      [1, [], []],
      [2, [0], [1]],
      [3, [], [1]],
    ]);
  });

  it('query tells offer/answer from publish/subscribe', () => {
    const state = withSubscription(stateOf(pair()), { offerAnswer: false });
    const nothing = { streams: [], ssrcs: [] };
    const reply = callDictionary(state, nothing, {
      tag: null,
      localAddressOf: () => '192.0.2.1',
      storedMicros: 0,
      ssrcReporting: 'full',
    });
    const tags = reply.get('tags');
    const seen: Record<string, unknown> = {};
    for (const [tag, entry] of isDictionary(tags) ? tags : []) {
      for (const list of ['subscriptions', 'subscribers']) {
        const entries: unknown = isDictionary(entry) ? entry.get(list) : null;
        seen[`${tag} ${list}`] = Array.isArray(entries)
          ? entries.map((e: unknown) => (isDictionary(e) ? Object.fromEntries(e) : null))
          : null;
      }
    }
    expect(seen).to.deep.equal({
      'a subscriptions': [{ tag: 'x', type: 'offer/answer' }],
      'a subscribers': [{ tag: 'x', type: 'pub/sub' }],
      'x subscriptions': [{ tag: 'a', type: 'pub/sub' }],
      'x subscribers': [{ tag: 'a', type: 'offer/answer' }],
    });
  });
});
