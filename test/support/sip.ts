/** Kamailio and SIPp as test programs. */
import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { freeUdpPort } from './free-ports.js';
import { isInstalled, TemporaryFolder, TestProcess } from './child-process.js';
import { pause } from './wait.js';

/** Modules of some packages are no part of the main one. */
export const hasKamailioModule = (name: string, root = ''): boolean =>
  readdirSync(`${root}/usr/lib`).some((folder) =>
    existsSync(`${root}/usr/lib/${folder}/kamailio/modules/${name}.so`),
  );

export interface KamailioOptions {
  readonly config: string;
  /** Names given with `-A`; strings are quoted. */
  readonly defines: Readonly<Record<string, string>>;
  /** Somewhere else than on the loopback: the namespace, and its address. */
  readonly place?: Place;
  /** It listens by TCP, too. */
  readonly tcp?: boolean;
  /** Default: the installed one. */
  readonly release?: KamailioRelease;
}

/** What is installed (5.6 on Debian 12), and that of a root that `scripts/trixie-kamailio` made. */
export type KamailioRelease = 'installed' | '6.0';

/** Debian 13 with its Kamailio; null where it is not, which the script says. */
export function kamailioRoot(): string | null {
  const script = fileURLToPath(new URL('../../scripts/trixie-kamailio', import.meta.url));
  const { status, stdout } = spawnSync(script, ['--find'], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return status === 0 && process.getuid?.() === 0 ? stdout.trim() : null;
}

/** Whether there is a Kamailio of that release, with a module. */
export function hasKamailio(release: KamailioRelease, module = 'rtpengine'): boolean {
  if (release === 'installed') return isInstalled('kamailio') && hasKamailioModule(module);
  const root = kamailioRoot();
  return root !== null && hasKamailioModule(module, root);
}

/** In the root `$0`, with the folders of the tests. */
const inRoot =
  'for each in tmp dev proc; do mount --rbind "/$each" "$0/$each" || exit; done; exec chroot "$0" "$@"';

function kamailioCommand(release: KamailioRelease): readonly [string, ...string[]] {
  if (release === 'installed') return ['kamailio'];
  const root = kamailioRoot();
  if (root === null) throw new Error('no Kamailio 6.0 here: scripts/trixie-kamailio makes it');
  return ['unshare', '-m', 'sh', '-c', inRoot, root, '/usr/sbin/kamailio'];
}

export interface Place {
  readonly namespace: string;
  readonly address: string;
}

/** A Kamailio on a free UDP port of the loopback. */
export class Kamailio {
  private constructor(
    readonly process: TestProcess,
    readonly port: number,
    private readonly folder: TemporaryFolder,
  ) {}

  static async start(options: KamailioOptions): Promise<Kamailio> {
    const folder = new TemporaryFolder('kamailio');
    const port = freeUdpPort();
    const defines = Object.entries(options.defines).flatMap(([name, value]) => [
      '-A',
      `${name}="${value}"`,
    ]);
    const [program, ...first] = kamailioCommand(options.release ?? 'installed');
    // Where a root of its own sees it.
    const config = folder.file('kamailio.cfg');
    copyFileSync(options.config, config);
    const where = [...first, '-f', config, '-Y', folder.path, '-w', folder.path];
    const { address = '127.0.0.1', namespace } = options.place ?? {};
    const sockets = ['udp', ...(options.tcp === true ? ['tcp'] : [])].flatMap((protocol) => [
      ...['-l', `${protocol}:${address}:${port}`],
    ]);
    const words = ['-DD', '-E', ...sockets, '-P', folder.file('pid')];
    const child = new TestProcess(
      'kamailio',
      program,
      [...where, ...words, ...defines],
      namespace === undefined ? {} : { namespace },
    );
    const kamailio = new Kamailio(child, port, folder);
    // It answers from the moment its workers run, which it does not log at this level.
    await child.untilLogged(/rtp proxy|rtpengine instance|Listening on/);
    await pause(500);
    if (!child.running) throw new Error(`kamailio ended: ${child.log()}`);
    return kamailio;
  }

  async stop(): Promise<void> {
    await this.process.stop();
    this.folder.remove();
  }
}

export interface SippOptions {
  readonly scenario: string;
  /** Where to send requests; a called phone sends none of its own. */
  readonly remotePort?: number;
  readonly callId?: string;
  /** Calls one behind the other, each with an id of its own, forty a second. Default 1. */
  readonly calls?: number;
  /** Default: a free one. */
  readonly port?: number;
  /** Length of the pauses of the scenario. */
  readonly pauseMs?: number;
  /** Values of the keywords in the scenario, e.g. `rtp_port`. */
  readonly keys?: Readonly<Record<string, string | number>>;
  /** Somewhere else than on the loopback. */
  readonly place?: Place;
}

/** One SIPp phone that makes (or takes) one call, or several. What its scenario logs can be waited for. */
export class Sipp {
  readonly #logged: () => string;

  private constructor(
    readonly process: TestProcess,
    readonly port: number,
    private readonly folder: TemporaryFolder,
    logged: () => string,
  ) {
    this.#logged = logged;
  }

  static start(options: SippOptions): Sipp {
    const folder = new TemporaryFolder('sipp');
    const port = options.port ?? freeUdpPort();
    const logFile = folder.file('log');
    const { address = '127.0.0.1', namespace } = options.place ?? {};
    const remote = options.remotePort === undefined ? [] : [`${address}:${options.remotePort}`];
    const callId = options.callId === undefined ? [] : ['-cid_str', options.callId];
    const keys = Object.entries(options.keys ?? {});
    const child = new TestProcess(
      'sipp',
      'sipp',
      [
        ...remote,
        ...['-sf', options.scenario, '-i', address, '-p', String(port), '-nostdin'],
        ...['-m', String(options.calls ?? 1), '-r', '40'],
        ...['-d', String(options.pauseMs ?? 2000), '-timeout', '40s', '-timeout_error'],
        ...[
          '-trace_logs',
          '-log_file',
          logFile,
          '-trace_err',
          '-error_file',
          folder.file('errors'),
        ],
        ...callId,
        ...keys.flatMap(([name, value]) => ['-key', name, String(value)]),
      ],
      { cwd: folder.path, ...(namespace === undefined ? {} : { namespace }) },
    );
    return new Sipp(child, port, folder, () => folder.read('log'));
  }

  /** The number that the scenario logs after `word`. */
  async logged(word: string): Promise<number> {
    const pattern = new RegExp(`^${word} (\\d+)$`, 'm');
    await this.process.until(() => pattern.test(this.#logged()));
    return Number(pattern.exec(this.#logged())?.[1]);
  }

  /** Waits for the end of the scenario. Throws with SIPp's complaint when it was not followed. */
  async finished(): Promise<void> {
    const status = await this.process.ended();
    if (status !== 0) throw new Error(`sipp ended with ${status}: ${this.folder.read('errors')}`);
  }

  async stop(): Promise<void> {
    await this.process.stop('SIGKILL');
    this.folder.remove();
  }
}
