/** Binding requests of ICE and their answers (RFC 8489, RFC 8445 §7.1), written without the product. */
import { createHmac, randomBytes } from 'node:crypto';
import { crc32 } from 'node:zlib';

const cookie = 0x2112a442;

export interface Check {
  /** THEIRS:OURS */
  readonly username: string;
  /** The other side's. */
  readonly password: string;
  readonly priority: number;
  readonly controlling: boolean;
  readonly useCandidate: boolean;
}

function attribute(type: number, value: Buffer): Buffer {
  const header = Buffer.alloc(4);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(value.length, 2);
  return Buffer.concat([header, value, Buffer.alloc((4 - (value.length % 4)) % 4)]);
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
}

const [request, success] = [0x0001, 0x0101];

/** The header counts what is there and `more` bytes. */
function message(type: number, id: Buffer, attributes: readonly Buffer[], more: number): Buffer {
  const body = Buffer.concat([...attributes]);
  const header = Buffer.alloc(8);
  header.writeUInt16BE(type, 0);
  header.writeUInt16BE(body.length + more, 2);
  header.writeUInt32BE(cookie, 4);
  return Buffer.concat([header, id, body]);
}

export function bindingRequest(check: Check): Buffer {
  const id = randomBytes(12);
  const attributes = [
    attribute(0x0006, Buffer.from(check.username)),
    attribute(check.controlling ? 0x802a : 0x8029, randomBytes(8)),
    attribute(0x0024, uint32(check.priority)),
    ...(check.useCandidate ? [attribute(0x0025, Buffer.alloc(0))] : []),
  ];
  return signed(request, id, attributes, check.password);
}

/** Adds MESSAGE-INTEGRITY and FINGERPRINT. */
function signed(type: number, id: Buffer, attributes: readonly Buffer[], password: string): Buffer {
  const hmac = createHmac('sha1', password)
    .update(message(type, id, attributes, 24))
    .digest();
  const all = [...attributes, attribute(0x0008, hmac)];
  const sum = crc32(message(type, id, all, 8)) ^ 0x5354554e;
  return message(type, id, [...all, attribute(0x8028, uint32(sum))], 0);
}

/** The answer to a check of the other side, that came from an IPv4 address. `password`: ours. */
export function bindingResponse(
  check: Buffer,
  from: { readonly address: string; readonly port: number },
  password: string,
): Buffer {
  const mapped = Buffer.alloc(8);
  mapped.writeUInt8(1, 1);
  mapped.writeUInt16BE(from.port ^ (cookie >>> 16), 2);
  const host = Buffer.from(from.address.split('.').map(Number)).readUInt32BE();
  mapped.writeUInt32BE((host ^ cookie) >>> 0, 4);
  return signed(success, check.subarray(8, 20), [attribute(0x0020, mapped)], password);
}

/** 0x0101 of a success response; null: not STUN. */
export function stunType(bytes: Buffer): number | null {
  return bytes.length >= 20 && bytes.readUInt32BE(4) === cookie ? bytes.readUInt16BE(0) : null;
}
