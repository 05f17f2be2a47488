/** The life of the daemon: its parts are opened in the order in which they need each other. */
import { randomBytes } from 'node:crypto';
import { accessList, notAllowed } from '../config/access-list.js';
import type { Config, RedisConfig } from '../config/config.js';
import { heldAddresses, NetworkWatch } from '../native/network.js';
import { InterfaceTable } from '../media/interfaces.js';
import { PortPool } from '../media/port-pool.js';
import type { NgRequest } from '../ng-protocol/commands.js';
import type { NativeRelay } from '../native/relay.js';
import type { ReadGauges } from '../observe/statistics.js';
import { SecretBox } from '../redis-store/sealing.js';
import type { StoredSocket } from '../redis-store/store.js';
import { CallService } from './calls/call-service.js';
import { identitySource } from './dtls-identities.js';
import { Explainer } from './explain-call.js';
import { Keyspaces } from './keyspaces.js';
import { addressesOf, portCounter, thisMachine } from './machine.js';
import { NgPort, type NgPortOptions } from './ng-port.js';
import { openExports } from './open-exports.js';
import { openInKernel, openRelay } from './open-relay.js';
import { LateRelay } from './pair/late-relay.js';
import { PairSide } from './pair/pair-side.js';
import { patiently } from './pair/patience.js';
import { preload } from './pair/preload.js';
import { isReadByOthers, readKeyFile } from './key-file.js';
import { codecSettings, redisStoreOf, storeLogOf } from './open-store.js';
import { OperatorPorts } from './operator-ports.js';
import { HeldAddresses } from './process/held-addresses.js';
import { asUrgentAsMedia } from './process/urgency.js';
import {
  nonLocalBindAllowed,
  resolveInterfaces,
  resolveListener,
} from './process/local-addresses.js';
import { LatestValue } from '../redis-store/latest-value.js';
import { RateMeter } from './rate-meter.js';
import { Rehearsal } from './rehearsal.js';
import { Replay } from './replay.js';
import { handOver, stop } from './daemon-end.js';
import { DaemonParts, type DaemonEnvironment } from './daemon-parts.js';
import { DaemonRunning } from './daemon-running.js';
import { WaitingCommands } from './waiting-commands.js';

/** How long sockets of the previous process wait for a Redis that is away. */
const unclaimedMs = 60_000;
/** Nobody waits for it, so the start does not either. */
const unwantedMs = 1000;
/** Whether a command can be answered while calls are still on their way from Redis. */
function isAboutKnown(request: NgRequest, { table }: CallService): boolean {
  if (request.command === 'ping') return true;
  // They are about several.
  if (request.command === 'connect' || request.command === 'mesh') return false;
  const callId = 'callId' in request ? request.callId : null;
  return callId !== null && table.call(table.nameOf(callId)) !== null;
}

/** Redis may take as long as it likes to hand out the calls: whoever watches the node is answered. */
const tellsOfNode = ({ command }: NgRequest): boolean =>
  command === 'list' || command === 'statistics';

/** By then the kernel has taken apart a process that has ended. */
const formerGoneMs = 20_000;
const betweenTriesMs = 20;
/** When control has been opened. */
const settleMs = 50;

/** A running daemon. `start` resolves when commands are answered. */
export class Daemon {
  readonly #parts: DaemonParts;
  readonly #running: DaemonRunning;
  #controlIsOpen = (): void => undefined;
  /** Where commands come in, or has been tried in vain. */
  readonly #controlOpen = new Promise<void>((resolve) => (this.#controlIsOpen = resolve));

  constructor(environment: DaemonEnvironment) {
    this.#parts = new DaemonParts(environment);
    this.#running = new DaemonRunning(this.#parts);
  }

  /** The configuration as it was read last. */
  get config(): Config {
    return this.#parts.liveConfig.config;
  }

  /** Reads the configuration again; what became of it is in the log. Never rejects. */
  reload(): Promise<readonly string[]> {
    return this.#parts.liveConfig.reload();
  }

  #rehearse(interfaces: InterfaceTable): void {
    const { config, clock } = this.#parts.environment;
    const { limits } = this.#parts.liveConfig;
    if (this.#parts.relay === null || this.#parts.held === null) return;
    this.#parts.rehearsal = new Rehearsal({
      ...{ config, limits, interfaces, clock, held: this.#parts.held },
      ...{ relay: this.#parts.relay, store: this.#parts.store, softwareId: this.#softwareId },
      commands: () => this.#parts.ngPort?.messages ?? 0,
      ended: () => {
        this.#parts.rehearsal = null;
        this.#parts.memory.started();
      },
    });
    this.#parts.rehearsal.start(process.env, (this.#parts.calls?.table.calls.size ?? 0) > 0);
  }

