/** One report for Graphite's plaintext port: names and order of rtpengine 12.5. */
import { commandNames, newerCommandNames, type CloseReason, type Counters } from './counters.js';
import { noCommands, type IntervalReport } from './interval.js';
import type { Gauges } from './statistics.js';

/** Counts that are reported as what they rose by. */
interface Totals {
  readonly closed: Readonly<Record<CloseReason, number>>;
  readonly managed: number;
  readonly rejected: number;
  readonly zeroWay: number;
  readonly oneWay: number;
  readonly packets: number;
  readonly bytes: number;
  readonly errors: number;
  readonly kernelPackets: number;
  readonly kernelBytes: number;
}

export interface Families {
  readonly ipv4Only: number;
  readonly ipv6Only: number;
  readonly mixed: number;
}

function totalsOf(counters: Counters, gauges: Gauges): Totals {
  return {
    closed: { ...counters.closed },
    managed: counters.managedSessions,
    rejected: counters.rejectedSessions,
    zeroWay: counters.zeroWayStreams,
    oneWay: counters.oneWayStreams,
    packets: gauges.relayedPackets,
    bytes: gauges.relayedBytes,
    errors: gauges.relayedErrors,
    kernelPackets: gauges.kernel.packets,
    kernelBytes: gauges.kernel.bytes,
  };
}

const commands = [...commandNames.map(([name]) => name), ...newerCommandNames];

/** Commands of all proxies together. */
function commandCounts(counters: Counters): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const { commands } of counters.proxies.values()) {
    for (const [name, { count }] of commands) counts.set(name, (counts.get(name) ?? 0) + count);
  }
  return counts;
}

type Line = readonly [name: string, value: string | number];

function commandLines(counters: Counters, report: IntervalReport): readonly Line[] {
  const counts = commandCounts(counters);
  return commands.flatMap((command): readonly Line[] => {
    const of = report.commands.get(command) ?? noCommands;
    // A blank would end the name.
    const name = command.replaceAll(' ', '_');
    return [
      [`${name}_time_min`, of.minSeconds.toFixed(6)],
      [`${name}_time_max`, of.maxSeconds.toFixed(6)],
      [`${name}_time_avg`, of.avgSeconds.toFixed(6)],
      [`${name}s_ps_min`, of.minRate],
      [`${name}s_ps_max`, of.maxRate],
      [`${name}s_ps_avg`, of.avgRate],
      [`${name}_count`, counts.get(command) ?? 0],
    ];
  });
}

/** Remembers what it has reported. */
export class GraphiteReport {
  #before: Totals | null = null;

  constructor(private readonly prefix: string) {}

  /** The text of one report. */
  text(counters: Counters, gauges: Gauges, report: IntervalReport, families: Families): string {
    const now = totalsOf(counters, gauges);
    const before = this.#before;
    this.#before = now;
    const rise = (of: (totals: Totals) => number): number =>
      of(now) - (before === null ? 0 : of(before));
    const closed = (reason: CloseReason): number => rise(({ closed: all }) => all[reason]);
    const packets = rise((totals) => totals.packets);
    const bytes = rise((totals) => totals.bytes);
    const errors = rise((totals) => totals.errors);
    const kernelPackets = rise((totals) => totals.kernelPackets);
    const kernelBytes = rise((totals) => totals.kernelBytes);
    const lines: readonly Line[] = [
      ...commandLines(counters, report),
      ['call_dur', report.callSeconds.toFixed(6)],
      ['average_call_dur', report.averageDuration.toFixed(6)],
      ['forced_term_sess', closed('forced')],
      ['managed_sess', rise((totals) => totals.managed)],
      ['managed_sess_min', report.minSessions],
      ['managed_sess_max', report.maxSessions],
      ['current_sessions_total', gauges.ownSessions + gauges.foreignSessions],
      ['current_sessions_own', gauges.ownSessions],
      ['current_sessions_foreign', gauges.foreignSessions],
      ['current_transcoded_media', 0],
      ['current_sessions_ipv4', families.ipv4Only],
      ['current_sessions_ipv6', families.ipv6Only],
      ['current_sessions_mixed', families.mixed],
      ['nopacket_relayed_sess', rise((totals) => totals.zeroWay)],
      ['oneway_stream_sess', rise((totals) => totals.oneWay)],
      ['regular_term_sess', closed('regular')],
      ['relayed_errors_user', errors],
      ['relayed_packets_user', Math.max(0, packets - kernelPackets)],
      ['relayed_bytes_user', Math.max(0, bytes - kernelBytes)],
      ['relayed_errors_kernel', 0],
      ['relayed_packets_kernel', kernelPackets],
      ['relayed_bytes_kernel', kernelBytes],
      ['relayed_errors', errors],
      ['relayed_packets', packets],
      ['relayed_bytes', bytes],
      ['silent_timeout_sess', closed('silent-timeout')],
      ['final_timeout_sess', closed('final-timeout')],
      ['offer_timeout_sess', closed('offer-timeout')],
      ['timeout_sess', closed('timeout')],
      ['reject_sess', rise((totals) => totals.rejected)],
      ...gauges.interfaces.flatMap(({ name, address, free, used }): readonly Line[] => [
        [`ports_free_${name}_${address}`, free],
        [`ports_used_${name}_${address}`, used],
      ]),
    ];
    const at = Math.floor(gauges.nowMicros / 1e6);
    return lines.map(([name, value]) => `${this.prefix}${name} ${value} ${at}\n`).join('');
  }
}
