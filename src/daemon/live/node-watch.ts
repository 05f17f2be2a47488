/** The node as the live page shows it: its statistics, their last minutes, and what has happened to it. */
import type { Gauges } from '../../observe/statistics.js';
import { drainText, reloadText, restoreText, type NodeStatus } from '../node-status.js';
import { History, slotOf, traceOf } from './history.js';
import type { NodeEvent, NodeStatistics, Progress } from './protocol.js';

export interface NodeSource {
  readonly name: string;
  readonly status: () => NodeStatus;
  readonly gauges: () => Gauges;
  /** Packets not relayed since the start, by reason. */
  readonly drops: () => Readonly<Record<string, number>>;
  /** Wall clock. */
  readonly nowMs: () => number;
}

export interface Quality {
  readonly worstLossPercent: number | null;
  readonly meanMos: number | null;
}

const series = { calls: 0, packets: 1, drops: 2, mos: 3, lag: 4 } as const;
const maxEvents = 200;
/** What a reload has said, as far as an event has room. */
const maxText = 300;

interface Sum {
  values: number[];
  counts: number[];
}

const emptySum = (): Sum => ({ values: [0, 0, 0, 0, 0], counts: [0, 0, 0, 0, 0] });

/** Thread: control. To be asked once a second; memory is bounded. */
export class NodeWatch {
  readonly #source: NodeSource;
  readonly #history: History;
  readonly #events: NodeEvent[] = [];
  #number = 0;
  #before: NodeStatus | null = null;
  #dropsBefore: Readonly<Record<string, number>> = {};
  #drops: NodeStatistics['drops'] = [];
  #sum = emptySum();
  #slot: number;
  #now: Omit<NodeStatistics, 'viewers'> | null = null;

  constructor(source: NodeSource, nowMicros: number) {
    this.#source = source;
    this.#slot = slotOf(nowMicros);
    this.#history = new History(5, this.#slot);
  }

  /** Events after a number. */
  eventsAfter(number: number): readonly NodeEvent[] {
    return this.#events.filter((event) => event.number > number);
  }

  /** The number of the last event. */
  get lastEvent(): number {
    return this.#number;
  }

  statistics(viewers: number): NodeStatistics | null {
    return this.#now === null ? null : { ...this.#now, viewers };
  }

