/** Puts the parts together, in the order in which they need each other, and takes them apart again. */
import { randomBytes } from 'node:crypto';
import { cpus, loadavg, networkInterfaces } from 'node:os';
import { accessList, notAllowed } from '../config/access-list.js';
import type { Config, ConfigSource, LogConfig, RedisConfig } from '../config/config.js';
import type { CallState } from '../media/call-state.js';
import type { KernelRelay } from '../kernel-forward/kernel-relay.js';
import { heldAddresses, NetworkWatch } from '../kernel-forward/network.js';
import { InterfaceTable } from '../media/interfaces.js';
import { nativeProcess, NativeRelay } from '../media/native-relay.js';
import { PortPool } from '../media/port-pool.js';
import type { MediaRelay } from '../media/relay.js';
import { decodeBencode, encodeBencode } from '../ng-protocol/bencode.js';
import type { NgEndpoint } from '../ng-protocol/endpoint.js';
import { Counters } from '../observe/counters.js';
import type { Log, LogSink } from '../observe/log.js';
import type { Gauges } from '../observe/statistics.js';
import type { KeyspaceFollower } from '../redis-store/keyspace-follower.js';
import type { StoreLog } from '../redis-store/log.js';
import type { RedisStore } from '../redis-store/redis-store.js';
import { MemoryStore } from '../redis-store/memory-store.js';
import type { CodecSettings } from '../redis-store/schema.js';
import type { CallStore, StoredSocket } from '../redis-store/store.js';
import { CallService } from './calls/call-service.js';
import type { CliTarget } from './cli/target.js';
import { LivedTime, type SteadyClock } from './clocks.js';
import { Drain } from './drain.js';
import type { HttpService } from './http/server.js';
import type { KernelDevices } from './kernel-devices.js';
import { LiveConfig } from './live-config.js';
import { LoadGuard } from './load-guard.js';
import { collectorOfV8, keepYoungGenerationSmall, MemoryTrim } from './memory-trim.js';
import { NgPort } from './ng-port.js';
import { Notices } from './notices.js';
import { HeldAddresses } from './process/held-addresses.js';
import type { ServiceManager } from './process/service-manager.js';
import {
  lookupHost,
  nonLocalBindAllowed,
  resolveInterfaces,
  resolveListener,
  type Machine,
  type NonLocalPolicy,
} from './process/local-addresses.js';

