/** The media daemons: rtprelayd, and the rtpengine of Debian 12 and of Debian 13 as the references. */
import { spawnSync } from 'node:child_process';
import { existsSync, rmSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freeUdpPort, freeUdpRange, type PortRange } from './free-ports.js';
import { NgClient } from './ng-client.js';
import { TemporaryFolder, TestProcess } from './child-process.js';
import { rtpengine125Command } from './trixie.js';

const builtDaemon = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));

/** RTPRELAY_PORT_MODE: whatever is tested here is tested with this `--port-mode`. */
const givenMode = process.env['RTPRELAY_PORT_MODE'] ?? '';
export const givenPortMode = givenMode === '' ? [] : [`--port-mode=${givenMode}`];

/** For tests that look for the socket of each port. */
export const socketForEachPort = (kind: DaemonKind): readonly string[] =>
  kind === 'rtprelayd' ? ['--port-mode=bound'] : [];

/** What daemons with steered ports have pinned: where they were killed, their next start may want it. */
const pinned = new Set<string>();
process.once('exit', () => {
  for (const directory of pinned) rmSync(directory, { recursive: true, force: true });
});

/** `rtpengine` is what is installed here, `rtpengine-12.5` that of Debian 13 (see trixie.ts). */
export type DaemonKind = 'rtprelayd' | 'rtpengine' | 'rtpengine-12.5';

/**
 * The daemon that the interop tests examine. `INTEROP_SUBJECT=rtpengine` puts the reference in its
 * place, which shows whether a failure is the daemon's or the test's.
 */
export const subjectKind: Exclude<DaemonKind, 'rtpengine-12.5'> =
  process.env['INTEROP_SUBJECT'] === 'rtpengine' ? 'rtpengine' : 'rtprelayd';

export interface DaemonOptions {
  /** `name/address!advertised`, one per `--interface`. Default one on 127.0.0.1. */
  readonly interfaces?: readonly string[];
  /** Number of media ports. Default 400. */
  readonly mediaPorts?: number;
  /** Media ports; default a free range of `mediaPorts`. */
  readonly portRange?: PortRange;
  /** Address of the NG socket. Default 127.0.0.1. */
  readonly controlAddress?: string;
  readonly controlPort?: number;
  /** Further command line options. */
  readonly extra?: readonly string[];
  readonly namespace?: string;
  /** Log level 0-7, default 6. */
  readonly logLevel?: number;
  /** Environment to add. */
  readonly env?: Readonly<Record<string, string>>;
  /** Program and arguments that run the daemon's command. */
  readonly under?: readonly string[];
}

/** A running media daemon. */
export class MediaDaemon {
  private constructor(
    readonly kind: DaemonKind,
    readonly process: TestProcess,
    readonly controlPort: number,
    readonly controlAddress: string,
    readonly ports: PortRange,
    private readonly folder: TemporaryFolder,
  ) {}

  /**
   * Starts a daemon and waits until it answers a ping. In a namespace the ping cannot reach it; there
   * the caller waits for what it needs.
   */
  static async start(kind: DaemonKind, options: DaemonOptions = {}): Promise<MediaDaemon> {
    const folder = new TemporaryFolder(kind);
    const ports = options.portRange ?? freeUdpRange(options.mediaPorts ?? 400);
    const controlPort = options.controlPort ?? freeUdpPort();
    const controlAddress = options.controlAddress ?? '127.0.0.1';
    const control = `${controlAddress}:${controlPort}`;
    // In a root of its own rtpengine has no such folder.
    const pidFile = kind === 'rtpengine-12.5' ? null : folder.file('pid');
    const words = daemonOptions(kind, options, ports, control, pidFile);
    const namespace = options.namespace === undefined ? {} : { namespace: options.namespace };
    const [program, ...first] = under(options.under ?? [], commandOf(kind));
    const env = options.env ?? {};
    const child = new TestProcess(kind, program, [...first, ...words], { ...namespace, env });
    const daemon = new MediaDaemon(kind, child, controlPort, controlAddress, ports, folder);
    if (options.namespace === undefined) await daemon.#untilPong();
    return daemon;
  }

  async #untilPong(): Promise<void> {
    const client = this.client();
    let answered = false;
    const ping = client.ask({ command: 'ping' }, { tries: 150, intervalMs: 100 });
    ping.then(
      () => (answered = true),
      () => {}, // `until` says why: the program ended or is not ready.
    );
    try {
      await this.process.until(() => answered);
    } finally {
      client.close();
    }
  }

  /** A new NG client of this daemon; the caller closes it. */
  client(): NgClient {
    return new NgClient(this.controlPort, this.controlAddress);
  }

  /** true for a port of the daemon's media range. */
  ownsPort(port: number): boolean {
    return port >= this.ports.min && port <= this.ports.max;
  }

  async stop(signal?: NodeJS.Signals): Promise<void> {
    const pins = /Media ports: steered .*; pinned in (\S+?)[,\n]/.exec(this.process.stderr)?.[1];
    if (pins !== undefined) pinned.add(pins);
    await this.process.stop(signal);
    this.folder.remove();
  }
}

function builtPath(): string {
  if (!existsSync(builtDaemon))
    throw new Error(`${builtDaemon} is missing: run "npm run build" first`);
  return builtDaemon;
}

type Command = readonly [string, ...string[]];

function commandOf(kind: DaemonKind): Command {
  if (kind === 'rtprelayd') return [process.execPath, builtPath()];
  if (kind === 'rtpengine') return ['rtpengine'];
  const command = rtpengine125Command();
  if (command === null) throw new Error('no rtpengine 12.5 here: scripts/trixie-root makes it');
  return command;
}

function under(before: readonly string[], command: Command): Command {
  const [program, ...first] = before;
  return program === undefined ? command : [program, ...first, ...command];
}

function daemonOptions(
  kind: DaemonKind,
  options: DaemonOptions,
  ports: PortRange,
  control: string,
  pidFile: string | null,
): readonly string[] {
  const interfaces = options.interfaces ?? ['127.0.0.1'];
  const portMode = kind === 'rtprelayd' ? givenPortMode : [];
  return [
    '--config-file=none',
    ...interfaces.map((each) => `--interface=${each}`),
    `--listen-ng=${control}`,
    '--table=-1',
    '-f',
    '-E',
    `--port-min=${ports.min}`,
    `--port-max=${ports.max}`,
    ...(pidFile === null ? [] : [`--pidfile=${pidFile}`]),
    `--log-level=${options.logLevel ?? 6}`,
    ...portMode,
    ...(options.extra ?? []),
  ];
}

/** What the installed rtpengine says of itself; empty where there is none. */
const installedVersion = spawnSync('rtpengine', ['--version'], { encoding: 'latin1' });

/** true when the rtpengine of Debian 12, which is the reference, can be started. Debian 13 has another one. */
export const rtpengineInstalled = /Version: 10\.5\b/.test(
  `${installedVersion.stdout ?? ''}${installedVersion.stderr ?? ''}`,
);

/** Releases of rtpengine that a call goes through beside us, where they can be had. */
export const references: readonly {
  readonly kind: DaemonKind;
  readonly release: string;
  readonly isHere: () => boolean;
}[] = [
  { kind: 'rtpengine', release: '10.5', isHere: () => rtpengineInstalled },
  { kind: 'rtpengine-12.5', release: '12.5', isHere: () => rtpengine125Command() !== null },
];
