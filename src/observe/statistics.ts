/** The sections of `statistics` and `list jsonstats` (options.md §8; samples of 10.5). */
import { commandNames, type Counters } from './counters.js';
import type { NgDictionary, NgValue } from '../ng-protocol/dictionary.js';

/** State of the moment that belongs beside the counters. */
export interface Gauges {
  readonly nowMicros: number;
  readonly ownSessions: number;
  readonly foreignSessions: number;
  readonly userspaceStreams: number;
  /** Since the last report, per second. */
  readonly packetRate: number;
  readonly byteRate: number;
  readonly errorRate: number;
  readonly relayedPackets: number;
  readonly relayedBytes: number;
  readonly relayedErrors: number;
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

/** As numbers: seconds for durations. The reply shows those of `decimals` as strings. */
export interface StatisticsSections {
  readonly currentstatistics: Numbers;
  readonly totalstatistics: Numbers;
  readonly intervalstatistics: Numbers;
  readonly mos: Numbers;
  readonly controlstatistics: Record<
    string,
    number | readonly Readonly<Record<string, number | string>>[]
  >;
  readonly interfaces: readonly NgDictionary[];
  readonly transcoders: readonly NgDictionary[];
}

const fixed = (value: number): string => value.toFixed(6);

const deviation = (sum: number, sum2: number, count: number): number => {
  if (count === 0) return 0;
  const mean = sum / count;
  return Math.sqrt(Math.max(0, sum2 / count - mean * mean));
};

export function statisticsSections(counters: Counters, gauges: Gauges): StatisticsSections {
  return {
    currentstatistics: currentSection(gauges),
    totalstatistics: totalSection(counters, gauges),
    intervalstatistics: intervalSection(counters, gauges),
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
  const { ownSessions, foreignSessions, packetRate, byteRate, errorRate } = gauges;
  return {
    sessionsown: ownSessions,
    sessionsforeign: foreignSessions,
    sessionstotal: ownSessions + foreignSessions,
    transcodedmedia: 0,
    packetrate_user: packetRate,
    byterate_user: byteRate,
    errorrate_user: errorRate,
    packetrate_kernel: 0,
    byterate_kernel: 0,
    errorrate_kernel: 0,
    packetrate: packetRate,
    byterate: byteRate,
    errorrate: errorRate,
    media_userspace: gauges.userspaceStreams,
    media_kernel: 0,
    media_mixed: 0,
  };
}

function totalSection(counters: Counters, gauges: Gauges): Numbers {
  const ended = counters.closedSessions;
  const { relayedPackets, relayedBytes, relayedErrors } = gauges;
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
    relayedpackets_user: relayedPackets,
    relayedpacketerrors_user: relayedErrors,
    relayedbytes_user: relayedBytes,
    relayedpackets_kernel: 0,
    relayedpacketerrors_kernel: 0,
    relayedbytes_kernel: 0,
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

/** Sums of one command over all proxies. */
function commandTotals(counters: Counters, command: string): readonly number[] {
  let count = 0;
  let seconds = 0;
  let min = Infinity;
  let max = 0;
  for (const { commands } of counters.proxies.values()) {
    const figures = commands.get(command);
    if (figures === undefined) continue;
    count += figures.count;
    seconds += figures.seconds;
    min = Math.min(min, figures.minSeconds);
    max = Math.max(max, figures.maxSeconds);
  }
  return count === 0 ? [0, 0, 0, 0] : [count, min, max, seconds / count];
}

function intervalSection(counters: Counters, gauges: Gauges): Numbers {
  const section: Numbers = {
    totalcallsduration: counters.durationSeconds,
    minmanagedsessions: counters.minManagedSessions,
    maxmanagedsessions: counters.maxManagedSessions,
  };
  const uptime = Math.max(1, (gauges.nowMicros - counters.startedMicros) / 1e6);
  for (const [command] of commandNames) {
    const [, min = 0, max = 0, average = 0] = commandTotals(counters, command);
    section[`min${command}delay`] = min;
    section[`max${command}delay`] = max;
    section[`avg${command}delay`] = average;
  }
  for (const [command] of commandNames) {
    const [count = 0] = commandTotals(counters, command);
    const rate = count / uptime;
    section[`min${command}requestrate`] = rate;
    section[`max${command}requestrate`] = rate;
    section[`avg${command}requestrate`] = rate;
  }
  return section;
}

function controlSection(counters: Counters): StatisticsSections['controlstatistics'] {
  const proxies = [...counters.proxies].map(([proxy, { commands, errors }]) => {
    const entry: Record<string, number | string> = { proxy };
    for (const [command, short] of commandNames) {
      const figures = commands.get(command);
      entry[`${short}count`] = figures?.count ?? 0;
      entry[`${short}duration`] = fixed(figures?.seconds ?? 0);
    }
    entry['errorcount'] = errors;
    return entry;
  });
  const section: StatisticsSections['controlstatistics'] = { proxies };
  for (const [command, short] of commandNames) {
    section[`total${short}count`] = commandTotals(counters, command)[0] ?? 0;
  }
  return section;
}

function interfaceEntry(entry: Gauges['interfaces'][number]): NgDictionary {
  const percent = entry.total === 0 ? 0 : (entry.used * 100) / entry.total;
  return new Map<string, NgValue>([
    ['name', entry.name],
    ['address', entry.address],
    [
      'ports',
      new Map<string, NgValue>([
        ['min', entry.portMin],
        ['max', entry.portMax],
        ['used', entry.used],
        ['used_pct', percent.toFixed(2)],
        ['free', entry.free],
        ['totals', entry.total],
        ['last', entry.last],
      ]),
    ],
  ]);
}

/** Members that are fractions and so travel as strings. */
const decimals: ReadonlySet<string> = new Set([
  'avgcallduration',
  'totalcallsduration',
  'totalcallsduration2',
  'totalcallsduration_stddev',
  'mos_total',
  'mos2_total',
  'mos_average',
  'mos_stddev',
]);

function section(numbers: Numbers, isDecimal: (key: string) => boolean): NgDictionary {
  return new Map<string, NgValue>(
    Object.entries(numbers).map(([key, value]) => [
      key,
      key === 'uptime' || key.endsWith('requestrate')
        ? String(Math.round(value))
        : isDecimal(key)
          ? fixed(value)
          : Math.round(value),
    ]),
  );
}

/** The value of `statistics` in the NG reply. */
export function statisticsDictionary(counters: Counters, gauges: Gauges): NgDictionary {
  const sections = statisticsSections(counters, gauges);
  const control = new Map<string, NgValue>(
    Object.entries(sections.controlstatistics).map(([key, value]) => [
      key,
      typeof value === 'number' ? value : value.map((entry) => new Map(Object.entries(entry))),
    ]),
  );
  const isDecimal = (key: string): boolean => decimals.has(key);
  return new Map<string, NgValue>([
    ['currentstatistics', section(sections.currentstatistics, isDecimal)],
    ['totalstatistics', section(sections.totalstatistics, isDecimal)],
    [
      'intervalstatistics',
      section(sections.intervalstatistics, (key) => !key.endsWith('managedsessions')),
    ],
    ['mos', section(sections.mos, isDecimal)],
    ['controlstatistics', control],
    ['interfaces', sections.interfaces],
    ['transcoders', sections.transcoders],
  ]);
}
