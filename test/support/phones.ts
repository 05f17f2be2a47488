/**
 * Phones in a namespace of their own. Each packet says of which stream it is and its number, and each
 * arrival is noted with the socket it came to: what is lost, doubled or misdirected shows.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { NgDictionary } from './bencode.js';
import type { NetworkNamespace } from './namespaces.js';
import type { Reply } from './ng-client.js';
import { pause, until } from './wait.js';

/** From packet to packet of a stream. */
export const packetMs = 20;

/** `dtmf`: RTP of payload type 101; `dtls`, `stun`: what looks like that; `raw`: nothing of all this. */
export type PacketKind = 'rtp' | 'dtmf' | 'rtcp' | 'dtls' | 'stun' | 'raw';

export interface Place {
  /** Lowest and highest number that arrived there. */
  readonly first: number;
  readonly last: number;
  readonly count: number;
}

export interface StreamReport {
  readonly sent: number;
  /** Numbers, from 1, that arrived nowhere. */
  readonly lost: readonly number[];
  readonly duplicates: number;
  /** By the name of the socket; ` silent` is added where the relay has put silence in place of sound. */
  readonly places: Readonly<Record<string, Place>>;
}

export interface PhonesReport {
  readonly streams: Readonly<Record<string, StreamReport>>;
  /** Packets that no phone has sent. */
  readonly strange: number;
}

export interface Address {
  readonly address: string;
  readonly port: number;
}

export type Marks = Readonly<Record<string, number>>;

export interface MarkedReply {
  readonly reply: Reply;
  /** How many packets each stream had sent when the reply was here. */
  readonly sent: Marks;
}

export type PhonesRequest =
  | { readonly op: 'open'; readonly name: string; readonly address: string; readonly port: number }
  | {
      readonly op: 'talk';
      readonly label: string;
      readonly from: string;
      readonly to: Address;
      readonly kind: PacketKind;
    }
  | { readonly op: 'hush'; readonly label: string }
  | { readonly op: 'report' }
  | { readonly op: 'marks' }
  | {
      readonly op: 'ng';
      readonly host: string;
      readonly port: number;
      readonly dictionary: NgDictionary;
      readonly tries: number;
    }
  | { readonly op: 'cli'; readonly host: string; readonly port: number; readonly text: string };

interface Answer {
  readonly id: number;
  readonly value?: unknown;
  readonly error?: string;
}

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class Phones {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (answer: Answer) => void>();
  #next = 0;

  private constructor(namespace: NetworkNamespace) {
    const program = fileURLToPath(new URL('./phones-process.ts', import.meta.url));
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const words = ['netns', 'exec', namespace.name, process.execPath, '--import', 'tsx', program];
    this.#child = spawn('ip', words, { env, stdio: ['pipe', 'pipe', 'inherit'] });
    alive.add(this.#child);
    this.#child.on('exit', () => {
      alive.delete(this.#child);
      for (const done of this.#waiting.values()) done({ id: 0, error: 'the phones have ended' });
      this.#waiting.clear();
    });
    if (this.#child.stdout === null) throw new Error('no output of the phones');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      const answer = JSON.parse(line) as Answer;
      this.#waiting.get(answer.id)?.(answer);
      this.#waiting.delete(answer.id);
    });
  }

  static async start(namespace: NetworkNamespace): Promise<Phones> {
    const phones = new Phones(namespace);
    await new Promise<Answer>((resolve) => phones.#waiting.set(phones.#next++, resolve));
    return phones;
  }

  async #ask(request: PhonesRequest): Promise<unknown> {
    const id = this.#next++;
    const { value, error } = await new Promise<Answer>((resolve) => {
      this.#waiting.set(id, resolve);
      this.#child.stdin?.write(`${JSON.stringify({ id, request })}\n`);
    });
    if (error !== undefined) throw new Error(error);
    return value;
  }

  async open(name: string, at: Address): Promise<void> {
    await this.#ask({ op: 'open', name, ...at });
  }

  /** Begins a stream of a packet every 20 ms (`packetMs`), or lets it go on from another socket or to elsewhere. */
  async talk(label: string, from: string, to: Address, kind: PacketKind = 'rtp'): Promise<void> {
    await this.#ask({ op: 'talk', label, from, to, kind });
  }

  /** Ends the streams whose labels begin so. */
  async hush(label: string): Promise<void> {
    await this.#ask({ op: 'hush', label });
  }

  async marks(): Promise<Marks> {
    return (await this.#ask({ op: 'marks' })) as Marks;
  }

  /**
   * Waits until everyone who talks has sent so many packets more: some of a stream, which takes longer on a busy
   * machine, where a sender that was held up leaves out what it could not send.
   */
  async some(packets = 8): Promise<void> {
    const before = await this.marks();
    await pause(packets * packetMs);
    await until(async () => {
      const sent = Object.entries(await this.marks());
      const more = sent.map(([label, count]) => count - (before[label] ?? 0));
      return more.every((count) => count === 0 || count >= packets);
    }, `${packets} packets more`);
  }

  /** What the streams whose labels begin so have sent by now; all of that has arrived when this resolves. */
  async arrived(label: string): Promise<Marks> {
    const sent = await this.marks();
    await until(async () => {
      const { streams } = await this.report();
      const own = Object.entries(streams).filter(([name]) => name.startsWith(label));
      return own.every(([name, { lost }]) => (lost[0] ?? Infinity) > (sent[name] ?? 0));
    }, `the arrival of all that ${label} has sent`);
    return sent;
  }

  async report(): Promise<PhonesReport> {
    return (await this.#ask({ op: 'report' })) as PhonesReport;
  }

  /** An NG command from where the phones are; it is repeated `tries` times, 200 ms apart. */
  async ng(at: Address, dictionary: NgDictionary, tries = 100): Promise<MarkedReply> {
    const { address: host, port } = at;
    return (await this.#ask({ op: 'ng', host, port, dictionary, tries })) as MarkedReply;
  }

  /** A line of the relay's command line. */
  async command(at: Address, text: string): Promise<string> {
    return (await this.#ask({ op: 'cli', host: at.address, port: at.port, text })) as string;
  }

  /**
   * The report once no more packets arrive of the streams whose labels begin so; they are hushed.
   */
  async settledReport(label = ''): Promise<PhonesReport> {
    let before = '';
    let same = 0;
    for (let attempt = 0; attempt < 40; attempt++) {
      await pause(60);
      const report = await this.report();
      const streams = Object.entries(report.streams).filter(([name]) => name.startsWith(label));
      const now = JSON.stringify(streams);
      same = now === before ? same + 1 : 0;
      if (same === 2) return report;
      before = now;
    }
    return this.report();
  }

  async stop(): Promise<void> {
    if (!alive.has(this.#child)) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
