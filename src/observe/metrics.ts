/** The Prometheus text of `/metrics`: rtpengine's names, types and labels (options.md §5), then ours. */
import { setImmediate as turn } from 'node:timers/promises';
import { Counter, Gauge, Registry } from 'prom-client';
import {
  commandNames,
  commitBounds,
  newerCommandNames,
  type CloseReason,
  type Counters,
} from './counters.js';
import { interfaceQuality } from './interface-quality.js';
import type { AddressCounters } from '../media/relay.js';
import type { Gauges } from './statistics.js';

/** What rtpengine has no metric for. */
export interface OwnMetrics {
  /** Replies do not wait for the store, because it is away. */
  readonly storeDegraded: boolean;
  readonly draining: boolean;
  readonly kernelFlows: number;
  /** Packets not relayed, by reason. */
  readonly drops: Readonly<Record<string, number>>;
  /** Packets of the kernel by what became of them; empty without kernel forwarding. */
  readonly kernelPackets: Readonly<Record<string, number>>;
  /** null: there is no replay at takeover. */
  readonly replay: {
    readonly silentMicros: number | null;
    readonly longestGapMicros: number;
    readonly kept: number;
    readonly keptBytes: number;
    readonly repeated: number;
    readonly outdated: number;
    readonly forged: number;
    readonly malformed: number;
    readonly heard: number;
    readonly replayed: number;
    readonly alreadySent: number;
    readonly unknown: number;
    readonly secret: number;
    readonly paths: readonly { readonly received: number }[];
  } | null;
  /** Databases that this node stands by for. */
  readonly standby: readonly {
    readonly database: number;
    readonly waiting: number;
    readonly behindMs: number;
    readonly lastMs: number;
  }[];
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

const reasons: readonly (readonly [label: string, reason: CloseReason])[] = [
  ['timeout', 'timeout'],
  ['silent_timeout', 'silent-timeout'],
  ['final_timeout', 'final-timeout'],
  ['offer_timeout', 'offer-timeout'],
  ['terminated', 'regular'],
  ['force_terminated', 'forced'],
];

/** Written in one go: a fraction of a millisecond. */
const metricsInOneGo = 16;

/** A registry of one scrape: what is counted elsewhere is copied into it. */
class Scrape {
  readonly #registry = new Registry();

