/** The running daemon: what it does each second, and what it tells of itself. */
import { hostname } from 'node:os';
import type { InterfaceTable } from '../media/interfaces.js';
import { nativeProcess } from '../native/process.js';
import { dropReasons } from '../media/plan-codec.js';
import type { CallState } from '../media/call-state.js';
import type { CallStatistics, MediaRelay } from '../media/relay.js';
import { queryOf, type NgCapture } from '../ng-protocol/endpoint.js';
import { type CloseReason } from '../observe/counters.js';
import type { Gauges } from '../observe/statistics.js';
import type { CallService } from './calls/call-service.js';
import type { CliTargetParts } from './cli-target.js';
import { addressesOf, thisMachine } from './machine.js';
import type { LiveSource } from './live/viewers.js';
import { statusLine, type NodeStatus } from './node-status.js';
import { readKeyFile } from './key-file.js';
import { resolveInterfaces, type NonLocalPolicy } from './process/local-addresses.js';
import type { DaemonParts } from './daemon-parts.js';

/** With zeroes: a rate needs a beginning. */
const allDrops = (drops: ReturnType<MediaRelay['drops']>): Readonly<Record<string, number>> =>
  Object.fromEntries(dropReasons.map((reason) => [reason, drops[reason] ?? 0]));

/** How often the service manager gets a new status line; what goes on, every second. */
const statusSeconds = 10;

/** Thread: control. */
export class DaemonRunning {
  readonly #parts: DaemonParts;

  constructor(parts: DaemonParts) {
    this.#parts = parts;
  }

  captureNg(capture: NgCapture): void {
    const { clock, config } = this.#parts.environment;
    const nowMicros = clock.nowMicros();
    const { callId, source } = capture;
    const isKept = callId !== null && this.#parts.ngMemory.takes(nowMicros);
    const isExported = config.telemetry.homer?.ng === true;
    // Most often many commands come, and neither is the case: nothing is copied then.
    if (!isKept && !isExported) return;
    const atMicros = nowMicros + clock.wallOffsetMicros();
    const [query, reply] = [queryOf(capture), Buffer.from(capture.reply)];
    const { address, port } = source;
    if (isKept)
      this.#parts.ngMemory.add({ callId, atMicros, source: { address, port }, query, reply });
    if (isExported) this.#parts.exports?.ngAnswered(callId ?? '', source, query, reply, atMicros);
  }

  callEnded(state: CallState, statistics: CallStatistics, reason: CloseReason): void {
    const { exports, calls } = this.#parts;
    // The record is a copy of the call; most often nobody wants it.
    if (exports === null || calls === null || !exports.takesEndedCalls) return;
    const { clock } = this.#parts.environment;
    const endedMicros = clock.nowMicros() + clock.wallOffsetMicros();
    const record = calls.inWallTime(state, statistics);
    exports.callEnded({ ...record, reason, endedMicros });
  }

