/** The sections of `statistics` and `list jsonstats` (options.md §8; samples of 10.5). */
import { commandNames, type Counters } from './counters.js';
import { noCommands, type CommandInterval } from './interval.js';
import type { NgDictionary, NgValue } from '../ng-protocol/dictionary.js';

/** State of the moment that belongs beside the counters. */
export interface Gauges {
  readonly nowMicros: number;
  readonly ownSessions: number;
  readonly foreignSessions: number;
  readonly userspaceStreams: number;
  readonly kernelStreams: number;
  /** Since the last report, per second. */
  readonly packetRate: number;
  readonly byteRate: number;
  readonly errorRate: number;
  readonly relayedPackets: number;
  readonly relayedBytes: number;
  readonly relayedErrors: number;
  /** What of the above the kernel forwarded. */
  readonly kernel: {
    readonly packetRate: number;
    readonly byteRate: number;
    readonly packets: number;
    readonly bytes: number;
  };
  readonly interfaces: readonly {
    readonly name: string;
    readonly address: string;
    readonly portMin: number;
    readonly portMax: number;
    readonly used: number;
    readonly free: number;
    readonly total: number;
    readonly last: number;
  }[];
}

type Numbers = Record<string, number>;

/** `name`, `address` and `ports`, which has numbers. */
type InterfaceEntry = ReadonlyMap<string, string | ReadonlyMap<string, number>>;

/** As numbers, which `list jsonstats` shows: seconds for durations, percent for shares. */
export interface StatisticsSections {
  readonly currentstatistics: Numbers;
  readonly totalstatistics: Numbers;
  readonly intervalstatistics: Numbers;
  readonly mos: Numbers;
  readonly controlstatistics: Record<
    string,
    number | readonly Readonly<Record<string, number | string>>[]
  >;
  readonly interfaces: readonly InterfaceEntry[];
  readonly transcoders: readonly NgDictionary[];
}

const deviation = (sum: number, sum2: number, count: number): number => {
  if (count === 0) return 0;
  const mean = sum / count;
  return Math.sqrt(Math.max(0, sum2 / count - mean * mean));
};

/** All figures; the order of the keys is that of 10.5. */
export function statisticsSections(counters: Counters, gauges: Gauges): StatisticsSections {
  return {
    currentstatistics: currentSection(gauges),
    totalstatistics: totalSection(counters, gauges),
    intervalstatistics: intervalSection(counters),
    mos: {
      mos_total: counters.mosSum,
      mos2_total: counters.mos2Sum,
      mos_samples_total: counters.mosSamples,
      mos_average: counters.mosSamples === 0 ? 0 : counters.mosSum / counters.mosSamples,
      mos_stddev: deviation(counters.mosSum, counters.mos2Sum, counters.mosSamples),
    },
    controlstatistics: controlSection(counters),
    interfaces: gauges.interfaces.map(interfaceEntry),
    transcoders: [],
  };
}

function currentSection(gauges: Gauges): Numbers {
  const { ownSessions, foreignSessions, packetRate, byteRate, errorRate, kernel } = gauges;
  return {
    sessionsown: ownSessions,
    sessionsforeign: foreignSessions,
    sessionstotal: ownSessions + foreignSessions,
    transcodedmedia: 0,
    packetrate_user: packetRate - kernel.packetRate,
    byterate_user: byteRate - kernel.byteRate,
    errorrate_user: errorRate,
    packetrate_kernel: kernel.packetRate,
    byterate_kernel: kernel.byteRate,
    errorrate_kernel: 0,
    packetrate: packetRate,
    byterate: byteRate,
    errorrate: errorRate,
    media_userspace: gauges.userspaceStreams,
    media_kernel: gauges.kernelStreams,
    media_mixed: 0,
  };
}

function totalSection(counters: Counters, gauges: Gauges): Numbers {
  const ended = counters.closedSessions;
  const { relayedPackets, relayedBytes, relayedErrors, kernel } = gauges;
  return {
    uptime: Math.floor((gauges.nowMicros - counters.startedMicros) / 1e6),
    managedsessions: counters.managedSessions,
    rejectedsessions: counters.rejectedSessions,
    timeoutsessions: counters.closed.timeout,
    silenttimeoutsessions: counters.closed['silent-timeout'],
    finaltimeoutsessions: counters.closed['final-timeout'],
    offertimeoutsessions: counters.closed['offer-timeout'],
    regularterminatedsessions: counters.closed.regular,
    forcedterminatedsessions: counters.closed.forced,
    relayedpackets_user: relayedPackets - kernel.packets,
    relayedpacketerrors_user: relayedErrors,
    relayedbytes_user: relayedBytes - kernel.bytes,
    relayedpackets_kernel: kernel.packets,
    relayedpacketerrors_kernel: 0,
    relayedbytes_kernel: kernel.bytes,
    relayedpackets: relayedPackets,
    relayedpacketerrors: relayedErrors,
    relayedbytes: relayedBytes,
    zerowaystreams: counters.zeroWayStreams,
    onewaystreams: counters.oneWayStreams,
    avgcallduration: ended === 0 ? 0 : counters.durationSeconds / ended,
    totalcallsduration: counters.durationSeconds,
    totalcallsduration2: counters.duration2Seconds,
    totalcallsduration_stddev: deviation(
      counters.durationSeconds,
      counters.duration2Seconds,
      ended,
    ),
  };
}

