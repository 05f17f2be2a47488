/**
 * `rtprelayctl capture CALL-ID FILE`: one call's packets and NG messages as pcapng. The packets are taken by tcpdump or
 * dumpcap on all devices, so those that the kernel forwards are seen as well; SRTP is as on the wire, or with
 * `--decrypt` as the RTP in it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { CaptureFile, type CaptureAnswer } from './capture-file.js';
import { SrtpReader, type KeysAnswer } from './decrypt.js';
import { PcapReader, type CapturedPacket, type Place } from './pcapng.js';

export interface CaptureOptions {
  readonly callId: string;
  readonly file: string;
  readonly seconds: number;
  /** SRTP becomes the RTP in it. */
  readonly decrypt: boolean;
}

const usage = 'capture takes CALL-ID FILE [--seconds=N] [--decrypt]';
const maxSeconds = 86_400;
/** Packets that are to be decrypted wait for the keys of that moment; the daemon is asked so often, ms. */
const keysMs = 500;

/** Words behind `capture`; a text: what is wrong with them. */
export function captureOptions(words: readonly string[]): CaptureOptions | string {
  let seconds = 10;
  let decrypt = false;
  const rest: string[] = [];
  for (const word of words) {
    const [, number] = /^--?seconds=(\d{1,6})$/.exec(word) ?? [];
    if (number !== undefined) seconds = Number(number);
    else if (/^--?decrypt$/.test(word)) decrypt = true;
    else if (word.startsWith('--')) return `${usage}, not '${word}'`;
    else rest.push(word);
  }
  const [callId, file] = rest;
  if (callId === undefined || file === undefined || rest.length > 2) return usage;
  if (seconds < 1 || seconds > maxSeconds) return `--seconds is from 1 to ${maxSeconds}`;
  return { callId, file, seconds, decrypt };
}

/** The ports of a call as a filter of pcap-filter(7). */
export function captureFilter(ports: readonly Place[]): string {
  const byAddress = new Map<string, number[]>();
  for (const { address, port } of ports) {
    byAddress.set(address, [...(byAddress.get(address) ?? []), port]);
  }
  const hosts = [...byAddress].map(([address, list]) => {
    const any = list.map((port) => `port ${port}`).join(' or ');
    return `(host ${address} and (${any}))`;
  });
  return `udp and (${hosts.join(' or ')})`;
}

/** Programs that capture, and the words that have them write the classic format to stdout. */
const programs: readonly (readonly [string, (filter: string) => readonly string[]])[] = [
  ['tcpdump', (filter) => ['-i', 'any', '-n', '-U', '-s', '0', '-w', '-', filter]],
  ['dumpcap', (filter) => ['-q', '-i', 'any', '-P', '-w', '-', '-f', filter]],
];

/** @throws Error when none can be started */
async function startCapture(filter: string): Promise<ChildProcess> {
  for (const [program, words] of programs) {
    const child = spawn(program, words(filter), { stdio: ['ignore', 'pipe', 'pipe'] });
    const isThere = await new Promise<boolean>((resolve) => {
      child.on('spawn', () => resolve(true));
      child.on('error', () => resolve(false));
    });
    if (isThere) return child;
  }
  throw new Error(`capture needs ${programs.map(([program]) => program).join(' or ')}`);
}

/** What the daemon is asked for. All of it rejects with what it says instead. */
export interface CaptureSource {
  readonly call: () => Promise<CaptureAnswer>;
  /** Where SRTP is to be decrypted. */
  readonly keys: () => Promise<KeysAnswer>;
}

/** Where captured packets go; those that are to be decrypted wait a moment. */
class Packets {
  readonly reader = new PcapReader();
  readonly #file: CaptureFile;
  readonly #keys: CaptureSource['keys'];
  readonly #srtp: SrtpReader | null;
  #waiting: CapturedPacket[] = [];
  #turn: Promise<void> = Promise.resolve();

