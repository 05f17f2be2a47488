/** The sections of `statistics` and `list jsonstats` (options.md §8; samples of 10.5). */
import { interfaceQuality } from './interface-quality.js';
import { qualityNames } from './quality-sums.js';
import { commandNames, type Counters } from './counters.js';
import { noCommands, type CommandInterval } from './interval.js';
import type { NgDictionary, NgValue } from '../ng-protocol/dictionary.js';

/** Reads the gauges; what came to and left each interface is brought up to date in the counters as well. */
export type ReadGauges = () => Gauges;

/** State of the moment that belongs beside the counters. */
export interface Gauges {
  readonly nowMicros: number;
  readonly ownSessions: number;
  readonly foreignSessions: number;
  /** Media streams that had a packet in the last second, those that the kernel forwards left out. */
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

/** `name`, `address`, numbers, and what has numbers: `ports`, `voip_metrics`, `ingress`, `egress`. */
export type InterfaceEntry = ReadonlyMap<string, string | number | ReadonlyMap<string, number>>;

/** As numbers, which `list jsonstats` shows: seconds for durations, percent for shares. */
export interface StatisticsSections {
  readonly currentstatistics: Numbers;
  readonly totalstatistics: Numbers;
  readonly intervalstatistics: Numbers;
  readonly mos: Numbers;
  readonly voip_metrics: Numbers;
  readonly controlstatistics: Record<
    string,
    number | readonly Readonly<Record<string, number | string>>[]
  >;
  readonly interfaces: readonly InterfaceEntry[];
  readonly transcoders: readonly NgDictionary[];
}

export const deviation = (sum: number, sum2: number, count: number): number => {
  if (count === 0) return 0;
  const mean = sum / count;
  return Math.sqrt(Math.max(0, sum2 / count - mean * mean));
};

/** All statistics; the order of the keys is that of 10.5. */
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
    voip_metrics: voipSection(counters),
    controlstatistics: controlSection(counters),
    interfaces: gauges.interfaces.map((entry) => interfaceEntry(entry, counters)),
    transcoders: [],
  };
}

/** Known to 12.5 and later. */
function voipSection({ quality }: Counters): Numbers {
  const section: Numbers = {};
  for (const name of qualityNames) {
    const { total, squares, samples } = quality.values[name];
    section[`${name}_total`] = total;
    section[`${name}2_total`] = squares;
    section[`${name}_samples_total`] = samples;
    section[`${name}_average`] = samples === 0 ? 0 : total / samples;
    section[`${name}_stddev`] = deviation(total, squares, samples);
  }
  return { ...section, ...quality.packets };
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

/** The statistics of the last interval reported to Graphite; all zero before, as with rtpengine. */
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
      const counted = commands.get(command);
      entry[`${short}count`] = counted?.count ?? 0;
      entry[`${short}duration`] = counted?.seconds ?? 0;
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

/** What follows `ports` is known to 12.5 and later. */
function interfaceEntry(entry: Gauges['interfaces'][number], counters: Counters): InterfaceEntry {
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
  const counted = counters.byAddress.get(entry.address);
  const way = (packets = 0, bytes = 0, errors = 0): ReadonlyMap<string, number> =>
    new Map([
      ['packets', packets],
      ['bytes', bytes],
      ['errors', errors],
    ]);
  const quality = new Map(interfaceQuality(counters, entry.address));
  const sums = new Map<string, number>();
  for (const name of ['mos', ...qualityNames]) {
    const of = (end: string): number => quality.get(`${name}${end}`) ?? 0;
    const samples = of('_samples_total');
    sums.set(`${name}_total`, of('_total'));
    sums.set(`${name}2_total`, of('2_total'));
    sums.set(`${name}_samples_total`, samples);
    sums.set(`${name}_average`, samples === 0 ? 0 : of('_total') / samples);
    sums.set(`${name}_stddev`, deviation(of('_total'), of('2_total'), samples));
  }
  return new Map<string, string | number | ReadonlyMap<string, number>>([
    ['name', entry.name],
    ['address', entry.address],
    ['ports', ports],
    ['packets_lost', quality.get('packets_lost') ?? 0],
    ['duplicates', quality.get('duplicates') ?? 0],
    ['voip_metrics', sums],
    ['ingress', way(counted?.packets, counted?.bytes, counted?.errors)],
    ['egress', way(counted?.packetsOut, counted?.bytesOut)],
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
  ...qualityNames.flatMap((name) =>
    ['_total', '2_total', '_average', '_stddev'].map((end) => `${name}${end}`),
  ),
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
      dictionary.set(key, typeof value === 'object' ? inReply(value) : value);
    }
    return dictionary;
  });
  return new Map<string, NgValue>([
    ['currentstatistics', section(sections.currentstatistics)],
    ['totalstatistics', section(sections.totalstatistics)],
    ['intervalstatistics', section(sections.intervalstatistics)],
    ['mos', section(sections.mos)],
    ['voip_metrics', section(sections.voip_metrics)],
    ['controlstatistics', control],
    ['interfaces', interfaces],
    ['transcoders', sections.transcoders],
  ]);
}
