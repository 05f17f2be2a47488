/** A phone of the demonstration: sends PCMA every 20 ms and counts what it hears. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const rtpHeaderBytes = 12;
const samplesPerPacket = 160; // 20 ms at 8 kHz
const pcma = 8;

export interface Heard {
  readonly received: number;
  /** Packets missing so far, by sequence number. */
  readonly lost: number;
  /** Times through the relay in ms since the last look, sorted. */
  readonly latencies: readonly number[];
}

export class Phone {
  readonly #socket: Socket;
  readonly #ssrc: number;
  #sent = 0;
  #received = 0;
  #highest = -1;
  #latencies: number[] = [];

  private constructor(socket: Socket, ssrc: number) {
    this.#socket = socket;
    this.#ssrc = ssrc;
    socket.on('message', (packet) => this.#hear(packet));
  }

  static async open(ssrc: number): Promise<Phone> {
    const socket = createSocket('udp4');
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    return new Phone(socket, ssrc);
  }

  get port(): number {
    return this.#socket.address().port;
  }

  get sent(): number {
    return this.#sent;
  }

  /** One packet of RTP (RFC 3550 §5.1) whose payload begins with the time it was sent. */
  say(relayPort: number): void {
    const packet = Buffer.alloc(rtpHeaderBytes + samplesPerPacket, 0xd5); // PCMA's silence
    packet[0] = 0x80;
    packet[1] = pcma;
    packet.writeUInt16BE(this.#sent & 0xffff, 2);
    packet.writeUInt32BE((this.#sent * samplesPerPacket) >>> 0, 4);
    packet.writeUInt32BE(this.#ssrc, 8);
    packet.writeDoubleBE(performance.now(), rtpHeaderBytes);
    this.#sent += 1;
    this.#socket.send(packet, relayPort, '127.0.0.1');
  }

  #hear(packet: Buffer): void {
    if (packet.length < rtpHeaderBytes + 8) return;
    this.#received += 1;
    this.#highest = Math.max(this.#highest, packet.readUInt16BE(2));
    this.#latencies.push(performance.now() - packet.readDoubleBE(rtpHeaderBytes));
  }

  heard(): Heard {
    const latencies = this.#latencies.sort((a, b) => a - b);
    this.#latencies = [];
    return { received: this.#received, lost: this.#highest + 1 - this.#received, latencies };
  }

  /** What it offers: PCMA on its own port. */
  sdp(): string {
    const lines = [
      'v=0',
      'o=- 1 1 IN IP4 127.0.0.1',
      's=-',
      'c=IN IP4 127.0.0.1',
      't=0 0',
      `m=audio ${this.port} RTP/AVP ${pcma}`,
    ];
    return `${lines.join('\r\n')}\r\n`;
  }

  close(): void {
    this.#socket.close();
  }
}
