/** The life of the daemon: the parts in the order in which they need each other, each second, and the end. */
import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { accessList, notAllowed } from '../config/access-list.js';
import type { Config, ConfigSource, LogConfig, RedisConfig } from '../config/config.js';
import type { KernelRelay } from '../kernel-forward/kernel-relay.js';
import { heldAddresses, NetworkWatch } from '../native/network.js';
import { IdentitySource } from '../media/dtls/identity.js';
import { InterfaceTable } from '../media/interfaces.js';
import { createDtlsIdentity } from '../native/dtls.js';
import { nativeProcess } from '../native/process.js';
import { dropReasons } from '../media/plan-codec.js';
import { PortPool } from '../media/port-pool.js';
import type { CallState } from '../media/call-state.js';
import type { CallStatistics, MediaRelay } from '../media/relay.js';
import type { NgCapture } from '../ng-protocol/endpoint.js';
import { ReplyCache } from '../ng-protocol/reply-cache.js';
import type { NativeRelay } from '../native/relay.js';
import { Counters, type CloseReason } from '../observe/counters.js';
import { NgMemory } from '../observe/ng-memory.js';
import type { Log, LogSink } from '../observe/log.js';
import type { Gauges } from '../observe/statistics.js';
import { MemoryStore } from '../redis-store/memory-store.js';
import type { RedisStore } from '../redis-store/redis-store.js';
import { SecretBox } from '../redis-store/sealing.js';
import type { CallStore, StoredSocket } from '../redis-store/store.js';
import { CallService } from './calls/call-service.js';
import type { CliTargetParts } from './cli-target.js';
import { LivedTime, type SteadyClock } from './clocks.js';
import { Drain } from './drain.js';
import type { Exports } from './exports/exports.js';
import { digitJson } from '../observe/digit-text.js';
import type { DigitListener } from './calls/media-events.js';
import { Explainer } from './explain-call.js';
import type { KernelDevices } from './kernel-devices.js';
import { Keyspaces } from './keyspaces.js';
import { LiveConfig } from './live-config.js';
import { LoadGuard } from './load-guard.js';
import { addressesOf, portCounter, thisMachine } from './machine.js';
import {
  collectorOfV8,
  freeYoungGeneration,
  growYoungGeneration,
  MemoryTrim,
} from './memory-trim.js';
import { NgPort, type NgPortOptions } from './ng-port.js';
import { Notices } from './notices.js';
import type { LiveSource } from './live/viewers.js';
import { statusLine, restoreText, type NodeStatus } from './node-status.js';
import { openExports } from './open-exports.js';
import { openInKernel, openRelay } from './open-relay.js';
import { LateRelay } from './pair/late-relay.js';
import type { PairMember } from './pair/member.js';
import { PairSide } from './pair/pair-side.js';
import { preload } from './pair/preload.js';
import { isReadByOthers, readKeyFile } from './key-file.js';
import { codecSettings, redisStoreOf, storeLogOf } from './open-store.js';
import { OperatorPorts } from './operator-ports.js';
import { HeldAddresses } from './process/held-addresses.js';
import {
  nonLocalBindAllowed,
  resolveInterfaces,
  resolveListener,
  type NonLocalPolicy,
} from './process/local-addresses.js';
import type { ServiceManager } from './process/service-manager.js';
import { RateMeter } from './rate-meter.js';
import { Rehearsal } from './rehearsal.js';
import { RestoreWatch } from './restore-watch.js';
import type { SteeredPorts } from './steered-ports.js';

export interface DaemonEnvironment {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly clock: SteadyClock;
  /** The node has been drained: it is to be stopped. */
  readonly onDrained: () => void;
  readonly serviceManager: ServiceManager;
  /** null: this process is alone. */
  readonly member: PairMember | null;
  /** Where the configuration can be read again. */
  readonly source: ConfigSource;
  readonly openLog: (config: LogConfig) => Promise<LogSink>;
  /** false: stderr was given up when the process went to the background. */
  readonly hasStderr: () => boolean;
}

/** How long sockets of the previous process wait for a Redis that is away. */
const unclaimedMs = 60_000;
/** Nobody waits for it, so the start does not either. */
const unwantedMs = 1000;
/** With zeroes: a rate needs a beginning. */
const allDrops = (drops: ReturnType<MediaRelay['drops']>): Readonly<Record<string, number>> =>
  Object.fromEntries(dropReasons.map((reason) => [reason, drops[reason] ?? 0]));