  get #softwareId(): string {
    const { config, version } = this.#parts.environment;
    return config.control.softwareId ?? `rtprelayd-${version}`;
  }

  /** No new calls from now on; `onDrained` when the last one has ended. */
  drain(timeoutSeconds = this.#parts.liveConfig.limits.drainTimeoutSeconds): void {
    this.#parts.drain.begin(timeoutSeconds);
  }

  /** @throws ConfigError, UdpBindError, NativeRelayError, StoreError: each names what is wrong. */
  async start(): Promise<void> {
    const { config, log, serviceManager } = this.#parts.environment;
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
    const ngOptions = { listen: listen.flat(), freeBind: standby };
    const calls = await this.#openCalls(interfaces, freeBind);
    if (!(await this.#goOn(calls, interfaces, freeBind))) {
      await this.#parts.redisStore?.start();
      const restored = this.#restore(calls, interfaces, freeBind);
      this.#parts.isComing = restored.catch(() => undefined);
      this.#openNg(calls, interfaces, ngOptions);
      await restored;
      this.#parts.isComing = null;
    }
    this.#parts.kernelDevices?.start();
    const ngPort = this.#parts.ngPort ?? (await this.#openNgSoon(calls, interfaces, ngOptions));
    await this.#openControl(calls, ngPort);
    await this.#openReplay(interfaces);
    this.#controlIsOpen();
    this.#parts.timer = setInterval(() => this.#running.everySecond(), 1000);
    // Calls that are not restored yet will want the sockets that wait for them.
    if (!this.#parts.isContinued) {
      if (this.#parts.store.healthy) void this.#releaseRest();
      else setTimeout(() => void this.#releaseRest(), unclaimedMs).unref();
    }
    this.#running.reloadable(interfaces, nonLocal);
    this.#parts.pair?.noteProcess();
    this.#running.reportStatus();
    this.#parts.environment.beforeReady(this.#parts.isContinued);
    serviceManager.ready();
    if (!this.#parts.isContinued) this.#rehearse(interfaces);
    if (config.media.kernelForward === 'none') {
      setTimeout(() => void this.#removeLeftForwarding(), unwantedMs).unref();
    }
  }

  /**
   * As one of a pair: waits for its turn, and goes on where the process before has ended. false: there was
   * none, everything is to be restored.
   */
  async #goOn(calls: CallService, interfaces: InterfaceTable, freeBind: boolean): Promise<boolean> {
    const { config, log, clock, serviceManager, member } = this.#parts.environment;
    const { pair, memory, lived } = this.#parts;
    if (pair === null || member === null) return false;
    if (member.standsBy) await preload(config);
    const ready = (): void => {
      log.info('core', `Standing by for the active process: ${calls.table.calls.size} calls`);
      serviceManager.ready();
      memory.started(true);
    };
    let lastMs = performance.now();
    const idle = (): void => {
      lived.tick(clock.nowMicros());
      if (performance.now() - lastMs < 1000) return;
      lastMs = performance.now();
      memory.everySecond(pair.changes, 0);
    };
    const { goesOn, wasRestored } = await pair.begin(ready, idle);
    if (!goesOn && !member.standsBy) return false;
    this.#parts.isContinued = true;
    this.#parts.settled = this.#settle(calls, interfaces, wasRestored, freeBind);
    return true;
  }

  /** Everything that control does not wait for. Never rejects. */
  async #settle(
    calls: CallService,
    interfaces: InterfaceTable,
    wasRestored: boolean,
    freeBind: boolean,
  ): Promise<void> {
    const { config, log, clock } = this.#parts.environment;
    try {
      // Control first.
      await new Promise((resolve) => setTimeout(resolve, settleMs));
      await this.#parts.redisStore?.continueFrom(
        calls.table.calls.values(),
        this.#parts.pair?.removed ?? [],
      );
      const started = this.#parts.redisStore?.start(false);
      const inner = this.#parts.innerRelay;
      if (inner !== null && config.media.kernelForward !== 'none') {
        await this.#openKernel({ config, log, clock, interfaces }, inner);
      }
      await this.#parts.pair?.settle((state) => calls.table.plan(state));
      await started;
      const { keyspaces = [] } = config.redis ?? {};
      if (!wasRestored) await this.#restore(calls, interfaces, freeBind);
      else if (keyspaces.length > 0) await this.#parts.keyspaces?.follow(keyspaces);
      // Inherited listeners are wanted until then.
      await this.#controlOpen;
      await this.#releaseRest();
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
    if (!(this.#parts.relay instanceof LateRelay) || this.#parts.kernelRelay !== null) return;
    const opened = await openInKernel(options, inner, formerGoneMs);
    if (opened === null) return;
    this.#parts.kernelRelay = opened.kernelRelay;
    this.#parts.kernelDevices = opened.kernelDevices;
    this.#parts.relay.replace(opened.relay);
    this.#parts.kernelDevices?.start();
  }

  /** @throws ConfigError */
  #openSecrets(): SecretBox | null {
    const { config, log } = this.#parts.environment;
    const keyFile = config.redis?.encryptKeys ?? null;
    if (keyFile === null) return null;
    this.#parts.secrets = new SecretBox(readKeyFile(keyFile));
    if (isReadByOthers(keyFile)) {
      log.warning('core', `${keyFile} (--redis-encrypt-keys) can be read by others than its owner`);
    }
    return this.#parts.secrets;
  }

  /** Relay, store and what is done with calls. */
  async #openCalls(interfaces: InterfaceTable, freeBind: boolean): Promise<CallService> {
    const { config, log, clock, member } = this.#parts.environment;
    const dormant = member?.standsBy === true;
    const isOneOfPair = member !== null;
    const opened = await openRelay({
      ...{ config, log, clock, interfaces, freeBind, dormant, isOneOfPair },
    });
    const { inner, kernelRelay, kernelDevices, steered } = opened;
    const relay = dormant ? new LateRelay(inner) : opened.relay;
    this.#parts.innerRelay = inner;
    this.#parts.relay = relay;
    this.#parts.kernelRelay = kernelRelay;
    this.#parts.kernelDevices = kernelDevices;
    this.#parts.steered = steered;
    const { portMin: min, portMax: max, endpointLearning } = config.media;
    const pool = new PortPool(
      { min, max },
      Math.random,
      () => performance.now(),
      (address) => interfaces.portLimitsOf(address),
    );
    const settings = codecSettings(endpointLearning, interfaces, this.#openSecrets());
    const storeLog = storeLogOf(log);
    const latest = new LatestValue();
    if (config.redis !== null) {
      const mayWait = (): boolean => this.#parts.ngPort?.servesOne === true;
      const given = { ...settings, latest, mayWait };
      const store = await redisStoreOf(config.redis, given, storeLog, () => this.#parts.calls);
      this.#parts.redisStore = store;
      this.#parts.store = store;
    }
    const keyspaces = new Keyspaces({
      redis: () => this.#redisNow(),
      ...{ settings, log: storeLog },
      ownership: () => this.#parts.calls?.ownership ?? null,
    });
    this.#parts.keyspaces = keyspaces;
    if (member !== null) {
      this.#parts.pair = new PairSide({
        ...{
          member,
          log,
          clock,
          settings,
          latest,
          counters: this.#parts.counters,
          replies: this.#parts.replies,
        },
        calls: () => this.#parts.calls,
        relay: () => this.#parts.innerRelay,
        isRestored: () => this.#parts.redisStore?.isRestored ?? true,
      });
    }
    this.#takeOver(inner);
    const held = this.#watchAddresses(interfaces);
    this.#parts.held = held;
    const { limits } = this.#parts.liveConfig;
    const identities = identitySource(config);
    const calls = new CallService({
      ...{ relay, pool, interfaces, log, config, limits, clock, held },
      ...{ store: this.#parts.store, counters: this.#parts.counters, lived: this.#parts.lived },
      instanceId: randomBytes(6).toString('hex'),
      softwareId: this.#softwareId,
      dtlsIdentity: () => identities.current(),
      mirror: this.#parts.pair?.mirror,
      standsBy: () => this.#parts.pair?.standsBy === true,
      release: (callId, database, mine) => keyspaces.release(callId, database, mine),
      onEnded: (state, statistics, reason) => this.#running.callEnded(state, statistics, reason),
      onDigit: this.#parts.digits.tell,
      isFollowed: (database) => keyspaces.followed.includes(database),
    });
    this.#parts.calls = calls;
    log.tagsBy((callId, port) => calls.table.tagOf(callId, port));
    const timeoutSeconds = (): number => limits.timeoutSeconds;
    this.#parts.explainer = new Explainer({ calls, relay, interfaces, held, timeoutSeconds });
    this.#parts.meter = new RateMeter({
      ...{ relay, kernelRelay, interfaces, pool, load: this.#parts.load },
      ...{ table: calls.table, nowMicros: clock.nowMicros, counters: this.#parts.counters },
    });
    return calls;
  }

  /** What the previous process has left on this machine. */
  #takeOver(relay: NativeRelay): void {
    const { config, log, serviceManager, member } = this.#parts.environment;
    const { inherited, opened: early, planRecord } = serviceManager;
    if (inherited > 0) log.info('core', `${inherited} sockets of the previous process are here`);
    if (early > 0) log.info('core', `${early} ports of the previous process are open again`);
    // Each process of a pair has a better one; without Redis nobody would say which calls there are.
    if (planRecord === null || member !== null || config.redis === null) return;
    // In the background it is not the process that begins.
    const pins = config.foreground ? (this.#parts.steered?.directory ?? '') : null;
    const resumed = relay.resume(planRecord, pins);
    if (resumed > 0)
      log.info(
        'core',
        `${resumed} calls are relayed as by the previous process until they are restored`,
      );
  }

  /** Redis as it is configured and set now; null: there is none. */
  #redisNow(): RedisConfig | null {
    const { redis } = this.#parts.liveConfig.config;
    return redis === null ? null : { ...redis, ...this.#parts.liveConfig.redis };
  }

  async #restore(calls: CallService, interfaces: InterfaceTable, freeBind: boolean): Promise<void> {
    const { config, log } = this.#parts.environment;
    if (config.redis === null) return;
    const calm = asUrgentAsMedia(config.media.scheduling);
    this.#parts.restoring.begin();
    const report = await this.#parts.store
      .restore(
        (state) => this.#parts.restoring.adopted(calls.ownership.adopt(state)),
        this.#hasPorts ? undefined : (sockets) => this.#openEarly(interfaces, sockets, freeBind),
        (expected) => this.#parts.restoring.expect(expected),
      )
      .finally(calm);
    this.#parts.restoring.end();
    log.info('core', `Redis restore time = ${Math.round(report.elapsedMs)} ms`);
    const { keyspaces } = config.redis;
    if (keyspaces.length > 0) await this.#parts.keyspaces?.follow(keyspaces);
  }

  /** Sockets of the process before are here already, or were opened before this one began. */
  get #hasPorts(): boolean {
    const { inherited, opened } = this.#parts.environment.serviceManager;
    return this.#parts.steered === null && inherited + opened > 0;
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
    if (this.#parts.steered === null) {
      this.#parts.environment.serviceManager.openEarly(endpoints, freeBind);
    } else {
      this.#parts.steered.expect(endpoints);
    }
  }

  /** As `#openNg`; a process that has just ended may still have a socket that this one did not get. @throws UdpBindError */
  async #openNgSoon(
    calls: CallService,
    interfaces: InterfaceTable,
    ngOptions: Pick<NgPortOptions, 'listen' | 'freeBind'>,
  ): Promise<NgPort> {
    const until = performance.now() + (this.#parts.isContinued ? formerGoneMs : 0);
    for (;;) {
      try {
        return this.#openNg(calls, interfaces, ngOptions);
      } catch (error) {
        if (performance.now() >= until) throw error;
      }
      await new Promise((resolve) => setTimeout(resolve, betweenTriesMs));
    }
  }

  /** Where a proxy's commands come in. @throws UdpBindError */
  #openNg(
    calls: CallService,
    interfaces: InterfaceTable,
    ngOptions: Pick<NgPortOptions, 'listen' | 'freeBind'>,
  ): NgPort {
    const { config, log } = this.#parts.environment;
    const allowed = accessList(config.control.allow);
    const gauges: ReadGauges = () => this.#running.gauges();
    const waiting = new WaitingCommands((text) => log.warning('control', text));
    const ngPort = new NgPort({
      parts: {
        ...{ calls, log, config, gauges },
        ...{
          counters: this.#parts.counters,
          limits: this.#parts.liveConfig.limits,
          load: this.#parts.load,
        },
        cli: async (line) => (await this.#parts.operatorPorts?.run(line))?.toString('latin1') ?? '',
        draining: () => this.#parts.drain.active,
        waitsFor: (request, bytes) => {
          const { isComing } = this.#parts;
          if (isComing === null || isAboutKnown(request, calls)) return null;
          return tellsOfNode(request) ? waiting.soon(isComing) : waiting.until(isComing, bytes);
        },
        templates: () => this.#parts.liveConfig.config.control.templates,
        maxCalls: portCounter(interfaces, config.media),
      },
      ...ngOptions,
      allowed,
      replies: this.#parts.replies,
      onKept: (command, { cookie, body }, reply) =>
        this.#parts.pair?.mirror.replied(command, cookie, body, reply),
      capture: (capture) => this.#running.captureNg(capture),
      capturesRepetitions: config.telemetry.homer?.ng === true,
      onNotAllowed: (address) =>
        this.#parts.notices.say(`NG message from ${address} refused: ${notAllowed}`),
    });
    this.#parts.ngPort = ngPort;
    return ngPort;
  }

  /** Where other commands come in, and what is told by itself. */
  async #openControl(calls: CallService, ngPort: NgPort): Promise<void> {
    const { config, log } = this.#parts.environment;
    const allowed = accessList(config.control.allow);
    const exportsOpen = this.#parts.isContinued
      ? patiently(
          () => this.#openExports(calls),
          () => this.#parts.isEnding,
          log,
        )
      : this.#openExports(calls);
    const ports = new OperatorPorts({
      ...{ control: config.control, log, allowed, ng: ngPort.endpoint },
      target: this.#running.cliParts(calls),
      metrics: () => this.#running.metrics(),
      notReady: () => (this.#parts.drain.active ? 'draining' : null),
      onNotice: (message) => this.#parts.notices.say(message),
      live: () => this.#running.liveSource(calls),
    });
    this.#parts.operatorPorts = ports;
    const portsOpen = this.#parts.isContinued
      ? patiently(
          () => ports.open(),
          () => this.#parts.isEnding,
          log,
        )
      : ports.open();
    await Promise.all([exportsOpen, portsOpen]);
  }

  /** What another node is sent is heard only by the process that has the calls. @throws ConfigError */
  async #openReplay(interfaces: InterfaceTable): Promise<void> {
    const { config, log } = this.#parts.environment;
    const { replay, portMin, portMax } = config.media;
    const relay = this.#parts.innerRelay;
    if (replay === null || relay === null) return;
    const hosts = addressesOf(interfaces);
    const open = (): void => {
      this.#parts.replay = Replay.open({ config: replay, portMin, portMax, hosts, relay, log });
    };
    if (!this.#parts.isContinued) return open();
    await patiently(
      () => new Promise((resolve) => resolve(open())),
      () => this.#parts.isEnding,
      log,
    );
  }

  async #openExports(calls: CallService): Promise<void> {
    const { config, log, clock } = this.#parts.environment;
    if (this.#parts.relay === null) return;
    this.#parts.exports = await openExports({
      ...{ config, log, clock, calls, relay: this.#parts.relay, counters: this.#parts.counters },
      gauges: () => this.#running.gauges(),
    });
  }

  #watchAddresses(interfaces: InterfaceTable): HeldAddresses {
    const { clock, log } = this.#parts.environment;
    return new HeldAddresses({
      addresses: () => addressesOf(interfaces),
      look: heldAddresses,
      watch: (onChange) => new NetworkWatch(onChange, 'devices'),
      nowMicros: clock.nowMicros,
      onMoved: (address, isHeld) => {
        if (this.#parts.pair?.standsBy === true) return;
        log.notice('core', `Media address ${address} has ${isHeld ? 'come' : 'left'}`);
        if (isHeld) this.#parts.calls?.ownership.addressCame(address);
      },
      onUnwatched: (reason) =>
        log.warning('core', `Address changes are seen up to a second late: ${reason}`),
    });
  }

  /** Of a killed process that had kernel forwarding: until now it was of use, from now on it ages. */
  async #removeLeftForwarding(): Promise<void> {
    const { config, log } = this.#parts.environment;
    const { removeLeftForwarding } = await import('./kernel.js');
    removeLeftForwarding(config, log);
  }

  /** Never rejects. */
  async #releaseRest(): Promise<void> {
    const { serviceManager, log } = this.#parts.environment;
    try {
      const flows = (await this.#parts.kernelRelay?.releaseUnclaimed()) ?? 0;
      if (flows > 0) log.info('core', `Removed ${flows} kernel flows that belong to no call`);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      log.error('core', `Kernel flows that belong to no call are left: ${reason}`);
    }
    if (this.#parts.isEnding) return;
    const resumed = this.#parts.innerRelay?.releaseResumed() ?? 0;
    if (resumed > 0)
      log.info('core', `Ended ${resumed} calls of the previous process that are in no Redis`);
    const ports = this.#parts.steered?.releaseLeft() ?? 0;
    if (ports > 0) log.info('core', `Closed ${ports} steered ports that belong to no call`);
    const count = serviceManager.releaseRest();
    if (count > 0) log.info('core', `Closed ${count} inherited sockets that belong to no call`);
  }

  /** As `handOver` of daemon-end.ts. */
  handOver(): Promise<void> {
    return handOver(this.#parts);
  }

  /** As `stop` of daemon-end.ts. */
  stop(): Promise<void> {
    return stop(this.#parts);
  }
}
