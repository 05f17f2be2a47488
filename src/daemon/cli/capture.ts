/**
 * `rtprelayctl capture CALL-ID FILE`: one call's packets and NG messages as pcapng. The packets are taken by tcpdump or
 * dumpcap on all devices, so those that the kernel forwards are seen as well; SRTP is as on the wire.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, writeSync } from 'node:fs';
import {
  datagram,
  enhancedPacket,
  interfaceDescription,
  PcapReader,
  rawIpLinkType,
  sectionHeader,
  type Place,
} from './pcapng.js';

/** What the daemon's command `capture CALL-ID` answers. */
export interface CaptureAnswer {
  readonly callId: string;
  /** Local media ports of the call. */
  readonly ports: readonly Place[];
  /** Where NG messages arrive. */
  readonly ng: Place;
  readonly exchanges: readonly {
    readonly atMicros: number;
    readonly source: Place;
    /** base64 */
    readonly query: string;
    readonly reply: string;
  }[];
}

export interface CaptureOptions {
  readonly callId: string;
  readonly file: string;
  readonly seconds: number;
}

const usage = 'capture takes CALL-ID FILE [--seconds=N]';
const maxSeconds = 86_400;
/** A file of that many bytes is the end. */
const maxBytes = 1024 * 1024 * 1024;

/** Words behind `capture`; a text: what is wrong with them. */
export function captureOptions(words: readonly string[]): CaptureOptions | string {
  let seconds = 10;
  const rest: string[] = [];
  for (const word of words) {
    const [, number] = /^--?seconds=(\d{1,6})$/.exec(word) ?? [];
    if (number !== undefined) seconds = Number(number);
    else if (/^--?decrypt$/.test(word)) {
      return 'capture does not decrypt: SRTP is written as on the wire (rtprelayd --log-srtp-keys logs the keys)';
    } else if (word.startsWith('--')) return `${usage}, not '${word}'`;
    else rest.push(word);
  }
  const [callId, file] = rest;
  if (callId === undefined || file === undefined || rest.length > 2) return usage;
  if (seconds < 1 || seconds > maxSeconds) return `--seconds is from 1 to ${maxSeconds}`;
  return { callId, file, seconds };
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

interface Counted {
  packets: number;
  messages: number;
}

class CaptureFile {
  readonly #fd: number;
  #bytes = 0;
  #known = 0;
  readonly counted: Counted = { packets: 0, messages: 0 };

  constructor(path: string) {
    this.#fd = openSync(path, 'w', 0o600);
    this.#write(sectionHeader());
    this.#write(interfaceDescription(rawIpLinkType, 'NG'));
  }

  get full(): boolean {
    return this.#bytes >= maxBytes;
  }

  #write(bytes: Buffer): void {
    writeSync(this.#fd, bytes);
    this.#bytes += bytes.length;
  }

  /** NG messages that are not there yet. */
  addMessages({ ng, exchanges }: CaptureAnswer): void {
    for (const { atMicros, source, query, reply } of exchanges) {
      if (atMicros <= this.#known) continue;
      this.#known = atMicros;
      const add = (from: Place, to: Place, text: string, at: number): void => {
        const bytes = datagram(from, to, Buffer.from(text, 'base64'));
        this.#write(enhancedPacket(0, { atMicros: at, bytes, length: bytes.length }));
        this.counted.messages += 1;
      };
      // When a command came is not kept; it came before its reply.
      add(source, ng, query, atMicros - 1);
      add(ng, source, reply, atMicros);
    }
  }

  /** @throws CaptureFormatError */
  addPackets(reader: PcapReader, bytes: Buffer): void {
    const before = reader.linkType;
    const packets = reader.read(bytes);
    if (before === null && reader.linkType !== null) {
      this.#write(interfaceDescription(reader.linkType, 'any'));
    }
    for (const packet of packets) {
      this.#write(enhancedPacket(1, packet));
      this.counted.packets += 1;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}

/** Copies until the time is over, somebody ends it, or the program does. @throws Error when that fails */
async function copyPackets(
  child: ChildProcess,
  file: CaptureFile,
  seconds: number,
  onEnd: (end: () => void) => void,
): Promise<void> {
  const reader = new PcapReader();
  let said = '';
  let ended = false;
  const end = (): void => {
    ended = true;
    child.kill('SIGINT');
  };
  const wrong: Error[] = [];
  child.stderr?.on('data', (bytes: Buffer) => {
    if (said.length < 2000) said += bytes.toString('latin1');
  });
  child.stdout?.on('data', (bytes: Buffer) => {
    try {
      file.addPackets(reader, bytes);
      if (file.full) end();
    } catch (error) {
      wrong.push(error instanceof Error ? error : new Error(String(error)));
      end();
    }
  });
  const timer = setTimeout(end, seconds * 1000);
  onEnd(end);
  await new Promise((resolve) => child.on('close', resolve));
  clearTimeout(timer);
  const [first] = wrong;
  if (first !== undefined) throw first;
  if (!ended) throw new Error(`cannot capture: ${said.trim().split('\n').at(-1) ?? 'it ended'}`);
}

/**
 * @param ask the daemon's answer for the call.
 * @param onEnd is given what ends the capture early.
 * @returns what to tell the operator. @throws Error when it cannot be done.
 */
export async function runCapture(
  { file: path, seconds }: CaptureOptions,
  ask: () => Promise<CaptureAnswer>,
  onEnd: (end: () => void) => void,
): Promise<string> {
  const answer = await ask();
  if (answer.ports.length === 0) throw new Error('the call has no open ports');
  const child = await startCapture(captureFilter(answer.ports));
  const file = new CaptureFile(path);
  try {
    file.addMessages(answer);
    await copyPackets(child, file, seconds, onEnd);
    // The call may be over: then there is nothing more of it.
    const last = await ask().catch(() => null);
    if (last !== null) file.addMessages(last);
    const { packets, messages } = file.counted;
    return `${packets} packets and ${messages} NG messages in ${path}\n`;
  } finally {
    child.kill('SIGKILL');
    file.close();
  }
}