  gauge(name: string, help: string, samples: readonly Sample[]): void {
    const metric = new Gauge({ name, help, ...this.#settings(samples) });
    for (const [labels, value] of samples) metric.set(labels, value);
  }

  counter(name: string, help: string, samples: readonly Sample[]): void {
    const metric = new Counter({ name, help, ...this.#settings(samples) });
    for (const [labels, value] of samples) metric.inc(labels, value);
  }

  #settings(samples: readonly Sample[]): { labelNames: string[]; registers: Registry[] } {
    const labelNames = new Set(samples.flatMap(([labels]) => Object.keys(labels)));
    return { labelNames: [...labelNames], registers: [this.#registry] };
  }

  /** As `Registry.metrics` writes it; others have their turn after some of the metrics. */
  async text(): Promise<string> {
    const texts: string[] = [];
    for (const { name } of this.#registry.getMetricsAsArray()) {
      texts.push(await this.#registry.getSingleMetricAsString(name));
      if (texts.length % metricsInOneGo === 0) await turn();
    }
    return texts.join('\n\n');
  }
}

const one = (value: number): readonly Sample[] => [[{}, value]];

/** By where packets were handled. */
const byPath = (userspace: number, kernel: number): readonly Sample[] => [
  [{ type: 'userspace' }, userspace],
  [{ type: 'kernel' }, kernel],
];

function sessions(scrape: Scrape, counters: Counters, gauges: Gauges): void {
  scrape.gauge('rtpengine_sessions', 'Calls of this moment', [
    [{ type: 'own' }, gauges.ownSessions],
    [{ type: 'foreign' }, gauges.foreignSessions],
  ]);
  scrape.gauge('rtpengine_transcoded_media', 'Medias that are transcoded', one(0));
  scrape.gauge('rtpengine_media_cache', 'Files kept in memory', one(0));
  scrape.gauge('rtpengine_player_cache', 'Encoded media kept in memory', one(0));
  scrape.gauge('rtpengine_mediastreams', 'Streams by where they are forwarded', [
    ...byPath(gauges.userspaceStreams, gauges.kernelStreams),
    [{ type: 'mixed' }, 0],
  ]);
  const uptime = Math.floor((gauges.nowMicros - counters.startedMicros) / 1e6);
  scrape.gauge('rtpengine_uptime_seconds', 'Seconds since the start', one(Math.max(0, uptime)));
  scrape.counter(
    'rtpengine_sessions_total',
    'Calls that have ended',
    one(counters.managedSessions),
  );
  scrape.counter('rtpengine_closed_sessions_total', 'Calls by why they ended', [
    [{ reason: 'rejected' }, counters.rejectedSessions],
    ...reasons.map(([label, reason]): Sample => [{ reason: label }, counters.closed[reason]]),
  ]);
  const ended = counters.closedSessions;
  const average = ended === 0 ? 0 : counters.durationSeconds / ended;
  scrape.gauge('rtpengine_call_duration_avg', 'Mean duration of ended calls', one(average));
  scrape.counter(
    'rtpengine_call_duration_total',
    'Seconds of all ended calls',
    one(counters.durationSeconds),
  );
  scrape.counter(
    'rtpengine_call_duration2_total',
    'Squares of their seconds',
    one(counters.duration2Seconds),
  );
}

function packets(scrape: Scrape, counters: Counters, gauges: Gauges): void {
  const { relayedPackets, relayedBytes, relayedErrors, kernel } = gauges;
  const count = (name: string, help: string, samples: readonly Sample[]): void =>
    scrape.counter(`rtpengine_${name}`, help, samples);
  count(
    'packets_total',
    'Packets relayed',
    byPath(Math.max(0, relayedPackets - kernel.packets), kernel.packets),
  );
  count('packet_errors_total', 'Packets that could not be relayed', byPath(relayedErrors, 0));
  count(
    'bytes_total',
    'Payload bytes relayed',
    byPath(Math.max(0, relayedBytes - kernel.bytes), kernel.bytes),
  );
  count('zero_packet_streams_total', 'Streams without a packet', one(counters.zeroWayStreams));
  count('one_way_sessions_total', 'Calls heard on one side only', one(counters.oneWayStreams));
  count('mos_total', 'Sum of all MOS estimates', one(counters.mosSum));
  count('mos2_total', 'Sum of their squares', one(counters.mos2Sum));
  count('mos_samples_total', 'Number of MOS estimates', one(counters.mosSamples));
  for (const [name, value] of counters.quality.entries())
    count(
      name,
      'Media quality by reports, and of ended calls as the relay measured it',
      one(value),
    );
}

function requests(scrape: Scrape, counters: Counters): void {
  const done: Sample[] = [];
  const seconds: Sample[] = [];
  const errors: Sample[] = [];
  for (const [proxy, { commands, errors: count }] of counters.proxies) {
    for (const request of [...commandNames.map(([name]) => name), ...newerCommandNames]) {
      const counted = commands.get(request);
      done.push([{ proxy, request }, counted?.count ?? 0]);
      seconds.push([{ proxy, request }, counted?.seconds ?? 0]);
    }
    errors.push([{ proxy }, count]);
  }
  scrape.counter('rtpengine_requests_total', 'NG commands by proxy', done);
  scrape.counter('rtpengine_request_seconds_total', 'Time spent on them', seconds);
  scrape.counter('rtpengine_errors_total', 'Error replies by proxy', errors);
}

function ports(scrape: Scrape, gauges: Gauges): void {
  const samples = (of: 'used' | 'free' | 'total'): readonly Sample[] =>
    gauges.interfaces.map((entry) => [{ name: entry.name, address: entry.address }, entry[of]]);
  scrape.gauge('rtpengine_ports_used', 'Ports that calls have', samples('used'));
  scrape.gauge('rtpengine_ports_free', 'Ports that are left', samples('free'));
  scrape.gauge('rtpengine_ports', 'Ports of the range', samples('total'));
}

type Interface = Gauges['interfaces'][number];

/** Of each interface by its local address; names that share one have the same numbers. */
function interfaces(scrape: Scrape, counters: Counters, gauges: Gauges): void {
  const samples = (of: (entry: Interface) => number, more: Labels = {}): readonly Sample[] =>
    gauges.interfaces.map((entry) => [
      { name: entry.name, address: entry.address, ...more },
      of(entry),
    ]);
  const count = (name: string, help: string, values: readonly Sample[]): void =>
    scrape.counter(`rtpengine_interface_${name}`, help, values);
  const bothWays = (
    came: (counted: AddressCounters) => number,
    left: (counted: AddressCounters) => number,
  ): readonly Sample[] => {
    const of = (value: typeof came) => (entry: Interface) => {
      const counted = counters.byAddress.get(entry.address);
      return counted === undefined ? 0 : value(counted);
    };
    const directions = [['ingress', came] as const, ['egress', left] as const];
    return directions.flatMap(([direction, value]) => samples(of(value), { direction }));
  };
  count(
    'packets',
    'Packets of an interface',
    bothWays(
      ({ packets: came }) => came,
      ({ packetsOut }) => packetsOut,
    ),
  );
  count(
    'bytes',
    'Their UDP payload',
    bothWays(
      ({ bytes }) => bytes,
      ({ bytesOut }) => bytesOut,
    ),
  );
  count(
    'errors',
    'Packets of an interface that were not relayed',
    bothWays(
      ({ errors }) => errors,
      () => 0,
    ),
  );
  const perAddress = new Map(
    gauges.interfaces.map(({ address }) => [address, new Map(interfaceQuality(counters, address))]),
  );
  for (const [name] of perAddress.values().next().value ?? []) {
    const values = samples(({ address }) => perAddress.get(address)?.get(name) ?? 0);
    count(name, 'Media quality of an interface', values);
  }
}

function ownMetrics(scrape: Scrape, counters: Counters, own: OwnMetrics): void {
  const gauge = (name: string, help: string, value: number): void =>
    scrape.gauge(`rtprelay_${name}`, help, one(value));
  gauge('store_degraded', '1: replies do not wait for Redis', own.storeDegraded ? 1 : 0);
  gauge('draining', '1: no new calls are taken', own.draining ? 1 : 0);
  gauge('kernel_flows', 'Flows that the kernel forwards', own.kernelFlows);
  scrape.counter(
    'rtprelay_dropped_packets_total',
    'Packets that were not relayed, by reason',
    Object.entries(own.drops).map(([reason, count]): Sample => [{ reason }, count]),
  );
  scrape.counter(
    'rtprelay_kernel_packets_total',
    'Packets that the kernel programs saw, by what became of them',
    Object.entries(own.kernelPackets).map(([result, count]): Sample => [{ result }, count]),
  );
  scrape.counter(
    'rtprelay_takeovers_total',
    'Calls taken over from other nodes',
    one(counters.takeovers),
  );
  scrape.counter(
    'rtprelay_taken_over_total',
    'Calls that other nodes took over',
    one(counters.takenOver),
  );
}

function replay(scrape: Scrape, { replay: status }: OwnMetrics): void {
  if (status === null) return;
  const gauge = (name: string, help: string, values: readonly Sample[]): void =>
    scrape.gauge(`rtprelay_replay_${name}`, help, values);
  const { silentMicros } = status;
  if (silentMicros !== null)
    gauge(
      'heartbeat_age_seconds',
      'Since the last heartbeat of the other node',
      one(silentMicros / 1e6),
    );
  gauge(
    'heartbeat_longest_gap_seconds',
    'Longest time between two',
    one(status.longestGapMicros / 1e6),
  );
  gauge('kept_packets', 'Packets to the other node in memory', one(status.kept));
  gauge('kept_bytes', 'Memory that they take', one(status.keptBytes));
  scrape.counter(
    'rtprelay_replay_path_heartbeats_total',
    'Heartbeats of the other node by path',
    status.paths.map(({ received }, at): Sample => [{ path: String(at + 1) }, received]),
  );
  scrape.counter('rtprelay_replay_heartbeats_refused_total', 'Heartbeats that were not taken', [
    ...(['repeated', 'outdated', 'forged', 'malformed'] as const).map((reason): Sample => [
      { reason },
      status[reason],
    ]),
  ]);
  scrape.counter(
    'rtprelay_replay_heard_packets_total',
    'Packets to the other node that were heard',
    one(status.heard),
  );
  scrape.counter(
    'rtprelay_replay_packets_total',
    'Packets that were kept when an address came, by what became of them',
    [
      [{ result: 'replayed' }, status.replayed],
      [{ result: 'already-sent' }, status.alreadySent],
      [{ result: 'unknown' }, status.unknown],
      [{ result: 'secret' }, status.secret],
    ],
  );
}

function standby(scrape: Scrape, { standby: databases }: OwnMetrics): void {
  const samples = (of: (entry: OwnMetrics['standby'][number]) => number): readonly Sample[] =>
    databases.map((entry) => [{ keyspace: String(entry.database) }, of(entry)]);
  const gauge = (name: string, help: string, values: readonly Sample[]): void =>
    scrape.gauge(`rtprelay_standby_${name}`, help, values);
  gauge(
    'behind_seconds',
    'Age of the oldest change of a followed database that is not taken over yet, 0 none',
    samples(({ behindMs }) => behindMs / 1000),
  );
  gauge(
    'lag_seconds',
    'How long the last change took to be taken over',
    samples(({ lastMs }) => lastMs / 1000),
  );
  gauge(
    'waiting',
    'Changes that are not taken over yet',
    samples(({ waiting }) => waiting),
  );
}

/** What prom-client can only count by itself. */
function commitHistogram({ commits }: Counters): string {
  const name = 'rtprelay_commit_seconds';
  let sum = 0;
  const buckets = commits.counts.map((count, at) => {
    sum += count;
    return `${name}_bucket{le="${commitBounds[at] ?? '+Inf'}"} ${sum}\n`;
  });
  return (
    `# HELP ${name} How long NG replies waited for the store\n# TYPE ${name} histogram\n` +
    `${buckets.join('')}${name}_sum ${commits.seconds}\n${name}_count ${sum}\n`
  );
}

/** The text of one scrape. */
export async function metricsText(
  counters: Counters,
  gauges: Gauges,
  own: OwnMetrics,
): Promise<string> {
  const scrape = new Scrape();
  sessions(scrape, counters, gauges);
  packets(scrape, counters, gauges);
  requests(scrape, counters);
  ports(scrape, gauges);
  interfaces(scrape, counters, gauges);
  ownMetrics(scrape, counters, own);
  standby(scrape, own);
  replay(scrape, own);
  return `${await scrape.text()}\n\n${commitHistogram(counters)}`;
}
