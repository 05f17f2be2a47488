/** A captured UDP datagram: where it is in the packet, and the packet with another payload. */
import { checksum } from './pcapng.js';

/** Bytes before the IP header, and where among them the EtherType stands (tcpdump.org/linktypes.html). */
const linkTypes: ReadonlyMap<number, readonly [header: number, etherType: number]> = new Map([
  [1, [14, 12]],
  [113, [16, 14]],
  [276, [20, 0]],
]);
const rawIp = 101;
const [vlan, serviceVlan] = [0x8100, 0x88a8];
const udpProtocol = 17;
const udpHeaderBytes = 8;

export interface UdpPacket {
  readonly version: 4 | 6;
  /** Offsets in the packet. */
  readonly ip: number;
  readonly udp: number;
  readonly payload: Buffer;
  /** `hex of the address:port` as `placeKey` makes them. */
  readonly source: string;
  readonly destination: string;
}

export const placeKey = (address: Buffer, port: number): string =>
  `${address.toString('hex')}:${port}`;

/** Offset of the IP header; null: another link layer, or no IP. */
function ipOffset(bytes: Buffer, linkType: number): number | null {
  if (linkType === rawIp) return 0;
  const layer = linkTypes.get(linkType);
  if (layer === undefined) return null;
  let [at, typeAt] = layer;
  for (let tags = 0; tags < 2 && bytes.length >= at + 4; tags += 1) {
    const type = bytes.readUInt16BE(typeAt);
    if (linkType !== 1 || (type !== vlan && type !== serviceVlan)) break;
    typeAt = at + 2;
    at += 4;
  }
  return at;
}

/** null: no whole UDP datagram, a fragment, or of a link layer that is not known here. */
export function udpPacket(bytes: Buffer, linkType: number): UdpPacket | null {
  const ip = ipOffset(bytes, linkType);
  if (ip === null || bytes.length < ip + 20) return null;
  const version = (bytes[ip] ?? 0) >> 4;
  if (version !== 4 && version !== 6) return null;
  const udp = version === 4 ? udpInIpv4(bytes, ip) : udpInIpv6(bytes, ip);
  if (udp === null || bytes.length < udp + udpHeaderBytes) return null;
  const length = bytes.readUInt16BE(udp + 4);
  if (length < udpHeaderBytes || bytes.length < udp + length) return null;
  const [addresses, size] = version === 4 ? [ip + 12, 4] : [ip + 8, 16];
  const place = (position: number): string =>
    placeKey(
      bytes.subarray(addresses + position * size, addresses + (position + 1) * size),
      bytes.readUInt16BE(udp + 2 * position),
    );
  const payload = bytes.subarray(udp + udpHeaderBytes, udp + length);
  return { version, ip, udp, payload, source: place(0), destination: place(1) };
}

function udpInIpv4(bytes: Buffer, ip: number): number | null {
  const fragment = bytes.readUInt16BE(ip + 6) & 0x3fff;
  const header = 4 * ((bytes[ip] ?? 0) & 0x0f);
  return bytes[ip + 9] === udpProtocol && fragment === 0 && header >= 20 ? ip + header : null;
}

/** Media comes without extension headers. */
const udpInIpv6 = (bytes: Buffer, ip: number): number | null =>
  bytes.length >= ip + 40 && bytes[ip + 6] === udpProtocol ? ip + 40 : null;

/** The packet with another payload: lengths and checksums are right again, all else is as it was. */
export function withPayload(bytes: Buffer, packet: UdpPacket, payload: Buffer): Buffer {
  const { version, ip, udp } = packet;
  const made = Buffer.concat([bytes.subarray(0, udp + udpHeaderBytes), payload]);
  const length = udpHeaderBytes + payload.length;
  made.writeUInt16BE(length, udp + 4);
  made.writeUInt16BE(0, udp + 6);
  const addresses =
    version === 4 ? made.subarray(ip + 12, ip + 20) : made.subarray(ip + 8, ip + 40);
  const pseudo = Buffer.from([0, udpProtocol, length >> 8, length & 0xff]);
  const sum = checksum(Buffer.concat([addresses, pseudo, made.subarray(udp)]));
  made.writeUInt16BE(sum === 0 ? 0xffff : sum, udp + 6);
  if (version === 4) {
    made.writeUInt16BE(made.length - ip, ip + 2);
    made.writeUInt16BE(0, ip + 10);
    made.writeUInt16BE(checksum(made.subarray(ip, udp)), ip + 10);
  } else made.writeUInt16BE(made.length - ip - 40, ip + 4);
  return made;
}
