/** What the daemon consists of: opened by `Daemon.start`, looked at while it runs, closed at its end. */
import type { Config, ConfigSource, LogConfig } from '../config/config.js';
import type { KernelRelay } from '../kernel-forward/kernel-relay.js';
import { nativeProcess } from '../native/process.js';
import type { MediaRelay } from '../media/relay.js';
import { ReplyCache } from '../ng-protocol/reply-cache.js';
import type { NativeRelay } from '../native/relay.js';
import { Counters } from '../observe/counters.js';
import { NgMemory } from '../observe/ng-memory.js';
import type { Log, LogSink } from '../observe/log.js';
import { MemoryStore } from '../redis-store/memory-store.js';
import type { RedisStore } from '../redis-store/redis-store.js';
import type { SecretBox } from '../redis-store/sealing.js';
import type { CallStore } from '../redis-store/store.js';
import type { CallService } from './calls/call-service.js';
import { LivedTime, type SteadyClock } from './clocks.js';
import { Drain } from './drain.js';
import type { Exports } from './exports/exports.js';
import { DigitTeller } from './digits.js';
import type { Explainer } from './explain-call.js';
import type { KernelDevices } from './kernel-devices.js';
import type { Keyspaces } from './keyspaces.js';
import { LiveConfig } from './live-config.js';
import { LoadGuard } from './load-guard.js';
import { collectorOfV8, growYoungGeneration, MemoryTrim } from './memory-trim.js';
import type { NgPort } from './ng-port.js';
import { Notices } from './notices.js';
import { restoreText } from './node-status.js';
import type { PairMember } from './pair/member.js';
import type { PairSide } from './pair/pair-side.js';
import type { OperatorPorts } from './operator-ports.js';
import type { HeldAddresses } from './process/held-addresses.js';
import type { ServiceManager } from './process/service-manager.js';
import type { RateMeter } from './rate-meter.js';
import type { Rehearsal } from './rehearsal.js';
import type { Replay } from './replay.js';
import { RestoreWatch } from './restore-watch.js';
import type { SteeredPorts } from './steered-ports.js';

/** What a daemon is given. */
export interface DaemonEnvironment {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly clock: SteadyClock;
  /** The node has been drained: it is to be stopped. */
  readonly onDrained: () => void;
  /** Everything is open, and nobody has been told yet. What it throws ends the start. */
  readonly beforeReady: (goesOn: boolean) => void;
  readonly serviceManager: ServiceManager;
  /** null: this process is alone. */
  readonly member: PairMember | null;
  /** Where the configuration can be read again. */
  readonly source: ConfigSource;
  readonly openLog: (config: LogConfig) => Promise<LogSink>;
  /** false: stderr was given up when the process went to the background. */
  readonly hasStderr: () => boolean;
}

/** Each is there from its opening on. Thread: control. */
export class DaemonParts {
  readonly environment: DaemonEnvironment;
  readonly liveConfig: LiveConfig;
  readonly counters: Counters;
  readonly load: LoadGuard;
  readonly drain: Drain;
  readonly notices: Notices;
  readonly lived: LivedTime;
  readonly digits: DigitTeller;
  readonly memory = new MemoryTrim({
    grow: growYoungGeneration,
    beginCollection: () => nativeProcess().beginCollection(),
    collect: collectorOfV8(),
    release: () => nativeProcess().releaseMemory(),
    releaseProgram: () => void nativeProcess().releaseProgram(),
    heapUsed: () => process.memoryUsage().heapUsed,
  });
  readonly restoring = new RestoreWatch(
    () => performance.now(),
    (status) => this.environment.serviceManager.status(restoreText(status)),
  );
  readonly ngMemory = new NgMemory();
  relay: MediaRelay | null = null;
  innerRelay: NativeRelay | null = null;
  pair: PairSide | null = null;
  readonly replies = new ReplyCache({ nowMs: () => performance.now() });
  kernelRelay: KernelRelay | null = null;
  kernelDevices: KernelDevices | null = null;
  steered: SteeredPorts | null = null;
  replay: Replay | null = null;
  store: CallStore = new MemoryStore();
  redisStore: RedisStore | null = null;
  calls: CallService | null = null;
  meter: RateMeter | null = null;
  ngPort: NgPort | null = null;
  held: HeldAddresses | null = null;
  secrets: SecretBox | null = null;
  keyspaces: Keyspaces | null = null;
  explainer: Explainer | null = null;
  exports: Exports | null = null;
  operatorPorts: OperatorPorts | null = null;
  rehearsal: Rehearsal | null = null;
  timer: NodeJS.Timeout | null = null;
  seconds = 0;
  isContinued = false;
  isEnding = false;
  /** While calls are being restored: those that are not here yet may come. */
  isComing: Promise<void> | null = null;
  settled: Promise<void> = Promise.resolve();

  constructor(environment: DaemonEnvironment) {
    this.environment = environment;
    this.liveConfig = new LiveConfig({ ...environment, initial: environment.config });
    const { nowMicros } = environment.clock;
    const start = nowMicros();
    this.counters = new Counters(start);
    this.lived = new LivedTime(start);
    this.digits = new DigitTeller({
      config: environment.config.telemetry.digits,
      nowMicros: () => nowMicros() + environment.clock.wallOffsetMicros(),
      tellExports: (json) => this.exports?.digit(json),
      tellTcp: (message) => this.operatorPorts?.tellTcp(message),
      onNotice: (message) => this.notices.say(message),
    });
    this.load = new LoadGuard(this.liveConfig.limits);
    this.notices = new Notices(environment.log);
    this.drain = new Drain({
      log: environment.log,
      ownCount: () => this.calls?.table.ownCount ?? 0,
      livedMs: () => this.lived.between(start, nowMicros()) / 1000,
      onDone: environment.onDrained,
    });
  }
}