  everySecond(nowMicros: number, quality: Quality): void {
    const status = this.#source.status();
    const gauges = this.#source.gauges();
    this.#notice(this.#before, status);
    this.#before = status;
    this.#countDrops();
    const dropRate = this.#drops.reduce((sum, { perSecond }) => sum + perSecond, 0);
    this.#add(nowMicros, [
      gauges.ownSessions + gauges.foreignSessions,
      gauges.packetRate,
      dropRate,
      quality.meanMos ?? NaN,
      status.standby.length === 0 ? NaN : lagOf(status),
    ]);
    this.#now = this.#statisticsOf(status, gauges, quality, nowMicros);
  }

  #countDrops(): void {
    const before = this.#dropsBefore;
    const drops = this.#source.drops();
    this.#drops = Object.entries(drops)
      .map(([reason, total]) => ({
        ...{ reason, total },
        perSecond: Math.max(0, total - (before[reason] ?? total)),
      }))
      .filter(({ total }) => total > 0)
      .sort((a, b) => b.total - a.total);
    this.#dropsBefore = drops;
  }

  /** Means of the second's values make a slot. */
  #add(nowMicros: number, values: readonly number[]): void {
    const slot = slotOf(nowMicros);
    if (slot !== this.#slot) {
      const { values: sums, counts } = this.#sum;
      const means = sums.map((sum, at) => (counts[at] === 0 ? NaN : sum / (counts[at] ?? 1)));
      this.#history.set(slot - 1, means);
      this.#sum = emptySum();
      this.#slot = slot;
    }
    values.forEach((value, at) => {
      if (Number.isNaN(value)) return;
      this.#sum.values[at] = (this.#sum.values[at] ?? 0) + value;
      this.#sum.counts[at] = (this.#sum.counts[at] ?? 0) + 1;
    });
  }

  #statisticsOf(
    status: NodeStatus,
    gauges: Gauges,
    quality: Quality,
    nowMicros: number,
  ): Omit<NodeStatistics, 'viewers'> {
    const { version, uptimeSeconds, own, foreign, store, standby, addresses } = status;
    const slot = slotOf(nowMicros);
    const read = (name: keyof typeof series, least: number): NodeStatistics['traces']['calls'] =>
      traceOf(this.#history.read(series[name], slot), least);
    return {
      ...{ name: this.#source.name, nowMs: this.#source.nowMs() },
      ...{ version, uptimeSeconds, own, foreign, store, standby, addresses, ...quality },
      ...{ takeovers: status.takeovers, takenOver: status.takenOver },
      packetsPerSecond: gauges.packetRate,
      bitsPerSecond: 8 * gauges.byteRate,
      errorsPerSecond: gauges.errorRate,
      drops: this.#drops,
      kernel:
        status.kernel === null
          ? null
          : { ...status.kernel, packetsPerSecond: Math.max(0, gauges.kernel.packetRate) },
      traces: {
        calls: read('calls', 10),
        packets: read('packets', 100),
        drops: read('drops', 10),
        mos: read('mos', 5),
        lag: read('lag', 100),
      },
      progress: progressOf(status),
    };
  }

  #say(kind: NodeEvent['kind'], text: string): void {
    this.#number += 1;
    const atMs = this.#source.nowMs();
    this.#events.push({ number: this.#number, atMs, kind, text: text.slice(0, maxText) });
    if (this.#events.length > maxEvents) this.#events.shift();
  }

  /** What differs from a second ago is an event. */
  #notice(before: NodeStatus | null, now: NodeStatus): void {
    const calls = (count: number): string => (count === 1 ? 'a call' : `${count} calls`);
    if (before === null) {
      const restored = now.restore === null ? '' : `: ${restoreText(now.restore)}`;
      this.#say('start', `rtprelayd ${now.version} has started${restored}`);
      return;
    }
    const taken = now.takeovers - before.takeovers;
    if (taken > 0) this.#say('takeover', `took over ${calls(taken)} of another node`);
    const lost = now.takenOver - before.takenOver;
    if (lost > 0) this.#say('lost', `another node took over ${calls(lost)}`);
    for (const { address, held } of now.addresses) {
      const known = before.addresses.find((each) => each.address === address);
      if (known === undefined || known.held === held) continue;
      this.#say('address', `${address} has ${held ? 'come to' : 'left'} this node`);
    }
    if (before.store !== now.store) {
      this.#say('store', now.store === 'degraded' ? 'Redis is away' : 'Redis has every call again');
    }
    if (before.drain === null && now.drain !== null) this.#say('drain', drainText(now.drain));
    if (before.drain !== null && now.drain === null) this.#say('drain', 'takes new calls again');
    const { reload } = now;
    if (reload !== null && !reload.running && reload.atMs !== (before.reload?.atMs ?? 0)) {
      this.#say('reload', reloadText(reload));
    }
    if (before.kernel?.mode !== now.kernel?.mode) {
      this.#say('kernel', `kernel forwarding: ${now.kernel?.mode ?? 'none'}`);
    }
  }
}

const lagOf = ({ standby }: NodeStatus): number =>
  standby.reduce((most, { behindMs }) => Math.max(most, behindMs), 0);

function progressOf({ restore, drain, reload }: NodeStatus): readonly Progress[] {
  const list: Progress[] = [];
  if (restore !== null) {
    const { running, restored, expected } = restore;
    const part = expected === null || expected < restored ? null : restored / Math.max(1, expected);
    const share = running ? part : 1;
    list.push({ what: 'restore', text: restoreText(restore), share, running });
  }
  if (drain !== null) {
    const share = drain.calls === 0 ? 1 : (drain.calls - drain.left) / drain.calls;
    list.push({ what: 'drain', text: drainText(drain), share, running: true });
  }
  if (reload !== null) {
    const { running } = reload;
    list.push({ what: 'reload', text: reloadText(reload), share: running ? null : 1, running });
  }
  return list;
}