/** When control has been opened. */
const settleMs = 50;

/** How often the service manager gets a new status line; what goes on, every second. */
const statusSeconds = 10;

/** A running daemon. `start` resolves when commands are answered. */
export class Daemon {
  readonly #environment: DaemonEnvironment;
  readonly #liveConfig: LiveConfig;
  readonly #counters: Counters;
  readonly #load: LoadGuard;
  readonly #drain: Drain;
  readonly #notices: Notices;
  readonly #lived: LivedTime;
  readonly #memory = new MemoryTrim({
    grow: growYoungGeneration,
    free: freeYoungGeneration,
    collect: collectorOfV8(),
    release: () => nativeProcess().releaseMemory(),
    heapUsed: () => process.memoryUsage().heapUsed,
  });
  readonly #restoring = new RestoreWatch(
    () => performance.now(),
    (status) => this.#environment.serviceManager.status(restoreText(status)),
  );
  readonly #ngMemory = new NgMemory();
  #relay: MediaRelay | null = null;
  #innerRelay: NativeRelay | null = null;
  #pair: PairSide | null = null;
  readonly #replies = new ReplyCache({ nowMs: () => performance.now() });
  #kernelRelay: KernelRelay | null = null;
  #kernelDevices: KernelDevices | null = null;
  #steered: SteeredPorts | null = null;
  #store: CallStore = new MemoryStore();
  #redisStore: RedisStore | null = null;
  #calls: CallService | null = null;
  #meter: RateMeter | null = null;
  #ngPort: NgPort | null = null;
  #held: HeldAddresses | null = null;
  #secrets: SecretBox | null = null;
  #keyspaces: Keyspaces | null = null;
  #explainer: Explainer | null = null;
  #exports: Exports | null = null;
  #operatorPorts: OperatorPorts | null = null;
  #rehearsal: Rehearsal | null = null;
  #timer: NodeJS.Timeout | null = null;
  #seconds = 0;
  #isContinued = false;
  #settled: Promise<void> = Promise.resolve();

  constructor(environment: DaemonEnvironment) {
    this.#environment = environment;
    this.#liveConfig = new LiveConfig({ ...environment, initial: environment.config });
    const { nowMicros } = environment.clock;
    const start = nowMicros();
    this.#counters = new Counters(start);
    this.#lived = new LivedTime(start);
    this.#load = new LoadGuard(this.#liveConfig.limits);
    this.#notices = new Notices(environment.log);
    this.#drain = new Drain({
      log: environment.log,
      ownCount: () => this.#calls?.table.ownCount ?? 0,
      livedMs: () => this.#lived.between(start, nowMicros()) / 1000,
      onDone: environment.onDrained,
    });
  }

  /** The configuration as it was read last. */
  get config(): Config {
    return this.#liveConfig.config;
  }

  /** Reads the configuration again; what became of it is in the log. Never rejects. */
  reload(): Promise<readonly string[]> {
    return this.#liveConfig.reload();
  }

  #rehearse(interfaces: InterfaceTable): void {
    const { config, clock } = this.#environment;
    const { limits } = this.#liveConfig;
    if (this.#relay === null || this.#held === null) return;
    this.#rehearsal = new Rehearsal({
      ...{ config, limits, interfaces, clock, held: this.#held },
      ...{ relay: this.#relay, store: this.#store, softwareId: this.#softwareId },
      commands: () => this.#ngPort?.messages ?? 0,
    });
    this.#rehearsal.start(process.env);
  }

  get #softwareId(): string {
    const { config, version } = this.#environment;
    return config.control.softwareId ?? `rtprelayd-${version}`;
  }

  /** No new calls from now on; `onDrained` when the last one has ended. */
  drain(timeoutSeconds = this.#liveConfig.limits.drainTimeoutSeconds): void {
    this.#drain.begin(timeoutSeconds);
  }

  /** @throws ConfigError, UdpBindError, NativeRelayError, StoreError: each names what is wrong. */
  async start(): Promise<void> {
    const { config, log, serviceManager } = this.#environment;
    for (const warning of config.warnings) log.warning('core', warning);
    // A node that stands by binds the addresses that it will get.
    const standby = (config.redis?.keyspaces.length ?? 0) > 0;
    // So does one that is started before its address comes, where the machine permits that.
    const freeBind = standby || nonLocalBindAllowed();
    const nonLocal = freeBind ? 'warn' : 'refuse';
    const machine = thisMachine();
    const resolved = await resolveInterfaces(config.media.interfaces, machine, nonLocal);
    for (const warning of resolved.warnings) log.warning('core', warning);
    const interfaces = new InterfaceTable(resolved.interfaces, resolved.aliases);
    const listen = await Promise.all(
      config.control.listenNg.map((address) => resolveListener(address, machine, 'listen-ng')),
    );
    const calls = await this.#openCalls(interfaces, freeBind);
    if (!(await this.#goOn(calls, interfaces, freeBind))) {
      await this.#redisStore?.start();
      await this.#restore(calls, interfaces, freeBind);
    }
    this.#kernelDevices?.start();
    await this.#openControl(calls, interfaces, { listen: listen.flat(), freeBind: standby });
    this.#timer = setInterval(() => this.#everySecond(), 1000);
    // Calls that are not restored yet will want the sockets that wait for them.
    if (!this.#isContinued) {
      if (this.#store.healthy) this.#releaseRest();
      else setTimeout(() => this.#releaseRest(), unclaimedMs).unref();
    }
    this.#reloadable(interfaces, nonLocal);
    this.#pair?.noteProcess();
    serviceManager.ready();
    if (!this.#isContinued) this.#rehearse(interfaces);
    if (config.media.kernelForward === 'none') {
      setTimeout(() => void this.#removeLeftForwarding(), unwantedMs).unref();
    }
  }

  /**
   * As one of a pair: waits for its turn, and goes on where the process before has ended. false: there was
   * none, everything is to be restored.
   */
  async #goOn(calls: CallService, interfaces: InterfaceTable, freeBind: boolean): Promise<boolean> {
    const { config, log, clock, serviceManager, member } = this.#environment;
    if (this.#pair === null || member === null) return false;
    if (member.standsBy) await preload(config);
    const ready = (): void => {
      log.info('core', `Standing by for the active process: ${calls.table.calls.size} calls`);
      serviceManager.ready();
    };
    const idle = (): void => void this.#lived.tick(clock.nowMicros());
    const { goesOn, wasRestored } = await this.#pair.begin(ready, idle);
    if (!goesOn && !member.standsBy) return false;
    this.#isContinued = true;
    this.#settled = this.#settle(calls, interfaces, wasRestored, freeBind);
    return true;
  }

  /** Everything that control does not wait for. Never rejects. */
  async #settle(
    calls: CallService,
    interfaces: InterfaceTable,
    wasRestored: boolean,
    freeBind: boolean,
  ): Promise<void> {
    const { config, log, clock } = this.#environment;
    try {
      // Control first.
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      const own = [...calls.table.calls.values()].filter(({ ownership }) => ownership === 'own');
      this.#redisStore?.continueFrom(own, this.#pair?.removed ?? []);
      const started = this.#redisStore?.start(false);
      const inner = this.#innerRelay;
      if (inner !== null && config.media.kernelForward !== 'none') {
        await this.#openKernel({ config, log, clock, interfaces }, inner);
      }
      await this.#pair?.settle((state) => calls.table.plan(state));
      await started;
      const { keyspaces = [] } = config.redis ?? {};
      if (!wasRestored) await this.#restore(calls, interfaces, freeBind);
      else if (keyspaces.length > 0) await this.#keyspaces?.follow(keyspaces);
      this.#releaseRest();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error('core', `Not everything goes on as before: ${reason}`);
    }
  }

  /** The kernel's flows have gone on by themselves. */
  async #openKernel(
    options: Parameters<typeof openInKernel>[0],
    inner: NativeRelay,
  ): Promise<void> {
    if (!(this.#relay instanceof LateRelay) || this.#kernelRelay !== null) return;
    const opened = await openInKernel(options, inner);
    if (opened === null) return;
    this.#kernelRelay = opened.kernelRelay;
    this.#kernelDevices = opened.kernelDevices;
    this.#relay.replace(opened.relay);
    this.#kernelDevices?.start();
  }

  /**
   * Leaves the calls to the process that stands by: from the moment on in which `serviceManager` is told,
   * nothing is read, sent or written here.
   */
  async handOver(): Promise<void> {
    const { log, serviceManager } = this.#environment;
    await this.#settled;
    log.notice('core', 'Handing over to another process');
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#ngPort?.close();
    this.#innerRelay?.pause();
    this.#pair?.leave();
    this.#keyspaces?.close();
    this.#redisStore?.abandon();
    serviceManager.handedOver();
    this.#kernelDevices?.close();
    this.#kernelRelay?.leave();
    this.#held?.close();
    this.#exports?.close();
    await this.#operatorPorts?.close();
    this.#innerRelay?.close();
  }

  /** @throws ConfigError */
  #openSecrets(): SecretBox | null {
    const { config, log } = this.#environment;
    const keyFile = config.redis?.encryptKeys ?? null;
    if (keyFile === null) return null;
    this.#secrets = new SecretBox(readKeyFile(keyFile));
    if (isReadByOthers(keyFile)) {
      log.warning('core', `${keyFile} (--redis-encrypt-keys) can be read by others than its owner`);
    }
    return this.#secrets;
  }

  /** Relay, store and what is done with calls. */
  async #openCalls(interfaces: InterfaceTable, freeBind: boolean): Promise<CallService> {
    const { config, log, clock, serviceManager, member } = this.#environment;
    const dormant = member?.standsBy === true;
    const opened = await openRelay({ config, log, clock, interfaces, freeBind, dormant });
    const { inner, kernelRelay, kernelDevices, steered } = opened;
    const relay = dormant ? new LateRelay(inner) : opened.relay;
    this.#innerRelay = inner;
    this.#relay = relay;
    this.#kernelRelay = kernelRelay;
    this.#kernelDevices = kernelDevices;
    this.#steered = steered;
    const { portMin: min, portMax: max, endpointLearning } = config.media;
    const pool = new PortPool(
      { min, max },
      Math.random,
      () => performance.now(),
      (address) => interfaces.portLimitsOf(address),
    );
    const settings = codecSettings(endpointLearning, interfaces, this.#openSecrets());
    const storeLog = storeLogOf(log);
    if (config.redis !== null) {
      const store = await redisStoreOf(config.redis, settings, storeLog, () => this.#calls);
      this.#redisStore = store;
      this.#store = store;
    }
    const keyspaces = new Keyspaces({
      redis: () => this.#redisNow(),
      ...{ settings, log: storeLog },
      ownership: () => this.#calls?.ownership ?? null,
    });
    this.#keyspaces = keyspaces;
    if (member !== null) {
      this.#pair = new PairSide({
        ...{ member, log, clock, settings, counters: this.#counters, replies: this.#replies },
        calls: () => this.#calls,
        relay: () => this.#innerRelay,
        isRestored: () => this.#redisStore?.isRestored ?? true,
      });
    }
    const { inherited } = serviceManager;
    if (inherited > 0) log.info('core', `${inherited} sockets of the previous process are here`);
    const held = this.#watchAddresses(interfaces);
    this.#held = held;
    const { limits } = this.#liveConfig;
    const identities = new IdentitySource(() => createDtlsIdentity(config.media.dtlsRsaBits));
    const calls = new CallService({
      ...{ relay, pool, interfaces, log, config, limits, clock, held },
      ...{ store: this.#store, counters: this.#counters, lived: this.#lived },
      instanceId: randomBytes(6).toString('hex'),
      softwareId: this.#softwareId,
      dtlsIdentity: () => identities.current(),
      mirror: this.#pair?.mirror,
      standsBy: () => this.#pair?.standsBy === true,
      release: (callId, database, mine) => keyspaces.release(callId, database, mine),
      onEnded: (state, statistics, reason) => this.#callEnded(state, statistics, reason),
      onDigit: (state, event) => this.#digitEnded(state, event),
      isFollowed: (database) => keyspaces.followed.includes(database),
    });
    this.#calls = calls;
    log.tagsBy((callId, port) => calls.table.tagOf(callId, port));
    const timeoutSeconds = (): number => limits.timeoutSeconds;
    this.#explainer = new Explainer({ calls, relay, interfaces, held, timeoutSeconds });
    this.#meter = new RateMeter({
      ...{ relay, kernelRelay, interfaces, pool, load: this.#load },
      ...{ table: calls.table, nowMicros: clock.nowMicros },
    });
    return calls;
  }

  /** Redis as it is configured and set now; null: there is none. */
  #redisNow(): RedisConfig | null {
    const { redis } = this.#liveConfig.config;
    return redis === null ? null : { ...redis, ...this.#liveConfig.redis };
  }

  async #restore(calls: CallService, interfaces: InterfaceTable, freeBind: boolean): Promise<void> {
    const { config, log } = this.#environment;
    if (config.redis === null) return;
    this.#restoring.begin();
    const report = await this.#store.restore(
      (state) => this.#restoring.adopted(calls.ownership.adopt(state)),
      (sockets) => this.#openEarly(interfaces, sockets, freeBind),
    );
    this.#restoring.end();
    log.info('core', `Redis restore time = ${Math.round(report.elapsedMs)} ms`);
    const { keyspaces } = config.redis;
    if (keyspaces.length > 0) await this.#keyspaces?.follow(keyspaces);
  }

  /** Ports of calls that will be restored in a moment: packets wait in them from now on. */
  #openEarly(
    interfaces: InterfaceTable,
    sockets: readonly StoredSocket[],
    freeBind: boolean,
  ): void {
    const endpoints = sockets.flatMap(({ logicalInterface, family, addressIndex, port }) => {
      const address = interfaces.addressAt(logicalInterface, family, addressIndex)?.address;
      return address === undefined ? [] : [{ address, port }];
    });
    if (this.#steered === null) {
      this.#environment.serviceManager.openEarly(endpoints, freeBind);
    } else {
      this.#steered.expect(endpoints);
    }
  }

  /** Where commands come in. */
  async #openControl(
    calls: CallService,
    interfaces: InterfaceTable,
    ngOptions: Pick<NgPortOptions, 'listen' | 'freeBind'>,
  ): Promise<void> {
    const { config, log } = this.#environment;
    const allowed = accessList(config.control.allow);
    const gauges = (): Gauges => this.#gauges();
    const ngPort = new NgPort({
      parts: {
        ...{ calls, log, config, gauges },
        ...{ counters: this.#counters, limits: this.#liveConfig.limits, load: this.#load },
        draining: () => this.#drain.active,
        templates: () => this.#liveConfig.config.control.templates,
        maxCalls: portCounter(interfaces, config.media),
      },
      ...ngOptions,
      allowed,
      replies: this.#replies,
      onKept: (command, { cookie, body }, reply) =>
        this.#pair?.mirror.replied(command, cookie, body, reply),
      capture: (capture) => this.#captureNg(capture),
      onNotAllowed: (address) =>
        this.#notices.say(`NG message from ${address} refused: ${notAllowed}`),
    });
    this.#ngPort = ngPort;
    await this.#openExports(calls, ngPort);
    this.#operatorPorts = new OperatorPorts({
      ...{ control: config.control, log, allowed, ng: ngPort.endpoint },
      target: this.#cliParts(calls),
      metrics: () => this.#metrics(),
      notReady: () => (this.#drain.active ? 'draining' : null),
      onNotice: (message) => this.#notices.say(message),
      live: () => this.#liveSource(calls),
    });
    await this.#operatorPorts.open();
  }

  async #openExports(calls: CallService, ngPort: NgPort): Promise<void> {
    const { config, log, clock } = this.#environment;
    if (this.#relay === null) return;
    this.#exports = await openExports({
      ...{ config, log, clock, calls, relay: this.#relay, counters: this.#counters },
      gauges: () => this.#gauges(),
      ngAddress: () => ngPort.addresses[0] ?? { address: '127.0.0.1', port: 0 },
    });
  }

  #captureNg({ callId, source, query, reply }: NgCapture): void {
    const { clock, config } = this.#environment;
    const atMicros = clock.nowMicros() + clock.wallOffsetMicros();
    this.#ngMemory.add({ callId, atMicros, source, query, reply });
    if (config.telemetry.homer?.ng !== true) return;
    this.#exports?.ngAnswered(callId, source, query, reply, atMicros);
  }

  #digitEnded(...[state, event]: Parameters<DigitListener>): void {
    if (this.#exports === null) return;
    const { clock } = this.#environment;
    const json = digitJson(state, event, clock.nowMicros() + clock.wallOffsetMicros());
    if (json !== null) this.#exports.digit(json);
  }

  #callEnded(state: CallState, statistics: CallStatistics, reason: CloseReason): void {
    if (this.#exports === null || this.#calls === null) return;
    const { clock } = this.#environment;
    const endedMicros = clock.nowMicros() + clock.wallOffsetMicros();
    const record = this.#calls.inWallTime(state, statistics);
    this.#exports.callEnded({ ...record, reason, endedMicros });
  }

  #cliParts(calls: CallService): CliTargetParts {
    const { log, clock } = this.#environment;
    return {
      ...{ calls, log, clock, drain: this.#drain, counters: this.#counters },
      live: this.#liveConfig,
      explain: (callId) => this.#explainer?.explain(callId) ?? null,
      controlTos: {
        get: () => this.#ngPort?.tos ?? 0,
        set: (tos) => {
          if (this.#ngPort !== null) this.#ngPort.tos = tos;
        },
      },
      process: nativeProcess(),
      upgrade: () => this.#pair !== null && this.#environment.serviceManager.upgrade(),
      gauges: () => this.#gauges(),
      keyspaces: {
        followed: () => this.#keyspaces?.followed ?? [],
        follow: (database) => void this.#keyspaces?.follow([database]),
        unfollow: (database) => this.#keyspaces?.unfollow(database) === true,
      },
      kernel: () => this.#kernelRelay?.describe() ?? null,
      status: () => this.#status(),
      exchanges: (callId) => this.#ngMemory.of(callId),
      ngAddress: () => this.#ngPort?.addresses[0] ?? { address: '127.0.0.1', port: 0 },
    };
  }

  /** What the live page shows. */
  #liveSource({ table }: CallService): LiveSource {
    const { clock } = this.#environment;
    return {
      calls: {
        calls: () => table.calls,
        glance: (callId) => this.#relay?.glance(callId) ?? null,
        localAddressOf: table.localAddressOf,
        nowMicros: clock.nowMicros,
        costMs: () => performance.now(),
      },
      node: {
        name: hostname(),
        status: () => this.#status(),
        gauges: () => this.#gauges(),
        drops: () => allDrops(this.#relay?.drops() ?? {}),
        nowMs: () => Date.now(),
      },
      explain: (callId) => this.#explainer?.explain(callId) ?? null,
    };
  }

  #status(): NodeStatus {
    const { clock, version } = this.#environment;
    const table = this.#calls?.table;
    const own = table?.ownCount ?? 0;
    const kernel = this.#kernelRelay;
    const redis = this.#redisStore;
    return {
      version,
      uptimeSeconds: Math.max(0, (clock.nowMicros() - this.#counters.startedMicros) / 1e6),
      own,
      foreign: (table?.calls.size ?? 0) - own,
      restore: this.#restoring.status,
      drain: this.#drain.status,
      reload: this.#liveConfig.reloadStatus,
      store: redis === null ? 'none' : redis.healthy ? 'healthy' : 'degraded',
      standby: this.#keyspaces?.states ?? [],
      addresses: this.#held?.all() ?? [],
      kernel: kernel === null ? null : { mode: kernel.mode, streams: kernel.streamCount() },
      takeovers: this.#counters.takeovers,
      takenOver: this.#counters.takenOver,
    };
  }

  async #metrics(): Promise<() => Promise<string>> {
    const { metricsText } = await import('../observe/metrics.js');
    return () =>
      metricsText(this.#counters, this.#gauges(), {
        storeDegraded: !this.#store.healthy,
        draining: this.#drain.active,
        kernelFlows: this.#kernelRelay?.streamCount() ?? 0,
        drops: allDrops(this.#relay?.drops() ?? {}),
        kernelPackets: this.#kernelRelay?.packetTotals() ?? {},
        standby: this.#keyspaces?.states ?? [],
      });
  }

  #gauges(): Gauges {
    if (this.#meter === null) throw new Error('not started');
    return this.#meter.gauges();
  }

  #watchAddresses(interfaces: InterfaceTable): HeldAddresses {
    const { clock, log } = this.#environment;
    return new HeldAddresses({
      addresses: () => addressesOf(interfaces),
      look: heldAddresses,
      watch: (onChange) => new NetworkWatch(onChange, 'devices'),
      nowMicros: clock.nowMicros,
      onMoved: (address, isHeld) => {
        if (this.#pair?.standsBy === true) return;
        log.notice('core', `Media address ${address} has ${isHeld ? 'come' : 'left'}`);
        if (isHeld) this.#calls?.ownership.addressCame(address);
      },
      onUnwatched: (reason) =>
        log.warning('core', `Address changes are seen up to a second late: ${reason}`),
    });
  }

  /** Of a killed process that had kernel forwarding: until now it was of use, from now on it ages. */
  async #removeLeftForwarding(): Promise<void> {
    const { config, log } = this.#environment;
    const { removeLeftForwarding } = await import('./kernel.js');
    removeLeftForwarding(config, log);
  }

  #releaseRest(): void {
    const { serviceManager, log } = this.#environment;
    const flows = this.#kernelRelay?.releaseUnclaimed() ?? 0;
    if (flows > 0) log.info('core', `Removed ${flows} kernel flows that belong to no call`);
    const ports = this.#steered?.releaseLeft() ?? 0;
    if (ports > 0) log.info('core', `Closed ${ports} steered ports that belong to no call`);
    const count = serviceManager.releaseRest();
    if (count > 0) log.info('core', `Closed ${count} inherited sockets that belong to no call`);
  }

  #reloadable(interfaces: InterfaceTable, nonLocal: NonLocalPolicy): void {
    this.#liveConfig.started({
      interfaces,
      resolve: ({ media }) => resolveInterfaces(media.interfaces, thisMachine(), nonLocal),
      interfacesChanged: () => {
        this.#kernelDevices?.setAddresses(addressesOf(interfaces));
        this.#held?.refresh();
      },
      redisChanged: (change) => {
        this.#redisStore?.reconfigure(change);
        this.#keyspaces?.reconfigure(change);
      },
      keysRead: (keyFile) => {
        this.#secrets?.replace(readKeyFile(keyFile));
        const calls = this.#calls?.table;
        for (const state of calls?.calls.values() ?? []) void calls?.save(state);
      },
      keyspacesChanged: (added, removed) => {
        for (const database of removed) this.#keyspaces?.unfollow(database);
        void this.#keyspaces?.follow(added);
      },
    });
  }

  #everySecond(): void {
    const { log } = this.#environment;
    try {
      this.#countLivedTime();
      this.#meter?.measure();
      this.#exports?.everySecond();
      this.#pair?.everySecond();
      this.#kernelDevices?.everySecond();
      this.#steered?.everySecond();
      this.#kernelRelay?.watch();
      this.#calls?.sweep();
      this.#ngPort?.everySecond();
      this.#memory.everySecond(this.#ngPort?.messages ?? 0, this.#counters.commandsDone);
      this.#drain.check();
      this.#notices.everySecond();
      this.#seconds += 1;
      const isBusy = this.#drain.active || this.#restoring.status?.running === true;
      if (isBusy || this.#seconds % statusSeconds === 1) this.#reportStatus();
    } catch (error) {
      log.error('core', `Timer: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #countLivedTime(): void {
    const { clock, log } = this.#environment;
    const seconds = this.#lived.tick(clock.nowMicros()) / 1e6;
    if (seconds === 0) return;
    log.warning(
      'core',
      `The process did not run for ${seconds.toFixed(1)} seconds, which do not count as silence`,
    );
  }

  #reportStatus(): void {
    this.#environment.serviceManager.status(statusLine(this.#status()));
  }

  /** Orderly stop: every socket is closed; stored calls stay where they are. */
  async stop(): Promise<void> {
    const { log, version, serviceManager } = this.#environment;
    log.info('core', `Version ${version} shutting down`);
    serviceManager.stopping();
    this.#pair?.mirror.close();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#rehearsal?.stop();
    this.#ngPort?.close();
    this.#exports?.close();
    await this.#operatorPorts?.close();
    this.#keyspaces?.close();
    await this.#store.close();
    this.#kernelDevices?.close();
    this.#held?.close();
    this.#relay?.close();
    this.#steered?.close(serviceManager.keepsSockets);
  }
}