  constructor(file: CaptureFile, srtp: SrtpReader | null, keys: CaptureSource['keys']) {
    this.#file = file;
    this.#srtp = srtp;
    this.#keys = keys;
  }

  /** @throws CaptureFormatError, Error of the file system */
  add(bytes: Buffer): void {
    const packets = this.reader.read(bytes);
    if (this.#srtp === null) this.#write(packets);
    else this.#waiting.push(...packets);
  }

  #write(packets: readonly CapturedPacket[]): void {
    const { linkType } = this.reader;
    if (linkType === null) return;
    for (const packet of packets) {
      this.#file.addPacket(linkType, this.#srtp?.read(packet, linkType) ?? packet);
    }
  }

  /** Writes what waits, with the keys that the call has now. */
  async flush(): Promise<void> {
    const packets = this.#waiting;
    this.#waiting = [];
    // In the order in which they came, also when the daemon is slow to answer.
    this.#turn = this.#turn.then(async () => {
      // The call may be over: its keys of before are known.
      const keys = await this.#keys().catch(() => null);
      if (keys !== null) this.#srtp?.learn(keys);
      this.#write(packets);
    });
    await this.#turn;
  }
}

/** Copies until the time is over, somebody ends it, or the program does. @throws Error when that fails */
async function copyPackets(
  child: ChildProcess,
  file: CaptureFile,
  packets: Packets,
  options: CaptureOptions,
  onEnd: (end: () => void) => void,
): Promise<void> {
  let said = '';
  let ended = false;
  const end = (): void => {
    ended = true;
    child.kill('SIGINT');
  };
  const wrong: Error[] = [];
  const fail = (error: unknown): void => {
    wrong.push(error instanceof Error ? error : new Error(String(error)));
    end();
  };
  child.stderr?.on('data', (bytes: Buffer) => {
    if (said.length < 2000) said += bytes.toString('latin1');
  });
  child.stdout?.on('data', (bytes: Buffer) => {
    try {
      if (wrong.length === 0) packets.add(bytes);
      if (file.full) end();
    } catch (error) {
      fail(error);
    }
  });
  const timer = setTimeout(end, options.seconds * 1000);
  const flushing = options.decrypt
    ? setInterval(() => void packets.flush().catch(fail), keysMs)
    : undefined;
  onEnd(end);
  await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  clearInterval(flushing);
  if (options.decrypt) await packets.flush().catch(fail);
  const [first] = wrong;
  if (first !== undefined) throw first;
  if (!ended) throw new Error(`cannot capture: ${said.trim().split('\n').at(-1) ?? 'it ended'}`);
}

function resultText(
  { counted }: CaptureFile,
  srtp: SrtpReader | null,
  { file }: CaptureOptions,
): string {
  const written = `${counted.packets} packets and ${counted.messages} NG messages in ${file}`;
  if (srtp === null) return `${written}\n`;
  const left = srtp.refused === 0 ? '' : `, ${srtp.refused} stay SRTP: no key of the call fits`;
  return `${written}; ${srtp.decrypted} packets of SRTP were decrypted${left}\n`;
}

/**
 * @param onEnd is given what ends the capture early.
 * @returns what to tell the operator. @throws Error when it cannot be done.
 */
export async function runCapture(
  options: CaptureOptions,
  source: CaptureSource,
  onEnd: (end: () => void) => void,
): Promise<string> {
  const answer = await source.call();
  if (answer.ports.length === 0) throw new Error('the call has no open ports');
  const srtp = options.decrypt ? new SrtpReader() : null;
  srtp?.learn(await source.keys());
  const file = new CaptureFile(options.file);
  let child: ChildProcess | null = null;
  try {
    child = await startCapture(captureFilter(answer.ports));
    file.addMessages(answer);
    await copyPackets(child, file, new Packets(file, srtp, source.keys), options, onEnd);
    // The call may be over: then there is nothing more of it.
    const last = await source.call().catch(() => null);
    if (last !== null) file.addMessages(last);
    return resultText(file, srtp, options);
  } finally {
    child?.kill('SIGKILL');
    file.close();
  }
}
