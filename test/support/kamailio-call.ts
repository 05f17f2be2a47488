/** One call between two SIPp phones through the Kamailio of a fresh Debian system, its media by the relay there. */
import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, TestProcess } from './child-process.js';
import { pause, until } from './wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const [proxyPort, calleePort, callerPort] = [5060, 5070, 5080];
const [calleeMedia, callerMedia] = [6000, 6020];

/** What the phones and the wire need here; null: all there. */
export const kamailioCallMissing = (): string | null =>
  ['sipp', 'tshark'].find((each) => !isInstalled(each)) ?? null;

/** The configuration of Debian's Kamailio: a proxy that asks the relay on the same machine. */
export function kamailioConfig(address: string): string {
  const defines = {
    RTPENGINE_SOCK: 'udp:127.0.0.1:2223',
    CALLEE_URI: `sip:${address}:${calleePort}`,
    MEDIA_FLAGS: 'replace-origin replace-session-connection',
  };
  const text = readFileSync(`${root}test/interop/kamailio/kamailio.cfg`, 'utf8');
  return text
    .replace(
      '#!KAMAILIO\n',
      `#!KAMAILIO\n${Object.entries(defines)
        .map(([name, value]) => `#!define ${name} "${value}"\n`)
        .join('')}`,
    )
    .replace('children=2\n', `children=2\nlisten=udp:${address}:${proxyPort}\n`);
}

interface Stream {
  readonly packets: number;
  readonly lost: number;
}

/** From the INVITE to the BYE; both phones send all the time. */
export class KamailioCall {
  readonly #folder = new TemporaryFolder('kamailio-call');
  readonly #processes: TestProcess[] = [];
  #caller: TestProcess | null = null;
  #shark: TestProcess | null = null;

  constructor(
    readonly namespace: string,
    readonly address: string,
  ) {}

  #start(name: string, program: string, words: readonly string[]): TestProcess {
    const { namespace } = this;
    const child = new TestProcess(name, program, words, { namespace, cwd: this.#folder.path });
    this.#processes.push(child);
    return child;
  }

  /** The call lasts for `seconds`, from when it is answered. */
  async begin(seconds: number): Promise<void> {
    writeFileSync(this.#folder.file('speech.alaw'), Buffer.alloc(16_000, 'rtprelay'));
    const { address } = this;
    this.#shark = this.#start('tshark', 'tshark', [
      // Both phones' ports; other calls are going on.
      ...[
        '-i',
        'lo',
        '-f',
        `udp portrange ${calleeMedia}-${callerMedia + 20}`,
        '-w',
        this.#folder.file('capture'),
        '-q',
      ],
    ]);
    await this.#shark.untilLogged(/Capturing on/);
    const common = ['-i', address, '-mi', address, '-nostdin', '-timeout', '120s', '-m', '1'];
    const callee = this.#start('callee', 'sipp', [
      ...['-sf', `${root}test/interop/kamailio/callee-plain.xml`, '-p', String(calleePort)],
      ...['-rtp_echo', '-mp', String(calleeMedia), '-key', 'rtp_port', String(calleeMedia)],
      ...common,
    ]);
    await pause(500);
    this.#caller = this.#start('caller', 'sipp', [
      ...[`${address}:${proxyPort}`, '-p', String(callerPort), '-d', String(seconds * 1000)],
      ...['-sf', `${root}test/scenario/kamailio/caller-streaming.xml`],
      ...['-mp', String(callerMedia), ...common],
    ]);
    await until(() => !callee.running || this.#streams().length >= 4, 'RTP of the call', 20_000);
  }

  get talking(): boolean {
    return this.#caller?.running === true;
  }

  #streams(): readonly Stream[] {
    const words = ['-r', this.#folder.file('capture'), '-o', 'rtp.heuristic_rtp:TRUE'];
    const { stdout } = runAnyway('tshark', [...words, '-q', '-z', 'rtp,streams']);
    return stdout.split('\n').flatMap((line) => {
      const [, packets, lost] = /\s0x[0-9A-F]{8}\s+.*?\s(\d+)\s+(-?\d+) \(/.exec(line) ?? [];
      return packets === undefined ? [] : [{ packets: Number(packets), lost: Number(lost) }];
    });
  }

  /** Waits for the BYE. @returns the RTP streams: to the relay and from it, both ways. */
  async ended(): Promise<readonly Stream[]> {
    const status = await this.#caller?.ended(120_000);
    if (status !== 0) throw new Error(`the call failed: ${this.#caller?.log() ?? ''}`);
    await this.#shark?.stop('SIGINT');
    return this.#streams();
  }

  async stop(): Promise<void> {
    for (const child of this.#processes) await child.stop('SIGKILL');
    this.#folder.remove();
  }
}

/** A capture that is still being written ends in the middle of a packet. */
function runAnyway(program: string, words: readonly string[]): { readonly stdout: string } {
  try {
    const stdio = ['ignore', 'pipe', 'ignore'] as const;
    return { stdout: execFileSync(program, words, { encoding: 'latin1', stdio: [...stdio] }) };
  } catch (error) {
    return { stdout: (error as { readonly stdout?: string }).stdout ?? '' };
  }
}
