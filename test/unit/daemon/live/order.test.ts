import { expect } from 'chai';
import { CallTrack } from '../../../../src/daemon/live/call-track.js';
import { Order } from '../../../../src/daemon/live/order.js';
import { firstWish } from '../../../../src/daemon/live/wish.js';
import { draftOf } from '../../../../src/media/call-state.js';
import { storedCall } from '../../../support/unit/calls.js';

const count = 1500;

/** Calls whose ages are in no order, some of them the same. */
function manyTracks(): ReadonlyMap<string, CallTrack> {
  const state = storedCall();
  const tracks = new Map<string, CallTrack>();
  for (let at = 0; at < count; at += 1) {
    const call = { ...draftOf(state), callId: `call ${at}` };
    call.createdMicros = state.createdMicros + ((at * 7919) % 1000);
    tracks.set(call.callId, new CallTrack(call, () => ''));
  }
  return tracks;
}

describe('the order of thousands of calls on the live page', () => {
  const wish = { ...firstWish, sort: 'age', descending: true } as const;

  it('is made in slices, and said to be there once', async () => {
    const tracks = manyTracks();
    let turns = 0;
    let made = false;
    const order = new Order(() => (made = true));
    expect(order.of(wish, tracks, 0)).to.equal(null);
    expect(made).to.equal(false);
    for (; !made && turns < 10_000; turns += 1)
      await new Promise((resolve) => setImmediate(resolve));
    expect(turns).to.be.at.least(1);
    const sorted = [...tracks.values()].sort(
      (a, b) => a.createdMicros - b.createdMicros || (a.callId < b.callId ? -1 : 1),
    );
    const ids = (list: readonly CallTrack[] | null): string[] =>
      (list ?? []).map(({ callId }) => callId);
    expect(ids(order.of(wish, tracks, 1))).to.deep.equal(ids(sorted));
    // The old one serves until there is a new one.
    expect(order.of(wish, tracks, 10_000)).to.have.length(count);
    expect(order.of({ ...wish, search: 'call 17' }, tracks, 10_001)).to.equal(null);
  });

  it('is the same in slices as at once, by whatever it is sorted', async () => {
    const tracks = manyTracks();
    let rate = 1;
    for (const track of tracks.values()) {
      rate = (rate * 48_271) % 2_147_483_647;
      track.packetsPerSecond = rate % 100;
      track.mos = rate % 3 === 0 ? null : (rate % 40) / 10;
    }
    const numbers = {
      rate: ({ packetsPerSecond }: CallTrack): number => packetsPerSecond,
      mos: ({ mos }: CallTrack): number | null => mos,
      id: (): number => 0,
    };
    for (const sort of ['rate', 'mos', 'id'] as const) {
      for (const descending of [true, false]) {
        let made = false;
        const order = new Order(() => (made = true));
        const asked = { ...wish, sort, descending };
        expect(order.of(asked, tracks, 0)).to.equal(null);
        while (!made) await new Promise((resolve) => setImmediate(resolve));
        const sign = descending ? -1 : 1;
        const byId = (a: CallTrack, b: CallTrack): number => (a.callId < b.callId ? -1 : 1);
        const expected = [...tracks.values()].sort((a, b) => {
          const [x, y] = [numbers[sort](a), numbers[sort](b)];
          if (sort === 'id') return sign * byId(a, b);
          if (x !== y) return x === null ? 1 : y === null ? -1 : sign * (x - y);
          return a.createdMicros - b.createdMicros || byId(a, b);
        });
        const ids = (list: readonly CallTrack[] | null): string[] =>
          (list ?? []).map(({ callId }) => callId);
        expect(ids(order.of(asked, tracks, 1)), `${sort} ${descending}`).to.deep.equal(
          ids(expected),
        );
      }
    }
  });
});