  cliParts(calls: CallService): CliTargetParts {
    const { log, clock } = this.#parts.environment;
    return {
      ...{ calls, log, clock, drain: this.#parts.drain, counters: this.#parts.counters },
      live: this.#parts.liveConfig,
      explain: (callId) => this.#parts.explainer?.explain(callId) ?? null,
      controlTos: {
        get: () => this.#parts.ngPort?.tos ?? 0,
        set: (tos) => {
          if (this.#parts.ngPort !== null) this.#parts.ngPort.tos = tos;
        },
      },
      process: nativeProcess(),
      switchRedis: (on) => this.#parts.redisStore?.switch(on) === true,
      upgrade: () => this.#parts.pair !== null && this.#parts.environment.serviceManager.upgrade(),
      gauges: () => this.gauges(),
      keyspaces: {
        followed: () => this.#parts.keyspaces?.followed ?? [],
        follow: (database) => void this.#parts.keyspaces?.follow([database]),
        unfollow: async (database) => (await this.#parts.keyspaces?.unfollow(database)) === true,
      },
      kernel: async () => (await this.#parts.kernelRelay?.describe()) ?? null,
      status: () => this.status(),
      replay: () => this.#parts.replay?.status ?? null,
      exchanges: (callId) => this.#parts.ngMemory.of(callId),
      ngAddress: () => this.#parts.ngPort?.addresses[0] ?? { address: '127.0.0.1', port: 0 },
    };
  }

  /** What the live page shows. */
  liveSource({ table }: CallService): LiveSource {
    const { clock } = this.#parts.environment;
    return {
      calls: {
        calls: () => table.calls,
        glance: (callId) => this.#parts.relay?.glance(callId) ?? null,
        localAddressOf: table.localAddressOf,
        nowMicros: clock.nowMicros,
        costMs: () => performance.now(),
      },
      node: {
        name: hostname(),
        status: () => this.status(),
        gauges: () => this.gauges(),
        drops: () => allDrops(this.#parts.relay?.drops() ?? {}),
        nowMs: () => Date.now(),
      },
      explain: (callId) => this.#parts.explainer?.explain(callId) ?? null,
    };
  }

  status(): NodeStatus {
    const { clock, version } = this.#parts.environment;
    const table = this.#parts.calls?.table;
    const own = table?.ownCount ?? 0;
    const kernel = this.#parts.kernelRelay;
    const redis = this.#parts.redisStore;
    return {
      version,
      uptimeSeconds: Math.max(0, (clock.nowMicros() - this.#parts.counters.startedMicros) / 1e6),
      own,
      foreign: (table?.calls.size ?? 0) - own,
      restore: this.#parts.restoring.status,
      drain: this.#parts.drain.status,
      reload: this.#parts.liveConfig.reloadStatus,
      store: redis === null ? 'none' : redis.healthy ? 'healthy' : 'degraded',
      standby: this.#parts.keyspaces?.states ?? [],
      addresses: this.#parts.held?.all() ?? [],
      kernel: kernel === null ? null : { mode: kernel.mode, streams: kernel.streamCount() },
      takeovers: this.#parts.counters.takeovers,
      takenOver: this.#parts.counters.takenOver,
    };
  }

  async metrics(): Promise<() => Promise<string>> {
    const { metricsText } = await import('../observe/metrics.js');
    return () =>
      metricsText(this.#parts.counters, this.gauges(), {
        storeDegraded: !this.#parts.store.healthy,
        draining: this.#parts.drain.active,
        kernelFlows: this.#parts.kernelRelay?.streamCount() ?? 0,
        drops: allDrops(this.#parts.relay?.drops() ?? {}),
        kernelPackets: this.#parts.kernelRelay?.packetTotals() ?? {},
        standby: this.#parts.keyspaces?.states ?? [],
        replay: this.#parts.replay?.status ?? null,
      });
  }

  gauges(): Gauges {
    if (this.#parts.meter === null) throw new Error('not started');
    return this.#parts.meter.gauges();
  }

  reloadable(interfaces: InterfaceTable, nonLocal: NonLocalPolicy): void {
    this.#parts.liveConfig.started({
      interfaces,
      resolve: ({ media }) => resolveInterfaces(media.interfaces, thisMachine(), nonLocal),
      interfacesChanged: () => {
        this.#parts.kernelDevices?.setAddresses(addressesOf(interfaces));
        this.#parts.held?.refresh();
      },
      redisChanged: (change) => {
        this.#parts.redisStore?.reconfigure(change);
        this.#parts.keyspaces?.reconfigure(change);
      },
      keysRead: (keyFile) => {
        this.#parts.secrets?.replace(readKeyFile(keyFile));
        this.#parts.calls?.saveAll();
      },
      keyspacesChanged: (added, removed) => {
        for (const database of removed) void this.#parts.keyspaces?.unfollow(database);
        void this.#parts.keyspaces?.follow(added);
      },
    });
  }

  everySecond(): void {
    const { log } = this.#parts.environment;
    try {
      this.#countLivedTime();
      this.#parts.meter?.measure();
      this.#parts.exports?.everySecond();
      this.#parts.pair?.everySecond();
      this.#parts.kernelDevices?.everySecond();
      this.#parts.steered?.everySecond();
      this.#parts.replay?.everySecond();
      this.#parts.kernelRelay?.everySecond();
      this.#parts.calls?.sweep();
      this.#parts.ngPort?.everySecond();
      this.#parts.memory.everySecond(
        this.#parts.ngPort?.messages ?? 0,
        this.#parts.counters.commandsDone,
      );
      this.#parts.drain.check();
      this.#parts.notices.everySecond();
      this.#parts.seconds += 1;
      const isBusy = this.#parts.drain.active || this.#parts.restoring.status?.running === true;
      if (isBusy || this.#parts.seconds % statusSeconds === 1) this.reportStatus();
    } catch (error) {
      log.error('core', `Timer: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #countLivedTime(): void {
    const { clock, log } = this.#parts.environment;
    const seconds = this.#parts.lived.tick(clock.nowMicros()) / 1e6;
    if (seconds === 0) return;
    log.warning(
      'core',
      `The process did not run for ${seconds.toFixed(1)} seconds, which do not count as silence`,
    );
  }

  reportStatus(): void {
    this.#parts.environment.serviceManager.status(statusLine(this.status()));
  }
}
