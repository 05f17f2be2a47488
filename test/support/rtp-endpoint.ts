/** A phone's media sockets: sends numbered RTP (RFC 3550 §5.1) and RTCP and keeps what arrives. */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { freeUdpRange } from './free-ports.js';
import { pause } from './wait.js';

export interface ReceivedPacket {
  readonly bytes: Buffer;
  readonly from: { readonly address: string; readonly port: number };
}

export interface RtpPacket extends ReceivedPacket {
  readonly payloadType: number;
  readonly marker: boolean;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Buffer;
}

export interface RtpFields {
  readonly payloadType?: number;
  readonly sequenceNumber: number;
  readonly timestamp: number;
  readonly ssrc: number;
  readonly payload: Uint8Array;
}

/** RTP fixed header without CSRCs or extension, and the payload. */
export function rtpPacket(fields: RtpFields): Buffer {
  const header = Buffer.alloc(12);
  header[0] = 0x80;
  header[1] = fields.payloadType ?? 0;
  header.writeUInt16BE(fields.sequenceNumber & 0xffff, 2);
  header.writeUInt32BE(fields.timestamp >>> 0, 4);
  header.writeUInt32BE(fields.ssrc >>> 0, 8);
  return Buffer.concat([header, fields.payload]);
}

/** RTCP sender report without report blocks (RFC 3550 §6.4.1). */
export function senderReport(ssrc: number, packets: number, octets: number): Buffer {
  const report = Buffer.alloc(28);
  report[0] = 0x80;
  report[1] = 200;
  report.writeUInt16BE(6, 2);
  report.writeUInt32BE(ssrc >>> 0, 4);
  report.writeUInt32BE(packets, 20);
  report.writeUInt32BE(octets, 24);
  return report;
}

function readRtp(packet: ReceivedPacket): RtpPacket {
  const { bytes } = packet;
  if (bytes.length < 12) throw new Error(`${bytes.length} bytes are no RTP packet`);
  return {
    ...packet,
    payloadType: bytes.readUInt8(1) & 0x7f,
    marker: (bytes.readUInt8(1) & 0x80) !== 0,
    sequenceNumber: bytes.readUInt16BE(2),
    timestamp: bytes.readUInt32BE(4),
    ssrc: bytes.readUInt32BE(8),
    payload: bytes.subarray(12),
  };
}

export interface Destination {
  readonly address: string;
  readonly port: number;
}

export interface SendOptions {
  readonly payloadType?: number;
  /** Time between two packets, default 2. */
  readonly intervalMs?: number;
  /** Bytes of payload, default 160 (20 ms of G.711). */
  readonly payloadBytes?: number;
}

let nextSsrc = 0x10000000 + Math.floor(Math.random() * 0x0fffffff);

/** Two neighbouring sockets, RTP on the even port. Sequence numbers start at 1. */
export class RtpEndpoint {
  readonly rtp: ReceivedPacket[] = [];
  readonly rtcp: ReceivedPacket[] = [];
  #sent = 0;
  #octets = 0;

  private constructor(
    readonly ssrc: number,
    readonly address: string,
    readonly port: number,
    readonly rtpSocket: Socket,
    readonly rtcpSocket: Socket,
  ) {
    this.rtpSocket.on('message', (bytes, from) => this.rtp.push(received(bytes, from)));
    this.rtcpSocket.on('message', (bytes, from) => this.rtcp.push(received(bytes, from)));
  }

  /** Opens a pair on `address`, by default on free ports of the loopback with an SSRC of its own. */
  static async open(
    ssrc = (nextSsrc += 1),
    address = '127.0.0.1',
    port?: number,
  ): Promise<RtpEndpoint> {
    const first = port ?? freeUdpRange(2).min;
    const sockets = [first, first + 1].map(async (each) => {
      const type = address.includes(':') ? 'udp6' : 'udp4';
      const socket = createSocket({ type, recvBufferSize: 1 << 20 });
      socket.bind(each, address);
      await once(socket, 'listening');
      return socket;
    });
    const [rtp, rtcp] = await Promise.all(sockets);
    if (rtp === undefined || rtcp === undefined) throw new Error('no sockets');
    return new RtpEndpoint(ssrc, address, first, rtp, rtcp);
  }

  /** RTP packets sent so far. */
  get sent(): number {
    return this.#sent;
  }

  /** RTP packets received so far. */
  get received(): number {
    return this.rtp.length;
  }

  /** Sends the next RTP packet. */
  sendNext(to: Destination, options: SendOptions = {}): void {
    const bytes = options.payloadBytes ?? 160;
    this.#sent += 1;
    this.#octets += bytes;
    const packet = rtpPacket({
      payloadType: options.payloadType ?? 0,
      sequenceNumber: this.#sent,
      timestamp: this.#sent * 160,
      ssrc: this.ssrc,
      payload: Buffer.alloc(bytes, this.#sent & 0xff),
    });
    this.rtpSocket.send(packet, to.port, to.address);
  }

  /** Sends the next RTP packet to a port of the same address. */
  send(port: number): void {
    this.sendNext({ address: this.address, port });
  }

  /** Sends `count` RTP packets with rising sequence numbers. */
  async sendRtp(to: Destination, count: number, options: SendOptions = {}): Promise<void> {
    for (let index = 0; index < count; index += 1) {
      this.sendNext(to, options);
      await pause(options.intervalMs ?? 2);
    }
  }

  /** Sends a sender report from the RTCP socket. */
  sendReport(to: Destination): void {
    this.rtcpSocket.send(senderReport(this.ssrc, this.#sent, this.#octets), to.port, to.address);
  }

  /** What arrived on the RTP port, read as RTP. */
  packets(): readonly RtpPacket[] {
    return this.rtp.map(readRtp);
  }

  /** Sequence numbers as they arrived. */
  sequenceNumbers(): readonly number[] {
    return this.packets().map((packet) => packet.sequenceNumber);
  }

  /**
   * Waits until no packet has arrived for `quietMs`, in many short pauses: on a busy machine each of them takes longer, as
   * does what a relay has to do.
   */
  async settled(quietMs = 60): Promise<void> {
    let seen = -1;
    while (seen !== this.rtp.length + this.rtcp.length) {
      seen = this.rtp.length + this.rtcp.length;
      for (let passed = 0; passed < quietMs; passed += 5) await pause(5);
    }
  }

  /** Forgets what has arrived. */
  clear(): void {
    this.rtp.length = 0;
    this.rtcp.length = 0;
  }

  close(): void {
    this.rtpSocket.close();
    this.rtcpSocket.close();
  }
}

function received(bytes: Buffer, from: RemoteInfo): ReceivedPacket {
  return { bytes, from: { address: from.address, port: from.port } };
}
