/** What a rehearsal may touch of the daemon: nothing that could be seen of it. */
import { expect } from 'chai';
import { Rehearsal } from '../../../src/daemon/rehearsal.js';
import { rehearsedCalls } from '../../../src/daemon/rehearsed-calls.js';
import { SteadyClock } from '../../../src/daemon/clocks.js';
import { HeldAddresses } from '../../../src/daemon/process/held-addresses.js';
import type { CallState } from '../../../src/media/call-state.js';
import { closesCall, type MediaPlan, type ReconcileResult } from '../../../src/media/relay.js';
import { MemoryStore } from '../../../src/redis-store/memory-store.js';
import { until } from '../../support/wait.js';
import { configOf, minimal } from '../../support/unit/config.js';
import { ModelCall } from '../../support/unit/media.js';
import { FakeRelay } from '../../support/unit/calls.js';

class WatchedRelay extends FakeRelay {
  readonly seen: MediaPlan[] = [];
  override reconcile(plan: MediaPlan): ReconcileResult {
    this.seen.push(plan);
    return super.reconcile(plan);
  }
}

class WatchedStore extends MemoryStore {
  readonly rehearsed: CallState[] = [];
  written = 0;
  rehearse(state: CallState): void {
    this.rehearsed.push(state);
  }
  override save(): ReturnType<MemoryStore['save']> {
    this.written += 1;
    return super.save({} as CallState);
  }
}

function rehearsal(
  commands: () => number,
  ended: () => void = () => undefined,
): {
  readonly relay: WatchedRelay;
  readonly store: WatchedStore;
  readonly run: Rehearsal;
} {
  const config = configOf(minimal);
  const relay = new WatchedRelay();
  const store = new WatchedStore();
  const clock = new SteadyClock(Date.now, () => performance.now());
  const held = new HeldAddresses({
    ...{ addresses: () => [], look: () => [], nowMicros: clock.nowMicros },
    watch: () => ({ close: () => undefined }),
    onMoved: () => undefined,
    onUnwatched: () => undefined,
  });
  const { interfaces } = new ModelCall().context;
  const run = new Rehearsal({
    ...{ config, limits: config.limits, interfaces, clock, held, relay, store, commands, ended },
    softwareId: 'test',
  });
  return { relay, store, run };
}

describe('a rehearsal', () => {
  it('signals calls, and the relay gets none of them, the store none to write', async () => {
    const { relay, store, run } = rehearsal(() => 0);
    run.start({}, false);
    await until(() => store.rehearsed.length > 20, 'twenty states');
    run.stop();
    expect(relay.seen.length).to.be.at.least(store.rehearsed.length);
    expect(relay.seen.filter((plan) => !closesCall(plan))).to.deep.equal([]);
    expect(store.written).to.equal(0);
    const answered = store.rehearsed.filter(({ participants }) => participants[1]?.sdpReceived);
    expect(answered).to.not.deep.equal([]);
    const stopped = store.rehearsed.length;
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(store.rehearsed.length).to.equal(stopped);
  });

  it('says once that it has ended', async () => {
    let ends = 0;
    const { run } = rehearsal(
      () => 0,
      () => (ends += 1),
    );
    run.start({}, false);
    await until(() => ends > 0, 'the end', 50_000);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(ends).to.equal(1);
  });

  it('waits while commands come', async () => {
    let commands = 0;
    const { store, run } = rehearsal(() => (commands += 1));
    run.start({}, false);
    await new Promise((resolve) => setTimeout(resolve, 50));
    run.stop();
    expect(store.rehearsed).to.deep.equal([]);
  });

  it('waits after a start that has found calls', async () => {
    const { store, run } = rehearsal(() => 0);
    run.start({}, true);
    await new Promise((resolve) => setTimeout(resolve, 50));
    run.stop();
    expect(store.rehearsed).to.deep.equal([]);
  });

  it('is left out where the environment says so', async () => {
    const { store, run } = rehearsal(() => 0);
    run.start({ RTPRELAY_REHEARSAL: 'no' }, false);
    await new Promise((resolve) => setTimeout(resolve, 20));
    expect(store.rehearsed).to.deep.equal([]);
  });

  it('ends its calls, each with an id of its own', () => {
    const seen = new Set<string>();
    for (const messages of rehearsedCalls()) {
      const texts = messages.map((bytes) => bytes.toString('latin1'));
      expect(texts.at(-1)).to.include('7:command6:delete');
      seen.add(/rehearsal-\d+@/.exec(texts[0] ?? '')?.[0] ?? '');
    }
    expect(seen.size).to.be.above(100);
  });
});
