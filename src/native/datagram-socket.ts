/** The UDP socket of the control protocol: read and written in batches. */
import type { Endpoint } from '../media/call-state.js';
import { loadRelayAddon } from './addon.js';

/** Messages that were not taken, and who sent the last of them. */
export interface RefusedMessages {
  /** They did not look like messages, or came from somebody who sends such. */
  readonly malformed: number;
  /** Too many waited already. */
  readonly overflow: number;
  readonly host: string;
  readonly port: number;
}

/** What a message has turned out to be, as native/core/intake.h counts it. */
const outcomes = { malformed: 0, command: 1, refused: 2, neutral: 3 } as const;

/** native/api/datagram_socket.h */
interface AddonDatagramSocket {
  start(
    onMessages: (
      lengths: readonly number[],
      hosts: readonly string[],
      ports: readonly number[],
    ) => number,
    onError: (code: string) => void,
  ): void;
  refused(): RefusedMessages | null;
  send(bytes: Buffer, host: string, port: number): boolean;
  address(): { readonly address: string; readonly port: number };
  mark(tos: number): void;
  discoverPathMtu(wanted: boolean): void;
  close(): void;
}

interface Addon {
  readonly DatagramSocket: new (
    host: string,
    port: number,
    receiveBufferBytes: number,
    tos: number,
    memory: Buffer,
    freeBind: boolean,
  ) => AddonDatagramSocket;
}

/** As in native/api/datagram_socket.h. */
const datagramBatch = 16;
const datagramBytes = 65_536;

/** A bound UDP socket for control messages, read and written in batches. */
export class NativeDatagramSocket {
  readonly #socket: AddonDatagramSocket;
  readonly #memory = Buffer.allocUnsafeSlow(datagramBatch * datagramBytes);
  readonly address: Endpoint;
  #closed = false;
  #servesOne = false;

  /** @throws Error with the system's `code`. */
  constructor(options: {
    readonly address: string;
    readonly port: number;
    readonly receiveBufferBytes: number;
    readonly tos: number;
    /** Bind an address that the machine does not have (yet). Default false. */
    readonly freeBind?: boolean;
    /** `dont`: what is sent may be fragmented on its way. null: as the system is set. */
    readonly pathMtu?: 'want' | 'dont' | null;
  }) {
    const { address, port, receiveBufferBytes, tos, freeBind = false, pathMtu = null } = options;
    const { DatagramSocket } = loadRelayAddon() as Addon;
    this.#socket = new DatagramSocket(
      address,
      port,
      receiveBufferBytes,
      tos,
      this.#memory,
      freeBind,
    );
    if (pathMtu !== null) this.#socket.discoverPathMtu(pathMtu === 'want');
    this.address = this.#socket.address();
  }

  /**
   * `receive` gets bytes that are valid until it returns, and says what it was: senders of commands are served
   * first from then on; `onError` the system's code of a message not sent.
   */
  start(
    receive: (datagram: Buffer, host: string, port: number) => keyof typeof outcomes,
    onError: (code: string) => void,
  ): void {
    // One string for messages that come from one host again and again.
    let host = '';
    this.#socket.start((lengths, hosts, ports) => {
      let told = 0;
      this.#servesOne = lengths.length === 1;
      for (let index = 0; index < lengths.length; index++) {
        const start = index * datagramBytes;
        const view = this.#memory.subarray(start, start + (lengths[index] ?? 0));
        const from = hosts[index] ?? '';
        if (from !== host) host = from;
        const outcome = receive(view, host, ports[index] ?? 0);
        told |= outcomes[outcome] << (2 * index);
      }
      this.#servesOne = false;
      return told;
    }, onError);
  }

  /** A message is being worked on, and no other one waits, as far as is known. */
  get servesOne(): boolean {
    return this.#servesOne;
  }

  /** What was not taken since the last call; null: nothing. */
  refused(): RefusedMessages | null {
    return this.#closed ? null : this.#socket.refused();
  }

  send(bytes: Buffer, host: string, port: number): boolean {
    return !this.#closed && this.#socket.send(bytes, host, port);
  }

  /** TOS byte of what is sent from now on. */
  mark(tos: number): void {
    if (!this.#closed) this.#socket.mark(tos);
  }

  /** Sends what is queued. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.close();
  }
}
