/** How the node is: for `rtprelayctl status`, the service manager's status line and the live page. */

/** Calls that are taken out of Redis, at the start or when it is back. */
export interface RestoreStatus {
  readonly running: boolean;
  readonly restored: number;
  /** Calls there are in all, while it runs; null: that is not known. */
  readonly expected: number | null;
  /** Since it began, as long as it runs; else how long it took. ms */
  readonly elapsedMs: number;
}

export interface DrainStatus {
  /** Own calls when it began, and those left. */
  readonly calls: number;
  readonly left: number;
  /** null: until the last call has ended. */
  readonly secondsLeft: number | null;
}

export interface ReloadStatus {
  readonly running: boolean;
  /** When it ended, wall clock; 0 while it runs. */
  readonly atMs: number;
  readonly lines: readonly string[];
}

export interface NodeStatus {
  readonly version: string;
  readonly uptimeSeconds: number;
  readonly own: number;
  readonly foreign: number;
  /** null: there was nothing to restore from. */
  readonly restore: RestoreStatus | null;
  /** null: new calls are taken. */
  readonly drain: DrainStatus | null;
  /** null: none since the start. */
  readonly reload: ReloadStatus | null;
  readonly store: 'none' | 'healthy' | 'degraded';
  readonly standby: readonly {
    readonly database: number;
    readonly waiting: number;
    readonly behindMs: number;
    readonly lastMs: number;
  }[];
  /** Media addresses. */
  readonly addresses: readonly { readonly address: string; readonly held: boolean }[];
  readonly kernel: { readonly mode: string; readonly streams: number } | null;
  readonly takeovers: number;
  readonly takenOver: number;
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/** As `toLocaleString('en-US')`, whose first use takes 20 ms of a start that calls wait for. */
const grouped = (count: number): string => String(count).replace(/\B(?=(\d{3})+$)/g, ',');

const soFar = ({ restored, expected }: RestoreStatus): string =>
  expected === null || expected < restored
    ? `${grouped(restored)} so far`
    : `${grouped(restored)} of ${grouped(expected)}`;

export const restoreText = (status: RestoreStatus): string =>
  status.running
    ? `restoring calls from Redis: ${soFar(status)}`
    : `${grouped(status.restored)} calls were restored from Redis in ${seconds(status.elapsedMs)}`;

export function drainText({ calls, left, secondsLeft }: DrainStatus): string {
  const limit = secondsLeft === null ? '' : `, ${Math.ceil(secondsLeft)} s at most`;
  return `draining: ${left} of ${calls} calls are left${limit}`;
}

export function reloadText({ running, lines }: ReloadStatus): string {
  if (running) return 'reading the configuration again';
  return `configuration read again: ${lines.join('; ')}`;
}

/** One line, as `systemctl status` shows it. */
export function statusLine(status: NodeStatus): string {
  const { own, foreign, restore, drain, reload, store } = status;
  const parts: string[] = [];
  if (restore?.running === true) parts.push(restoreText(restore));
  if (drain !== null) parts.push(drainText(drain));
  if (reload?.running === true) parts.push(reloadText(reload));
  parts.push(`${own} calls, ${foreign} foreign calls`);
  if (store === 'degraded') parts.push('Redis is away');
  return parts.join('; ');
}

function uptimeText(total: number): string {
  const [days, hours, minutes] = [
    Math.floor(total / 86_400),
    Math.floor(total / 3600) % 24,
    Math.floor(total / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  if (hours > 0) return `${hours} h ${minutes} min`;
  return minutes > 0 ? `${minutes} min ${Math.floor(total % 60)} s` : `${Math.floor(total)} s`;
}

const stores: Readonly<Record<NodeStatus['store'], string>> = {
  none: 'none, calls end with the process',
  healthy: 'Redis has every call',
  degraded: 'Redis is away, calls are written when it is back',
};

/** `rtprelayctl status`: a line for each thing. */
export function statusText(status: NodeStatus): string {
  const { restore, drain, reload, kernel } = status;
  const rows: (readonly [string, string])[] = [
    ['Version', `${status.version}, up ${uptimeText(status.uptimeSeconds)}`],
    ['Calls', `${status.own} own, ${status.foreign} foreign`],
    ['New calls', drain === null ? 'taken' : drainText(drain)],
    ['Store', stores[status.store]],
  ];
  if (restore !== null) rows.push(['Restore', restoreText(restore)]);
  if (reload !== null) rows.push(['Reload', reloadText(reload)]);
  for (const { address, held } of status.addresses) {
    rows.push(['Address', `${address} ${held ? 'is here' : 'is not on this machine'}`]);
  }
  for (const { database, waiting, behindMs, lastMs } of status.standby) {
    const lag =
      waiting === 0
        ? `last change took ${lastMs.toFixed(1)} ms`
        : `${waiting} changes behind, ${seconds(behindMs)}`;
    rows.push(['Standby for', `keyspace ${database}, ${lag}`]);
  }
  rows.push(['Takeovers', `${status.takeovers} taken over, ${status.takenOver} lost to others`]);
  rows.push([
    'Kernel',
    kernel === null
      ? 'media is relayed in user space'
      : `${kernel.mode}, ${kernel.streams} streams`,
  ]);
  return rows.map(([name, text]) => `${name.padEnd(12)} ${text}\n`).join('');
}
