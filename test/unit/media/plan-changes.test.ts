/** Whatever changes of a large call: what is planned of it is what would be planned from nothing. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { CallState, Media } from '../../../src/media/call-state.js';
import { PlanMemory } from '../../../src/media/plan-memory.js';
import { mediaPlan } from '../../../src/media/plan.js';
import { body, ModelCall } from '../../support/unit/media.js';
import { changed, plain } from '../../support/unit/plan-changes.js';

const settings = { measureRtp: false, rtcpIntervalMs: 5000, tellsDigits: true };

/** The list with another entity at a place. */
function replaced<T>(list: readonly T[], pick: number, change: (entity: T) => Partial<T>): T[] {
  const at = pick % list.length;
  return list.map((entity, position) =>
    position === at ? { ...entity, ...change(entity) } : entity,
  );
}

const directions = ['sendrecv', 'sendonly', 'recvonly', 'inactive'] as const;
const mediaFlags = ['echo', 'blackhole', 'asymmetric', 'loop-check', 'rtcp-generator'] as const;
const streamFlags = ['zero-address', 'filled', 'confirmed', 'strict-source'] as const;

function toggled<T>(flags: ReadonlySet<T>, flag: T | undefined): ReadonlySet<T> {
  const next = new Set(flags);
  if (flag !== undefined && !next.delete(flag)) next.add(flag);
  return next;
}

const ofMedia: readonly ((media: Media, pick: number, state: CallState) => Partial<Media>)[] = [
  (_, pick) => ({ direction: directions[pick % 4] ?? 'inactive' }),
  ({ flags }, pick) => ({ flags: toggled(flags, mediaFlags[pick % mediaFlags.length]) }),
  ({ rtcpMux }) => ({ rtcpMux: !rtcpMux }),
  ({ streams }) => ({ streams: [...streams].reverse() }),
  ({ codecs }, pick) => ({ codecs: pick % 2 === 0 ? codecs.slice(1) : [...codecs] }),
  (_, pick) => ({ hiddenExtensions: pick % 2 === 0 ? 'all' : [1, 2] }),
  (_, pick, { medias }) => ({ blockedSources: pick % 3 === 0 ? [] : [pick % medias.length] }),
  (_, pick) => ({ protocol: pick % 2 === 0 ? 'RTP/AVP' : 'RTP/AVPF' }),
  ({ type }) => ({ type: type === 'audio' ? 'video' : 'audio' }),
  ({ subscriptions }, pick) => ({
    subscriptions: subscriptions.filter((__, at) => at !== pick % 3),
  }),
  ({ subscriptions }, pick, { medias }) => {
    const mediaId = medias[(pick * 7) % medias.length]?.id ?? 0;
    const added = {
      ...{ mediaId, offerAnswer: pick % 2 === 0, rtcpOnly: pick % 5 === 0 },
      ...{ egress: pick % 7 === 0, inject: false },
    };
    return { subscriptions: [added, ...subscriptions.filter((each) => each.mediaId !== mediaId)] };
  },
];

const others: readonly ((state: CallState, pick: number) => Partial<CallState>)[] = [
  ({ streams }, pick) => ({
    streams: replaced(streams, pick, ({ flags }) => ({
      flags: toggled(flags, streamFlags[pick % streamFlags.length]),
    })),
  }),
  ({ streams }, pick) => ({
    streams: replaced(streams, pick, ({ endpoint }) => ({
      endpoint: endpoint === null ? { address: '192.0.2.9', port: 4000 } : null,
    })),
  }),
  ({ sockets }, pick) => ({ sockets: replaced(sockets, pick, ({ open }) => ({ open: !open })) }),
  ({ participants }, pick) => ({
    participants: replaced(participants, pick, ({ blockMedia }) => ({ blockMedia: !blockMedia })),
  }),
  ({ blockDtmf }) => ({ blockDtmf: blockDtmf === 'off' ? 'drop' : 'off' }),
];

const changes: readonly ((state: CallState, pick: number) => Partial<CallState>)[] = [
  ...ofMedia.map((change) => (state: CallState, pick: number) => ({
    medias: replaced(state.medias, pick, (media) => change(media, pick, state)),
  })),
  ...others,
];

describe('plans of large calls, changed at random,', () => {
  it('are those that are made from nothing', () => {
    const call = new ModelCall();
    for (let at = 0; at < 18; at += 1) {
      call.offer(body(6000), { viaBranch: `b${at}` });
      const answer = body(7000 + 2 * at, [], '192.0.2.77');
      if (at % 3 > 0) call.answer(answer, { viaBranch: `b${at}`, toTag: `x${at}` });
    }
    const start = call.state ?? expect.fail('no call');
    const { interfaces } = call.context;
    const change = fc.tuple(fc.nat(changes.length - 1), fc.nat(10_000));
    const steps = fc.array(fc.array(change, { minLength: 1, maxLength: 3 }), { maxLength: 8 });
    fc.assert(
      fc.property(steps, (list) => {
        const memory = new PlanMemory(interfaces, settings);
        let state = start;
        let before = memory.plan(state);
        for (const step of list) {
          for (const [which, pick] of step) state = { ...state, ...changes[which]?.(state, pick) };
          const whole = mediaPlan(state, interfaces, settings);
          const plan = memory.plan(state);
          expect(plain(plan)).to.deep.equal(plain(whole));
          const { change } = plan;
          if (change?.since !== undefined && change.since === before.change?.version)
            expect(changed(before, plan)).to.deep.equal(plain(whole));
          before = plan;
        }
      }),
      { numRuns: 60 },
    );
  });
});
