/** HEP3 packets for Homer, chunk by chunk as rtpengine writes them (seen on 10.5 and 12.5). */
import type { Endpoint } from '../media/call-state.js';

/** What a captured message was. */
export interface HepCapture {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** Wall clock, µs. */
  readonly atMicros: number;
  /** Type of the payload: 5 RTCP as JSON, 0x3d NG. */
  readonly protocol: number;
  /** A byte string. */
  readonly callId: string;
  readonly payload: Buffer;
}

const chunkIds = {
  family: 1,
  ipProtocol: 2,
  source4: 3,
  destination4: 4,
  source6: 5,
  destination6: 6,
  sourcePort: 7,
  destinationPort: 8,
  seconds: 9,
  micros: 10,
  protocol: 11,
  captureId: 12,
  payload: 15,
  callId: 17,
} as const;

const udp = 17;
const headBytes = 6;
/** Lengths are 16 bits; a message that does not fit is cut. */
const maxBytes = 0xffff;

function chunk(id: number, value: Buffer): Buffer {
  const head = Buffer.alloc(headBytes);
  head.writeUInt16BE(id, 2);
  head.writeUInt16BE(headBytes + value.length, 4);
  return Buffer.concat([head, value]);
}

function number(bytes: 1 | 2 | 4, value: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntBE(value % 2 ** (8 * bytes), 0, bytes);
  return buffer;
}

/** The 16 bytes of an IPv6 address without zone. */
function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = (address.split('%', 1)[0] ?? '').split('::');
  const words = (text: string): readonly number[] =>
    text.split(':').flatMap((part) => {
      if (!part.includes('.')) return part === '' ? [] : [Number.parseInt(part, 16)];
      const [a = 0, b = 0, c = 0, d = 0] = part.split('.').map(Number);
      return [a * 256 + b, c * 256 + d];
    });
  const [first, last] = [words(head), words(tail ?? '')];
  const all = [
    ...first,
    ...Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0),
    ...last,
  ];
  const bytes = Buffer.alloc(16);
  all.slice(0, 8).forEach((word, at) => bytes.writeUInt16BE(word & 0xffff, at * 2));
  return bytes;
}

const ipv4Bytes = (address: string): Buffer =>
  Buffer.from(address.split('.').map((part) => Number(part) & 0xff));

/** The bytes of one packet. */
export function hepPacket(capture: HepCapture, captureId: number): Buffer {
  const { source, destination, atMicros, protocol, callId, payload } = capture;
  const v6 = source.address.includes(':');
  const bytesOf = v6 ? ipv6Bytes : ipv4Bytes;
  const head = [
    chunk(chunkIds.family, number(1, v6 ? 10 : 2)),
    chunk(chunkIds.ipProtocol, number(1, udp)),
    chunk(chunkIds.sourcePort, number(2, source.port)),
    chunk(chunkIds.destinationPort, number(2, destination.port)),
    chunk(chunkIds.seconds, number(4, Math.floor(atMicros / 1e6))),
    chunk(chunkIds.micros, number(4, Math.floor(atMicros % 1e6))),
    chunk(chunkIds.protocol, number(1, protocol)),
    chunk(chunkIds.captureId, number(4, captureId)),
    chunk(v6 ? chunkIds.source6 : chunkIds.source4, bytesOf(source.address)),
    chunk(v6 ? chunkIds.destination6 : chunkIds.destination4, bytesOf(destination.address)),
    chunk(chunkIds.callId, Buffer.from(callId, 'latin1').subarray(0, 1024)),
  ];
  const used = head.reduce((sum, { length }) => sum + length, 2 * headBytes);
  const body = chunk(chunkIds.payload, payload.subarray(0, maxBytes - used));
  const start = Buffer.from('HEP3\0\0', 'latin1');
  const packet = Buffer.concat([start, ...head, body]);
  packet.writeUInt16BE(packet.length, 4);
  return packet;
}
