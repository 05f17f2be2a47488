/** One scenario with one daemon, once: builds the cluster, lets it happen, and measures. */
import { writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { TemporaryFolder } from '../../test/support/child-process.js';
import { speech } from './audio.js';
import { Cluster, type Settings } from './cluster.js';
import { untilSpareFollows } from './cost.js';
import { MediaLoad, type MediaResult } from './load.js';
import type { Phase, Scenario } from './scenario.js';
import {
  figuresOf,
  latencies,
  longestWay,
  quantile,
  silentCalls,
  type ListedStream,
  type StreamTrace,
} from './trace.js';

/** Media has to flow for so long before the event: the daemons learn addresses in that time. */
const settleMs = 3000;
const second = 1_000_000;
/** So long before the event a window begins. */
const leadMicros = 200_000;
/** Ways of packets are looked at for so long, beginning with what is under way when it happens. */
const wayMicros = 1_500_000;
const underWayMicros = 20_000;
/** A spare process has so long to come as far as the active one. */
const warmLimitMs = 6000;

export interface PhaseResult {
  readonly name: string;
  /** Relative to the start of media, microseconds. */
  readonly event: number;
  readonly streams: readonly ListedStream[];
  /** The longest way of a packet of each stream, µs, and in undisturbed time of the same length before. */
  readonly ways: readonly number[];
  readonly waysBefore: readonly number[];
  /** Milliseconds; NaN where it cannot be told. */
  readonly detectionMs: number;
  readonly addressMoveMs: number;
  readonly takeoverMs: number;
  readonly allStreamsMs: number;
}

export interface RunResult {
  readonly phases: readonly PhaseResult[];
  readonly callsSilent: number;
  readonly callsUnknown: number;
  readonly portUnreachable: number;
  readonly duplicates: number;
  readonly strange: number;
  readonly lostInAll: number;
  readonly senderLatenessP99Ms: number;
  /** Calls that the standby had before the event, when there is one. */
  readonly standbyCalls: number | null;
  readonly figures: Readonly<Record<string, number>>;
  readonly traces: readonly StreamTrace[];
  /** A-law, what the first stream's receiver got. */
  readonly heard: Buffer;
  /** What the daemons logged, for a look at what went wrong. */
  readonly log: string;
}

function measure(phase: Phase, media: MediaResult): PhaseResult {
  const start = media.report.startedMonotonicMicros;
  const at = (moment: number | undefined): number => (moment ?? Number.NaN) - start;
  const event = at(phase.event);
  const from = phase.from === undefined ? event - leadMicros : at(phase.from);
  const window = { from, to: at(phase.end) };
  const streams = media.streams.map((stream) => figuresOf(stream, window));
  const ways = (start: number): readonly number[] =>
    media.streams.map((stream) => longestWay(stream, { from: start, to: start + wayMicros }));
  const between = (from: number, to: number): number => (to - from) / 1000;
  // What was under way when it happened is not what the new one relays.
  const relayedFrom = Number.isNaN(at(phase.media)) ? at(phase.acted) : at(phase.media);
  let first = Number.NaN;
  for (const { arrived } of media.streams) {
    for (const moment of arrived) {
      if (moment > relayedFrom && !(moment >= first)) first = moment;
    }
  }
  const returned = streams.flatMap(({ back }) => back ?? []);
  return {
    ...{ name: phase.name, event, streams },
    ...{ ways: ways(event - underWayMicros), waysBefore: ways(event - leadMicros - wayMicros) },
    detectionMs: between(event, at(phase.acted)),
    addressMoveMs: between(at(phase.acted), at(phase.media)),
    takeoverMs: between(relayedFrom, first),
    allStreamsMs: returned.length === 0 ? 0 : between(event, Math.max(...returned)),
  };
}

async function inCluster(
  cluster: Cluster,
  scenario: Scenario,
  settings: Settings,
): Promise<RunResult> {
  const { network } = cluster;
  await cluster.create(scenario.redundantRedis === true);
  const hot = scenario.standby === 'hot';
  const daemon = cluster.launch(cluster.one, hot);
  await daemon.ready();
  if (hot) await cluster.launch(cluster.two, true).ready();
  const audio = `${settings.folder}/audio`;
  writeFileSync(audio, speech(4));
  const unreachable = network.portUnreachable();
  const options = {
    ...{ calls: settings.calls, ptime: settings.ptime, audio, dualStack: network.dualStack },
    seconds: settleMs / 1000 + scenario.seconds + (daemon.isPair ? warmLimitMs / 1000 : 0),
    before: cluster.one.address,
    after: scenario.endsOn === 0 ? cluster.one.address : cluster.two.address,
  };
  const load = new MediaLoad(network.hub, options, settings.folder);
  await load.ready();
  const settled = performance.now() + settleMs;
  const standbyCalls = hot ? await cluster.standbyReady() : null;
  await delay(Math.max(0, settled - performance.now()));
  if (daemon.isPair) await untilSpareFollows(daemon, warmLimitMs);
  const acts = await scenario.act(cluster);
  const media = await load.result();
  const { report, streams } = media;
  const figures: Record<string, number> = { ...acts.figures };
  for (const [when, span] of Object.entries(acts.latency ?? {})) {
    const start = report.startedMonotonicMicros;
    const window = { from: span.from - start, to: span.to - start };
    figures[`relay latency p99 ${when}, ms`] = quantile(latencies(streams, window), 0.99) / 1000;
  }
  const end = options.seconds * second;
  return {
    phases: acts.phases.map((phase) => measure(phase, media)),
    callsSilent: silentCalls(streams, { from: end - second / 2, to: end + second }),
    callsUnknown: settings.calls - report.callsKnown,
    portUnreachable: network.portUnreachable() - unreachable,
    duplicates: report.duplicates,
    strange: report.strange,
    lostInAll: report.sent - report.received,
    senderLatenessP99Ms: report.senderLatenessMicros.p99 / 1000,
    ...{ standbyCalls, figures, traces: streams, heard: media.heard },
    log: cluster.nodes.map((node) => node.daemon?.log ?? '').join('\n---- second node ----\n'),
  };
}

/** Runs it in namespaces that are deleted again whatever happens. */
export async function runOnce(
  scenario: Scenario,
  settings: Omit<Settings, 'folder'>,
): Promise<RunResult> {
  const folder = new TemporaryFolder('rtprelay-failover');
  const complete = { ...settings, folder: folder.path };
  const cluster = new Cluster(complete);
  try {
    return await inCluster(cluster, scenario, complete);
  } finally {
    cluster.remove();
    folder.remove();
  }
}
