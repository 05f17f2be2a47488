/** Capture files: reads the classic format as a program writes it, and writes pcapng (draft-ietf-opsawg-pcapng). */

export interface CapturedPacket {
  /** µs since the epoch. */
  readonly atMicros: number;
  readonly bytes: Buffer;
  /** As it was on the wire. */
  readonly length: number;
}

/** What cannot be read. */
export class CaptureFormatError extends Error {
  override readonly name = 'CaptureFormatError';
}

const headerBytes = 24;
const recordBytes = 16;
/** No packet is longer. */
const maxPacketBytes = 256 * 1024;

/** Reads a stream of the classic format (pcap-savefile(5)) as it comes. */
export class PcapReader {
  #rest = Buffer.alloc(0);
  #header: { readonly little: boolean; readonly nanos: boolean; readonly linkType: number } | null =
    null;

  /** null: its header has not come yet. */
  get linkType(): number | null {
    return this.#header?.linkType ?? null;
  }

  /** @returns the packets that are whole now. @throws CaptureFormatError */
  read(bytes: Buffer): readonly CapturedPacket[] {
    this.#rest = Buffer.concat([this.#rest, bytes]);
    if (this.#header === null) {
      if (this.#rest.length < headerBytes) return [];
      this.#header = headerOf(this.#rest);
      this.#rest = this.#rest.subarray(headerBytes);
    }
    const { little, nanos } = this.#header;
    const number = (at: number): number =>
      little ? this.#rest.readUInt32LE(at) : this.#rest.readUInt32BE(at);
    const packets: CapturedPacket[] = [];
    while (this.#rest.length >= recordBytes) {
      const size = number(8);
      if (size > maxPacketBytes) throw new CaptureFormatError(`a packet of ${size} bytes`);
      if (this.#rest.length < recordBytes + size) break;
      const micros = nanos ? Math.floor(number(4) / 1000) : number(4);
      packets.push({
        atMicros: number(0) * 1e6 + micros,
        bytes: Buffer.from(this.#rest.subarray(recordBytes, recordBytes + size)),
        length: number(12),
      });
      this.#rest = this.#rest.subarray(recordBytes + size);
    }
    return packets;
  }
}

function headerOf(bytes: Buffer): {
  readonly little: boolean;
  readonly nanos: boolean;
  readonly linkType: number;
} {
  const magics = [bytes.readUInt32LE(0), bytes.readUInt32BE(0)];
  const at = magics.findIndex((magic) => magic === 0xa1b2c3d4 || magic === 0xa1b23c4d);
  if (at < 0) throw new CaptureFormatError('this is no capture file');
  const little = at === 0;
  const linkType = (little ? bytes.readUInt32LE(20) : bytes.readUInt32BE(20)) & 0xffff;
  return { little, nanos: magics[at] === 0xa1b23c4d, linkType };
}

const padded = (bytes: Buffer): Buffer =>
  bytes.length % 4 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(4 - (bytes.length % 4))]);

function block(type: number, body: Buffer): Buffer {
  const filled = padded(body);
  const bytes = Buffer.alloc(filled.length + 12);
  bytes.writeUInt32LE(type, 0);
  bytes.writeUInt32LE(bytes.length, 4);
  filled.copy(bytes, 8);
  bytes.writeUInt32LE(bytes.length, bytes.length - 4);
  return bytes;
}

/** The beginning of a file. */
export function sectionHeader(): Buffer {
  const body = Buffer.alloc(16, 0xff);
  body.writeUInt32LE(0x1a2b3c4d, 0);
  body.writeUInt16LE(1, 4);
  body.writeUInt16LE(0, 6);
  return block(0x0a0d0d0a, body);
}

/** An interface; they are numbered from 0 as they come. Times are in µs. */
export function interfaceDescription(linkType: number, name: string): Buffer {
  const head = Buffer.alloc(8);
  head.writeUInt16LE(linkType, 0);
  const text = Buffer.from(name, 'latin1');
  const option = Buffer.alloc(4);
  // if_name
  option.writeUInt16LE(2, 0);
  option.writeUInt16LE(text.length, 2);
  return block(1, Buffer.concat([head, option, padded(text), Buffer.alloc(4)]));
}

export function enhancedPacket(interfaceId: number, packet: CapturedPacket): Buffer {
  const head = Buffer.alloc(20);
  head.writeUInt32LE(interfaceId, 0);
  head.writeUInt32LE(Math.floor(packet.atMicros / 2 ** 32), 4);
  head.writeUInt32LE((packet.atMicros % 2 ** 32) >>> 0, 8);
  head.writeUInt32LE(packet.bytes.length, 12);
  head.writeUInt32LE(packet.length, 16);
  return block(6, Buffer.concat([head, packet.bytes]));
}

/** Raw IP, of either version. */
export const rawIpLinkType = 101;

export interface Place {
  readonly address: string;
  readonly port: number;
}

/** Longest payload of a datagram over IPv4. */
const maxPayloadBytes = 65_507;

function ipv6Bytes(address: string): Buffer {
  const [head = '', tail] = address.split('%', 1)[0]?.split('::') ?? [];
  const words = (text: string | undefined): number[] =>
    text === undefined || text === ''
      ? []
      : text.split(':').map((word) => Number.parseInt(word, 16));
  const [first, last] = [words(head), words(tail)];
  const zeros = new Array<number>(Math.max(0, 8 - first.length - last.length)).fill(0);
  const bytes = Buffer.alloc(16);
  [...first, ...zeros, ...last].slice(0, 8).forEach((word, at) => {
    bytes.writeUInt16BE(word & 0xffff, at * 2);
  });
  return bytes;
}

function ipv4Bytes(address: string): Buffer {
  const numbers = address.split('.').map(Number);
  return Buffer.from(numbers.length === 4 ? numbers : [0, 0, 0, 0]);
}

/** Of either family, in network byte order. */
export const addressBytes = (address: string): Buffer =>
  address.includes(':') ? ipv6Bytes(address) : ipv4Bytes(address);

/** RFC 1071. */
export function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += (bytes.at(-1) ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return ~sum & 0xffff;
}

/** A datagram as raw IP, as it would have been on the wire in one piece. */
export function datagram(source: Place, destination: Place, payload: Buffer): Buffer {
  const data = payload.subarray(0, maxPayloadBytes);
  const udp = Buffer.alloc(8);
  udp.writeUInt16BE(source.port, 0);
  udp.writeUInt16BE(destination.port, 2);
  udp.writeUInt16BE(8 + data.length, 4);
  if (source.address.includes(':') || destination.address.includes(':')) {
    const head = Buffer.alloc(8);
    head[0] = 0x60;
    head.writeUInt16BE(8 + data.length, 4);
    head[6] = 17;
    head[7] = 64;
    const addresses = Buffer.concat([ipv6Bytes(source.address), ipv6Bytes(destination.address)]);
    const pseudo = Buffer.concat([addresses, Buffer.from([0, 0, 0, 0, 0, 0, 0, 17]), udp, data]);
    pseudo.writeUInt32BE(8 + data.length, 32);
    udp.writeUInt16BE(checksum(pseudo) || 0xffff, 6);
    return Buffer.concat([head, addresses, udp, data]);
  }
  const head = Buffer.alloc(20);
  head[0] = 0x45;
  head.writeUInt16BE(28 + data.length, 2);
  head[8] = 64;
  head[9] = 17;
  ipv4Bytes(source.address).copy(head, 12);
  ipv4Bytes(destination.address).copy(head, 16);
  head.writeUInt16BE(checksum(head), 10);
  return Buffer.concat([head, udp, data]);
}
