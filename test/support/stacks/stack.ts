/** Peers of WebRTC's kind that are neither a browser nor ours, and the plain telephone beside them. */
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { RtpEndpoint, rtpPacket } from '../rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../sdp.js';

/** What it sends tells it from others; PCMA. */
export interface StackPeer {
  offer(): Promise<string>;
  /** @returns its answer. */
  answer(offer: string): Promise<string>;
  accept(answer: string): Promise<void>;
  /** The next packet of RTP. */
  send(): void;
  /** Packets of RTP that have come with that byte as their first. */
  received(mark: number): number;
  /** `connected` where it has keys and a path. */
  state(): string;
  close(): void;
}

/** Where the npm packages of the stacks are installed; null: they are not. */
export const stacksFolder = process.env['RTPRELAY_STACKS'] ?? null;

/** A package of that folder. */
export async function fromStacks(name: string): Promise<unknown> {
  if (stacksFolder === null) throw new Error('RTPRELAY_STACKS is not set');
  const path = createRequire(join(stacksFolder, 'package.json')).resolve(name);
  return import(pathToFileURL(path).href);
}

/** Counts what comes by its first byte. */
export class Heard {
  readonly #counts = new Map<number, number>();

  /** RTP alone counts. */
  take(packet: Buffer): void {
    const type = (packet[1] ?? 0) & 0x7f;
    if (packet.length < 13 || type !== 8) return;
    const mark = packet[12] ?? 0;
    this.#counts.set(mark, (this.#counts.get(mark) ?? 0) + 1);
  }

  count(mark: number): number {
    return this.#counts.get(mark) ?? 0;
  }
}

/** Numbered packets of one source. */
export class Speaker {
  #sent = 0;
  constructor(
    private readonly mark: number,
    readonly ssrc: number,
  ) {}

  next(): Buffer {
    this.#sent += 1;
    return rtpPacket({
      ...{ payloadType: 8, sequenceNumber: this.#sent, timestamp: this.#sent * 160 },
      ...{ ssrc: this.ssrc, payload: Buffer.alloc(160, this.mark) },
    });
  }
}

/** A plain telephone. */
export class PlainPeer implements StackPeer {
  #heard = 0;
  readonly #all = new Heard();
  readonly #speaker: Speaker;
  #target: { readonly address: string; readonly port: number } | null = null;

  private constructor(
    private readonly phone: RtpEndpoint,
    mark: number,
  ) {
    this.#speaker = new Speaker(mark, phone.ssrc);
  }

  static async open(mark: number): Promise<PlainPeer> {
    return new PlainPeer(await RtpEndpoint.open(), mark);
  }

  #sdp(): string {
    // werift drops what comes of a source that no SDP names (findings/werift-needs-ssrc-line.sh).
    const lines = [`a=ssrc:${this.phone.ssrc} cname:plain`];
    const media = [{ ...audio(this.phone.port), formats: '8', lines }];
    return buildSdp({ address: '127.0.0.1', media });
  }

  offer(): Promise<string> {
    return Promise.resolve(this.#sdp());
  }

  async answer(offer: string): Promise<string> {
    await this.accept(offer);
    return this.#sdp();
  }

  accept(answer: string): Promise<void> {
    this.#target = mediaTarget(answer);
    return Promise.resolve();
  }

  send(): void {
    const to = this.#target;
    if (to !== null) this.phone.rtpSocket.send(this.#speaker.next(), to.port, to.address);
  }

  received(mark: number): number {
    for (const { bytes } of this.phone.rtp.slice(this.#heard)) this.#all.take(bytes);
    this.#heard = this.phone.rtp.length;
    return this.#all.count(mark);
  }

  state(): string {
    return 'connected';
  }

  close(): void {
    this.phone.close();
  }
}
