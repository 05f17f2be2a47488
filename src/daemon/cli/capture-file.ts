/** The file that `rtprelayctl capture` writes: pcapng, for nobody but who asked for it. */
import { closeSync, constants, fchmodSync, fstatSync, openSync, writeSync } from 'node:fs';
import {
  datagram,
  enhancedPacket,
  interfaceDescription,
  rawIpLinkType,
  sectionHeader,
  type CapturedPacket,
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

/** A file of that many bytes is the end. */
const maxBytes = 1024 * 1024 * 1024;
const ownerOnly = 0o600;

/** A capture is taken by root, often into /tmp: where a link leads is not what was asked for. @throws Error */
function openOwn(path: string): number {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NOFOLLOW } = constants;
  try {
    const fd = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, ownerOnly);
    // What was there before may have been for everybody.
    if (fstatSync(fd).isFile()) fchmodSync(fd, ownerOnly);
    return fd;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ELOOP') throw new Error(`${path} is a symbolic link`, { cause: error });
    throw new Error(`cannot write ${path}: ${code ?? String(error)}`, { cause: error });
  }
}

export class CaptureFile {
  readonly #fd: number;
  readonly #path: string;
  #bytes = 0;
  #known = 0;
  #hasDevice = false;
  readonly counted = { packets: 0, messages: 0 };

  /** @throws Error: it cannot be written */
  constructor(path: string) {
    this.#path = path;
    this.#fd = openOwn(path);
    this.#write(sectionHeader());
    this.#write(interfaceDescription(rawIpLinkType, 'NG'));
  }

  get full(): boolean {
    return this.#bytes >= maxBytes;
  }

  /** @throws Error: the device is full, say. */
  #write(bytes: Buffer): void {
    try {
      // A device that is nearly full takes a part.
      for (let at = 0; at < bytes.length;) at += writeSync(this.#fd, bytes, at);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      throw new Error(`cannot write ${this.#path}: ${code ?? String(error)}`, { cause: error });
    }
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

  addPacket(linkType: number, packet: CapturedPacket): void {
    if (!this.#hasDevice) this.#write(interfaceDescription(linkType, 'any'));
    this.#hasDevice = true;
    this.#write(enhancedPacket(1, packet));
    this.counted.packets += 1;
  }

  close(): void {
    closeSync(this.#fd);
  }
}