export interface DaemonEnvironment {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  readonly clock: SteadyClock;
  /** The node has been drained: it is to be stopped. */
  readonly onDrained: () => void;
  readonly serviceManager: ServiceManager;
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
/** How often the service manager gets a new status line. */
const statusSeconds = 10;

interface Rates {
  packets: number;
  bytes: number;
  errors: number;
  readonly total: { packets: number; bytes: number; errors: number };
  /** The kernel's part. */
  readonly kernel: { packetRate: number; byteRate: number; packets: number; bytes: number };
}

/** A running daemon. `start` resolves when commands are answered. */
export class Daemon {
  readonly #environment: DaemonEnvironment;
  readonly #liveConfig: LiveConfig;
  readonly #counters: Counters;
  readonly #load: LoadGuard;
  readonly #drain: Drain;
  readonly #notices: Notices;
  readonly #lived: LivedTime;
  readonly #rates: Rates = {
    packets: 0,
    bytes: 0,
    errors: 0,
    total: { packets: 0, bytes: 0, errors: 0 },
    kernel: { packetRate: 0, byteRate: 0, packets: 0, bytes: 0 },
  };
  #relay: MediaRelay | null = null;
  #kernelRelay: KernelRelay | null = null;
  #kernelDevices: KernelDevices | null = null;
  #store: CallStore = new MemoryStore();
  #redisStore: RedisStore | null = null;
  #calls: CallService | null = null;
  #interfaces: InterfaceTable | null = null;
  #pool: PortPool | null = null;
  #ngPort: NgPort | null = null;
  #held: HeldAddresses | null = null;
  #follower: KeyspaceFollower | null = null;
  #following: Promise<void> = Promise.resolve();
  #closeCli: (() => Promise<void>) | null = null;
  #closeListeners: (() => Promise<void>) | null = null;
  #target: CliTarget | null = null;
  #timer: NodeJS.Timeout | null = null;
  readonly #memory = new MemoryTrim({
    collect: collectorOfV8(),
    release: () => nativeProcess().releaseMemory(),
    heapUsed: () => process.memoryUsage().heapUsed,
  });
  #cpu = cpuTimes();
  #seconds = 0;

  constructor(environment: DaemonEnvironment) {
    keepYoungGenerationSmall();
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

  /** @throws ConfigError, UdpBindError, NativeRelayError, StoreError: each names what is wrong. */
  async start(): Promise<void> {
    const { config, log, clock } = this.#environment;
    for (const warning of config.warnings) log.warning('core', warning);
    const machine = thisMachine();
    // A node that stands by binds the addresses that it will get.
    const standby = (config.redis?.keyspaces.length ?? 0) > 0;
    // So does one that is started before its address comes, where the machine permits that.
    const freeBind = standby || nonLocalBindAllowed();
    const nonLocal = freeBind ? 'warn' : 'refuse';
    const resolved = await resolveInterfaces(config.media.interfaces, machine, nonLocal);
    for (const warning of resolved.warnings) log.warning('core', warning);
    const interfaces = new InterfaceTable(resolved.interfaces, resolved.aliases);
    const listen = (
      await Promise.all(
        config.control.listenNg.map((address) => resolveListener(address, machine, 'listen-ng')),
      )
    ).flat();
    const relay = await this.#openRelay(interfaces, freeBind);
    const pool = new PortPool(
      { min: config.media.portMin, max: config.media.portMax },
      Math.random,
      () => performance.now(),
    );
    this.#relay = relay;
    this.#interfaces = interfaces;
    this.#pool = pool;
    this.#store = await this.#openStore();
    const { inherited } = this.#environment.serviceManager;
    if (inherited > 0) log.info('core', `${inherited} sockets of the previous process are here`);
    const held = this.#watchAddresses(interfaces);
    this.#held = held;
    const calls = new CallService({
      relay,
      store: this.#store,
      pool,
      interfaces,
      log,
      counters: this.#counters,
      config,
      limits: this.#liveConfig.limits,
      clock,
      lived: this.#lived,
      held,
      instanceId: randomBytes(6).toString('hex'),
      release: async (callId, database, mine) =>
        (await this.#follower?.release(callId, database, mine)) ?? null,
      isFollowed: (database) => this.#follower?.databases.includes(database) === true,
    });
    this.#calls = calls;
    if (config.redis !== null) {
      const report = await this.#store.restore(
        (state) => calls.ownership.adopt(state),
        (sockets) => this.#openEarly(interfaces, sockets, freeBind),
      );
      log.info('core', `Redis restore time = ${Math.round(report.elapsedMs)} ms`);
      if (standby) await this.follow(config.redis.keyspaces);
    }
    this.#kernelDevices?.start();
    const allowed = accessList(config.control.allow);
    this.#ngPort = new NgPort({
      parts: {
        calls,
        counters: this.#counters,
        log,
        config,
        limits: this.#liveConfig.limits,
        gauges: () => this.#gauges(),
        load: this.#load,
        draining: () => this.#drain.active,
        maxCalls: () =>
          (config.media.portMax - config.media.portMin + 1) *
          new Set(interfaces.all.flatMap(({ addresses }) => addresses.map((a) => a.address))).size,
      },
      listen,
      freeBind: standby,
      allowed,
      onNotAllowed: (address) =>
        this.#notices.say(`NG message from ${address} refused: ${notAllowed}`),
    });
    await this.#openCli(calls);
    await this.#openListeners(calls, this.#ngPort.endpoint, allowed);
    this.#timer = setInterval(() => this.#everySecond(), 1000);
    // Calls that are not restored yet will want the sockets that wait for them.
    if (this.#store.healthy) this.#releaseRest();
    else setTimeout(() => this.#releaseRest(), unclaimedMs).unref();
    this.#reloadable(interfaces, nonLocal);
    this.#environment.serviceManager.ready();
    if (config.media.kernelForward === 'none') {
      setTimeout(() => void this.#removeLeftForwarding(), unwantedMs).unref();
    }
  }

  /** Of a killed process that had kernel forwarding: until now it was of use, from now on it ages. */
  async #removeLeftForwarding(): Promise<void> {
    const { config, log } = this.#environment;
    const { removeLeftForwarding } = await import('./kernel.js');
    removeLeftForwarding(config, log);
  }

  /** The configuration as it was read last. */
  get config(): Config {
    return this.#liveConfig.config;
  }

  /** Reads the configuration again; what became of it is in the log. Never rejects. */
  reload(): Promise<readonly string[]> {
    return this.#liveConfig.reload();
  }

  #reloadable(interfaces: InterfaceTable, nonLocal: NonLocalPolicy): void {
    this.#liveConfig.started({
      interfaces,
      resolve: ({ media }) => resolveInterfaces(media.interfaces, thisMachine(), nonLocal),
      interfacesChanged: () => {
        this.#kernelDevices?.setAddresses(addressesOf(interfaces));
        this.#held?.refresh();
      },
      redisChanged: (change) => this.#redisChanged(change),
      keyspacesChanged: (added, removed) => {
        for (const database of removed) this.#unfollow(database);
        void this.follow(added);
      },
    });
  }

  /** Other servers, certificates or limits of Redis. */
  #redisChanged(change: Partial<RedisConfig>): void {
    this.#redisStore?.reconfigure(change);
    const ofFollower: readonly (keyof RedisConfig)[] = [
      ...(['subscribe', 'connectTimeoutMs', 'commandTimeoutMs'] as const),
      ...(['allowedErrors', 'disableTimeSeconds'] as const),
    ];
    const follower = this.#follower;
    if (follower === null || !ofFollower.some((name) => change[name] !== undefined)) return;
    // What happens in between is found by comparing.
    void this.#inTurn(async () => {
      const { databases } = follower;
      follower.close();
      this.#follower = null;
      await this.#followNow(databases);
    });
  }

  /** No new calls from now on; `onDrained` when the last one has ended. */
  drain(timeoutSeconds = this.#liveConfig.limits.drainTimeoutSeconds): void {
    this.#drain.begin(timeoutSeconds);
  }

  /** The relay in userspace, with the kernel before it where it is wanted and to be had. */
  async #openRelay(interfaces: InterfaceTable, freeBind: boolean): Promise<MediaRelay> {
    const { config, log, clock } = this.#environment;
    const { nowMicros, epochMicros } = clock;
    const inner = new NativeRelay({ workers: config.media.numThreads, freeBind, epochMicros });
    this.#relay = inner;
    if (config.media.kernelForward === 'none') return inner;
    const [{ FallbackError, openKernelForwarding }, { KernelDevices }, { KernelRelay }] =
      await Promise.all([
        import('./kernel.js'),
        import('./kernel-devices.js'),
        import('../kernel-forward/kernel-relay.js'),
      ]);
    const addresses = addressesOf(interfaces);
    const forwarder = openKernelForwarding(config, addresses, log);
    if (forwarder === null) return inner;
    this.#kernelRelay = new KernelRelay({
      ...{ inner, forwarder, nowMicros },
      monotonicMicros: () => Number(process.hrtime.bigint()) / 1000,
      warn: (message) => log.warning('core', message),
      error: (message) => log.error('core', message),
    });
    this.#kernelDevices = new KernelDevices({
      ...{ forwarder, log, mediaAddresses: addresses },
      wanted: config.media.kernelForwardInterfaces,
    });
    if (!forwarder.replaces) this.#kernelDevices.start();
    const { refused } = this.#kernelDevices;
    if (config.media.noFallback && refused.length > 0 && forwarder.devices.length === 0) {
      // What an earlier process has left goes on.
      if (forwarder.adopted) forwarder.close();
      else forwarder.removeAll();
      throw new FallbackError(
        `Userspace fallback disallowed (--no-fallback): no kernel forwarding on ${refused.join(', ')}`,
      );
    }
    return this.#kernelRelay;
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
    this.#environment.serviceManager.openEarly(endpoints, freeBind);
  }

  #releaseRest(): void {
    const { serviceManager, log } = this.#environment;
    const flows = this.#kernelRelay?.releaseUnclaimed() ?? 0;
    if (flows > 0) log.info('core', `Removed ${flows} kernel flows that belong to no call`);
    const count = serviceManager.releaseRest();
    if (count > 0) log.info('core', `Closed ${count} inherited sockets that belong to no call`);
  }

  async #openStore(): Promise<CallStore> {
    const { config } = this.#environment;
    const { redis } = config;
    if (redis === null) return new MemoryStore();
    const { RedisStore } = await import('../redis-store/redis-store.js');
    const store = new RedisStore({
      read: redis.read,
      write: redis.write,
      format: redis.format,
      followed: redis.keyspaces.map((database) => ({ ...redis.subscribe, database })),
      installedFormat: async () => (await import('./installed-rtpengine.js')).formatOfInstalled(),
      required: redis.required,
      expiresSeconds: redis.expiresSeconds,
      connectTimeoutMs: redis.connectTimeoutMs,
      commandTimeoutMs: redis.commandTimeoutMs,
      allowedErrors: redis.allowedErrors,
      disableTimeSeconds: redis.disableTimeSeconds,
      commitTimeoutMs: redis.commitTimeoutMs,
      waitReplicas: redis.waitReplicas,
      ...this.#codecSettings,
      log: this.#storeLog,
      snapshot: () => this.#snapshot(),
      onLost: (callId, holder) => this.#calls?.ownership.lose(callId, holder),
      completed: (state) => this.#calls?.withStatistics(state) ?? state,
    });
    this.#redisStore = store;
    await store.start();
    return store;
  }

  /** Stands by for the calls of these databases, besides those followed already. */
  follow(databases: readonly number[]): Promise<void> {
    return this.#inTurn(() => this.#followNow(databases));
  }

  /** Changes of what is followed, one after the other. */
  #inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.#following.then(work);
    this.#following = done.catch(() => undefined);
    return done;
  }

  async #followNow(databases: readonly number[]): Promise<void> {
    const { redis: configured } = this.#liveConfig.config;
    const redis = configured === null ? null : { ...configured, ...this.#liveConfig.redis };
    const calls = this.#calls;
    if (redis === null || calls === null) return;
    if (this.#follower === null) {
      const { KeyspaceFollower } = await import('../redis-store/keyspace-follower.js');
      this.#follower = new KeyspaceFollower({
        server: redis.subscribe,
        write: redis.write,
        connectTimeoutMs: redis.connectTimeoutMs,
        commandTimeoutMs: redis.commandTimeoutMs,
        allowedErrors: redis.allowedErrors,
        disableTimeSeconds: redis.disableTimeSeconds,
        settings: this.#codecSettings,
        log: this.#storeLog,
        onCall: (state, database) => calls.ownership.follow(state, database),
        onGone: (callId, database, deleted) => calls.ownership.unfollow(callId, database, deleted),
        held: (database) => calls.ownership.followed(database),
      });
      await this.#follower.start(databases);
      return;
    }
    const followed = this.#follower.databases;
    for (const database of databases) {
      if (!followed.includes(database)) await this.#follower.add(database);
    }
  }

  /** Stands by for a database no longer; false when it was not followed. */
  #unfollow(database: number): boolean {
    if (this.#follower?.remove(database) !== true) return false;
    this.#calls?.ownership.unfollowAll(database);
    return true;
  }

  get #codecSettings(): CodecSettings {
    return {
      bencode: { decode: decodeBencode, encode: encodeBencode },
      endpointLearning: this.#environment.config.media.endpointLearning,
      indexOfPosition: (name, family, position) =>
        this.#interfaces?.indexOfPosition(name, family, position) ?? position,
    };
  }

  get #storeLog(): StoreLog {
    const { log } = this.#environment;
    return {
      critical: (message) => log.critical('core', message),
      error: (message) => log.error('core', message),
      warning: (message) => log.warning('core', message),
      notice: (message) => log.notice('core', message),
      info: (message) => log.info('core', message),
      debug: (message) => log.debug('core', message),
    };
  }

  *#snapshot(): Iterable<CallState> {
    const calls = this.#calls;
    if (calls === null) return;
    yield* calls.table.calls.values();
  }

  /** What the operator's commands act on, by whichever way they come. */
  async #cliTarget(calls: CallService): Promise<CliTarget> {
    const { log, clock } = this.#environment;
    const { DaemonCliTarget } = await import('./cli-target.js');
    this.#target ??= new DaemonCliTarget({
      ...{ calls, log, clock },
      live: this.#liveConfig,
      process: nativeProcess(),
      counters: this.#counters,
      gauges: () => this.#gauges(),
      keyspaces: {
        followed: () => this.#follower?.databases ?? [],
        follow: (database) => void this.follow([database]),
        unfollow: (database) => this.#unfollow(database),
      },
      drain: this.#drain,
      kernel: () => this.#kernelRelay?.describe() ?? null,
    });
    return this.#target;
  }

  /** NG over TCP, Unix sockets, HTTP and WebSocket. */
  async #openListeners(
    calls: CallService,
    ng: NgEndpoint,
    allowed: (address: string) => boolean,
  ): Promise<void> {
    const { control } = this.#environment.config;
    const wantsHttp = control.listenHttp.length + control.listenHttps.length > 0;
    if (!wantsHttp && control.listenTcpNg.length + control.listenUnix.length === 0) return;
    const { openControlListeners } = await import('./control-listeners.js');
    const machine = thisMachine();
    this.#closeListeners = await openControlListeners({
      control,
      ng,
      resolve: (address, option) => resolveListener(address, machine, option),
      http: await this.#httpService(calls),
      allowed,
      onNotice: (message) => this.#notices.say(message),
    });
  }

  async #httpService(
    calls: CallService,
  ): Promise<Pick<HttpService, 'cli' | 'metrics' | 'notReady'>> {
    const { log } = this.#environment;
    const report = {
      onLine: (line: string) => log.info('control', line),
      onError: (line: string) => log.error('control', line),
    };
    const target = await this.#cliTarget(calls);
    const [{ runLine }, { metricsText }] = await Promise.all([
      import('./cli/run-line.js'),
      import('../observe/metrics.js'),
    ]);
    return {
      cli: (line) => runLine(target, line, report),
      metrics: () =>
        metricsText(this.#counters, this.#gauges(), {
          storeDegraded: !this.#store.healthy,
          draining: this.#drain.active,
          kernelFlows: this.#kernelRelay?.streamCount() ?? 0,
        }),
      notReady: () => (this.#drain.active ? 'draining' : null),
    };
  }

  async #openCli(calls: CallService): Promise<void> {
    const { config, log } = this.#environment;
    if (config.control.listenCli.length === 0) return;
    const { CliServer } = await import('./cli/server.js');
    const server = new CliServer({
      target: await this.#cliTarget(calls),
      onLine: (line) => log.info('control', line),
      onError: (line) => log.error('control', line),
    });
    const machine = thisMachine();
    for (const address of config.control.listenCli) {
      for (const endpoint of await resolveListener(address, machine, 'listen-cli')) {
        await server.listen(endpoint);
      }
    }
    this.#closeCli = () => server.close();
  }

  #everySecond(): void {
    const { log } = this.#environment;
    try {
      this.#live();
      this.#measure();
      this.#kernelDevices?.everySecond();
      this.#kernelRelay?.watch();
      this.#calls?.sweep();
      this.#ngPort?.everySecond();
      this.#memory.everySecond(this.#ngPort?.messages ?? 0);
      this.#drain.check();
      this.#notices.everySecond();
      this.#seconds += 1;
      if (this.#seconds % statusSeconds === 1) this.#reportStatus();
    } catch (error) {
      log.error('core', `Timer: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  #live(): void {
    const { clock, log } = this.#environment;
    const seconds = this.#lived.tick(clock.nowMicros()) / 1e6;
    if (seconds === 0) return;
    log.warning(
      'core',
      `The process did not run for ${seconds.toFixed(1)} seconds, which do not count as silence`,
    );
  }

  #watchAddresses(interfaces: InterfaceTable): HeldAddresses {
    const { clock, log } = this.#environment;
    return new HeldAddresses({
      addresses: () => addressesOf(interfaces),
      look: heldAddresses,
      watch: (onChange) => new NetworkWatch(onChange, 'devices'),
      nowMicros: clock.nowMicros,
      onMoved: (address, isHeld) =>
        log.notice('core', `Media address ${address} has ${isHeld ? 'come' : 'left'}`),
      onUnwatched: (reason) =>
        log.warning('core', `Address changes are seen up to a second late: ${reason}`),
    });
  }

  #reportStatus(): void {
    const all = this.#calls?.table.calls.size ?? 0;
    const own = this.#calls?.table.ownCount ?? 0;
    const mode = this.#drain.active ? 'draining, ' : '';
    this.#environment.serviceManager.status(`${mode}${own} calls, ${all - own} foreign calls`);
  }

  #measure(): void {
    if (this.#relay === null) return;
    const { packets, bytes, errors } = this.#relay.totals();
    const { total } = this.#rates;
    this.#rates.packets = packets - total.packets;
    this.#rates.bytes = bytes - total.bytes;
    this.#rates.errors = errors - total.errors;
    Object.assign(total, { packets, bytes, errors });
    const forwarded = this.#kernelRelay?.kernelTotals();
    if (forwarded !== undefined) {
      const { kernel } = this.#rates;
      kernel.packetRate = forwarded.packets - kernel.packets;
      kernel.byteRate = forwarded.bytes - kernel.bytes;
      Object.assign(kernel, forwarded);
    }
    const before = this.#cpu;
    this.#cpu = cpuTimes();
    const elapsed = this.#cpu.total - before.total;
    const busy = elapsed <= 0 ? 0 : (100 * (this.#cpu.busy - before.busy)) / elapsed;
    this.#load.measure({
      load: loadavg()[0] ?? 0,
      cpuPercent: busy,
      bandwidth: this.#rates.bytes,
    });
  }

  #gauges(): Gauges {
    const { config, clock } = this.#environment;
    const calls = this.#calls;
    const totals = this.#relay?.totals() ?? { packets: 0, bytes: 0, errors: 0 };
    const all = calls?.table.calls.size ?? 0;
    const own = calls?.table.ownCount ?? 0;
    let streams = 0;
    for (const state of calls?.table.calls.values() ?? []) streams += state.streams.length;
    const kernelStreams = this.#kernelRelay?.streamCount() ?? 0;
    return {
      nowMicros: clock.nowMicros(),
      ownSessions: own,
      foreignSessions: all - own,
      userspaceStreams: streams - kernelStreams,
      kernelStreams,
      packetRate: this.#rates.packets,
      byteRate: this.#rates.bytes,
      errorRate: this.#rates.errors,
      relayedPackets: totals.packets,
      relayedBytes: totals.bytes,
      relayedErrors: totals.errors,
      kernel: { ...this.#rates.kernel, ...this.#kernelRelay?.kernelTotals() },
      interfaces: (this.#interfaces?.all ?? []).flatMap(({ name, addresses }) =>
        addresses.map(({ address }) => ({
          name,
          address,
          portMin: config.media.portMin,
          portMax: config.media.portMax,
          ...(this.#pool?.usage(address) ?? { used: 0, free: 0, total: 0, last: 0 }),
        })),
      ),
    };
  }

  /** Orderly stop: every socket is closed; stored calls stay where they are. */
  async stop(): Promise<void> {
    const { log, version } = this.#environment;
    log.info('core', `Version ${version} shutting down`);
    this.#environment.serviceManager.stopping();
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#ngPort?.close();
    await this.#closeListeners?.();
    await this.#closeCli?.();
    this.#follower?.close();
    await this.#store.close();
    this.#kernelDevices?.close();
    this.#held?.close();
    this.#relay?.close();
  }
}

function thisMachine(): Machine {
  return { networkInterfaces: networkInterfaces(), lookup: lookupHost };
}

function addressesOf(interfaces: InterfaceTable): readonly string[] {
  return interfaces.all.flatMap((entry) => entry.addresses.map(({ address }) => address));
}

function cpuTimes(): { readonly busy: number; readonly total: number } {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const sum = times.user + times.nice + times.sys + times.irq;
    busy += sum;
    total += sum + times.idle;
  }
  return { busy, total };
}