/** The figures of the last interval reported to Graphite; all zero before, as with rtpengine. */
function intervalSection({ interval: { last } }: Counters): Numbers {
  const section: Numbers = {
    totalcallsduration: last?.callSeconds ?? 0,
    minmanagedsessions: last?.minSessions ?? 0,
    maxmanagedsessions: last?.maxSessions ?? 0,
  };
  const of = (command: string): CommandInterval => last?.commands.get(command) ?? noCommands;
  for (const [command] of commandNames) {
    section[`min${command}delay`] = of(command).minSeconds;
    section[`max${command}delay`] = of(command).maxSeconds;
    section[`avg${command}delay`] = of(command).avgSeconds;
  }
  for (const [command] of commandNames) {
    section[`min${command}requestrate`] = of(command).minRate;
    section[`max${command}requestrate`] = of(command).maxRate;
    section[`avg${command}requestrate`] = of(command).avgRate;
  }
  return section;
}

function controlSection(counters: Counters): StatisticsSections['controlstatistics'] {
  const proxies = [...counters.proxies].map(([proxy, { commands, errors }]) => {
    const entry: Record<string, number | string> = { proxy };
    for (const [command, short] of commandNames) {
      const figures = commands.get(command);
      entry[`${short}count`] = figures?.count ?? 0;
      entry[`${short}duration`] = figures?.seconds ?? 0;
    }
    entry['errorcount'] = errors;
    return entry;
  });
  const section: StatisticsSections['controlstatistics'] = { proxies };
  for (const [command, short] of commandNames) {
    let total = 0;
    for (const { commands } of counters.proxies.values())
      total += commands.get(command)?.count ?? 0;
    section[`total${short}count`] = total;
  }
  return section;
}

function interfaceEntry(entry: Gauges['interfaces'][number]): InterfaceEntry {
  const percent = entry.total === 0 ? 0 : (entry.used * 100) / entry.total;
  const ports = new Map<string, number>([
    ['min', entry.portMin],
    ['max', entry.portMax],
    ['used', entry.used],
    ['used_pct', Math.round(percent * 100) / 100],
    ['free', entry.free],
    ['totals', entry.total],
    ['last', entry.last],
  ]);
  return new Map<string, string | ReadonlyMap<string, number>>([
    ['name', entry.name],
    ['address', entry.address],
    ['ports', ports],
  ]);
}

/** Members that are fractions, or numbers that 10.5 writes as text, with their form in the reply. */
function textFormOf(key: string, value: number): string | null {
  if (key === 'uptime' || key.endsWith('requestrate')) return String(Math.round(value));
  if (key === 'used_pct') return value.toFixed(2);
  return key.endsWith('delay') || key.endsWith('duration') || decimals.has(key)
    ? value.toFixed(6)
    : null;
}

const decimals: ReadonlySet<string> = new Set([
  'totalcallsduration2',
  'totalcallsduration_stddev',
  'mos_total',
  'mos2_total',
  'mos_average',
  'mos_stddev',
]);

function inReply(entries: Iterable<readonly [string, string | number]>): NgDictionary {
  const dictionary = new Map<string, NgValue>();
  for (const [key, value] of entries) {
    dictionary.set(
      key,
      typeof value === 'string' ? value : (textFormOf(key, value) ?? Math.round(value)),
    );
  }
  return dictionary;
}

/** The value of `statistics` in the NG reply: bencode has no fractions, so they are texts. */
export function statisticsDictionary(counters: Counters, gauges: Gauges): NgDictionary {
  const sections = statisticsSections(counters, gauges);
  const section = (numbers: Numbers): NgDictionary => inReply(Object.entries(numbers));
  const control = new Map<string, NgValue>();
  for (const [key, value] of Object.entries(sections.controlstatistics)) {
    control.set(
      key,
      typeof value === 'number' ? value : value.map((entry) => inReply(Object.entries(entry))),
    );
  }
  const interfaces = sections.interfaces.map((entry) => {
    const dictionary = new Map<string, NgValue>();
    for (const [key, value] of entry) {
      dictionary.set(key, typeof value === 'string' ? value : inReply(value));
    }
    return dictionary;
  });
  return new Map<string, NgValue>([
    ['currentstatistics', section(sections.currentstatistics)],
    ['totalstatistics', section(sections.totalstatistics)],
    ['intervalstatistics', section(sections.intervalstatistics)],
    ['mos', section(sections.mos)],
    ['controlstatistics', control],
    ['interfaces', interfaces],
    ['transcoders', sections.transcoders],
  ]);
}
