/**
 * The service manager (systemd, or whatever speaks sd_notify(3) and sd_listen_fds(3)): it is told when
 * the daemon is ready, it guards its life, and it keeps copies of the sockets, so that they outlive the
 * process and no packet is lost between one process and the next.
 */
import type { Endpoint } from '../../media/call-state.js';
import type { NativeServiceManager } from '../../native/service-manager.js';

/** `--socket-store`. */
export type SocketStoreMode = 'auto' | 'yes' | 'no';

type Environment = Record<string, string | undefined>;

/** The first descriptor that is passed on (SD_LISTEN_FDS_START). */
const firstDescriptor = 3;

/** Between two attempts. */
const retryMs = 5;
const maxMessages = 16;

/** Of rtprelay-start (native/start): the file that ports are noted in, and the sockets that it has opened. */
const recordVariable = 'RTPRELAY_PORT_RECORD';
const earlyVariable = 'RTPRELAY_EARLY_SOCKETS';

const variables = ['LISTEN_PID', 'LISTEN_FDS', 'LISTEN_FDNAMES', 'NOTIFY_SOCKET', 'FDSTORE'];
const watchdogVariables = ['WATCHDOG_PID', 'WATCHDOG_USEC'];

/** A whole number above zero, or 0. */
function positive(text: string | undefined): number {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : 0;
}

export class ServiceManager {
  readonly #load: () => NativeServiceManager;
  #native: NativeServiceManager | null;
  readonly #watchdogMs: number;
  #watchdog: NodeJS.Timeout | null = null;
  #status = '';
  readonly #messages: string[] = [];
  #retryTimer: NodeJS.Timeout | null = null;
  /** Sockets of the previous process that were passed on. */
  readonly inherited: number;
  /** Sockets opened by `rtprelay-start`, where the previous process had some. */
  readonly opened: number;
  /** File that what is relayed can be noted in for the next process; null: there is none. */
  readonly planRecord: string | null;
  /** Sockets opened from now on are kept as well. */
  readonly keepsSockets: boolean;

  /**
   * Reads and removes the service manager's variables: they are this process' only.
   * @param native loads the addon; asked for only when there is a service manager.
   */
  constructor(
    environment: Environment,
    pid: number,
    mode: SocketStoreMode,
    native: () => NativeServiceManager,
  ) {
    const listens = positive(environment['LISTEN_PID']) === pid;
    const passedOn = listens ? positive(environment['LISTEN_FDS']) : 0;
    const channel = environment['NOTIFY_SOCKET'] ?? '';
    const guarded = ['', String(pid)].includes(environment['WATCHDOG_PID'] ?? '');
    const watchdogMicros = guarded ? positive(environment['WATCHDOG_USEC']) : 0;
    const offered = passedOn > 0 || positive(environment['FDSTORE']) > 0;
    const record = environment[recordVariable] ?? '';
    const [, first, early] = /^(\d{1,9}) (\d{1,9})$/.exec(environment[earlyVariable] ?? '') ?? [];
    const own = [recordVariable, earlyVariable];
    for (const name of [...variables, ...watchdogVariables, ...own]) delete environment[name];
    this.#load = native;
    this.#native = channel === '' && passedOn === 0 && record === '' ? null : native();
    if (record !== '') this.#native?.recordPorts(record);
    this.planRecord = record === '' ? null : `${record}.plans`;
    this.keepsSockets = channel !== '' && (mode === 'yes' || (mode === 'auto' && offered));
    this.inherited = passedOn > 0 ? (this.#native?.inherit(firstDescriptor, passedOn) ?? 0) : 0;
    this.opened = record !== '' ? this.#early(positive(first), positive(early)) : 0;
    const reached = channel !== '' && this.#native?.open(channel, this.keepsSockets) === true;
    this.#watchdogMs = reached ? watchdogMicros / 1000 : 0;
  }

  #early(first: number, count: number): number {
    return first > 0 && count > 0 ? (this.#native?.inheritEarly(first, count) ?? 0) : 0;
  }

  /** The daemon answers. From now on the watchdog is told that it lives. */
  ready(): void {
    this.#notify(`READY=1\nMAINPID=${process.pid}`);
    if (this.#watchdogMs <= 0 || this.#watchdog !== null) return;
    // As sd_watchdog_enabled(3) advises; the timer's turn shows that the event loop turns.
    this.#watchdog = setInterval(() => this.#notify('WATCHDOG=1'), this.#watchdogMs / 2);
    this.#watchdog.unref();
  }

  /** To the parent of a pair: the other process may go on. Sent at once. */
  handedOver(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#notify('X_HANDED_OVER=1');
  }

  /** Asks the parent of a pair for a process of what is installed now. */
  upgrade(): boolean {
    this.#notify('X_UPGRADE=1');
    return true;
  }

  stopping(): void {
    if (this.#watchdog !== null) clearInterval(this.#watchdog);
    this.#notify('STOPPING=1');
  }

  /** One line for `systemctl status`. */
  status(text: string): void {
    if (text === this.#status) return;
    this.#status = text;
    this.#notify(`STATUS=${text}`);
  }

  /** Opens the ports of calls that are about to be restored: what arrives meanwhile waits in them. */
  openEarly(endpoints: readonly Endpoint[], freeBind: boolean): void {
    this.#native ??= this.#load();
    const hosts = endpoints.map(({ address }) => address);
    const ports = endpoints.map(({ port }) => port);
    this.#native.openEarly(hosts, ports, freeBind);
  }

  /** Closes inherited and early sockets that belong to no call; returns how many. */
  releaseRest(): number {
    return this.#native?.releaseRest() ?? 0;
  }

  /** In order, and again while the service manager is busy, e.g. with the sockets of many calls. */
  #notify(text: string): void {
    this.#messages.push(text);
    this.#sendMessages();
  }

  #sendMessages(): void {
    if (this.#retryTimer !== null) clearTimeout(this.#retryTimer);
    this.#retryTimer = null;
    while (this.#messages.length > 0) {
      const [next = ''] = this.#messages;
      if (this.#native?.notify(next) === false) break;
      this.#messages.shift();
    }
    if (this.#messages.length === 0) return;
    // A status that was never sent is of no use later.
    if (this.#messages.length > maxMessages) this.#messages.splice(1, 1);
    this.#retryTimer = setTimeout(() => this.#sendMessages(), retryMs);
    this.#retryTimer.unref();
  }
}
