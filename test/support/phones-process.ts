/**
 * Phones in a network namespace (see phones.ts): sockets that send numbered packets and note what
 * arrives where. Started by `Phones`; one request a line on stdin, one reply a line on stdout; ends
 * when stdin does.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { NgClient } from './ng-client.js';
import type { NgDictionary } from './bencode.js';
import type { PacketKind, PhonesReport, PhonesRequest, Place, StreamReport } from './phones.js';

const intervalMs = 20;
/** A sender that was held up longer does not make up for it. */
const maxBehindMs = 200;
const headerBytes = 12;
const labelBytes = 24;
const packetBytes = 172;
const mark = 0x70686f6e;

interface Sender {
  readonly label: string;
  readonly ssrc: number;
  kind: PacketKind;
  socket: Socket | null;
  to: { readonly address: string; readonly port: number };
  sent: number;
  due: number;
}

const sockets = new Map<string, Socket>();
const senders = new Map<string, Sender>();
/** Label → where each packet arrived, by number. */
const heard = new Map<string, Map<number, string[]>>();
const clients = new Map<string, NgClient>();
let strange = 0;
let nextSsrc = 0x20000000;

function header(sender: Sender): Buffer {
  const bytes = Buffer.alloc(headerBytes);
  if (sender.kind === 'raw') return bytes;
  // A handshake record of DTLS 1.2, and a binding request as long as the packet.
  if (sender.kind === 'dtls') return Buffer.from('16fefd000000000000000000', 'hex');
  if (sender.kind === 'stun') {
    Buffer.from('000100002112a442', 'hex').copy(bytes);
    bytes.writeUInt16BE(packetBytes - 20, 2);
    return bytes;
  }
  bytes[0] = 0x80;
  if (sender.kind === 'rtcp') {
    // RFC 3550 §6.7: an APP packet carries what its application likes.
    bytes[1] = 204;
    bytes.writeUInt16BE(packetBytes / 4 - 1, 2);
    bytes.writeUInt32BE(sender.ssrc, 4);
    bytes.write('test', 8, 'latin1');
    return bytes;
  }
  bytes[1] = sender.kind === 'dtmf' ? 101 : 8;
  bytes.writeUInt16BE(sender.sent & 0xffff, 2);
  bytes.writeUInt32BE((sender.sent * 160) >>> 0, 4);
  bytes.writeUInt32BE(sender.ssrc, 8);
  return bytes;
}

function sendNext(sender: Sender): void {
  sender.sent += 1;
  const bytes = Buffer.alloc(packetBytes);
  header(sender).copy(bytes);
  bytes.writeUInt32BE(mark, headerBytes);
  bytes.writeUInt32BE(sender.sent, headerBytes + 4);
  bytes.write(sender.label, headerBytes + 8, labelBytes, 'latin1');
  sender.socket?.send(bytes, sender.to.port, sender.to.address);
}

/** Silence of PCMA tells by its header alone whose it is. */
function takeSilence(place: string, bytes: Buffer): boolean {
  if (bytes.length !== packetBytes) return false;
  if (!bytes.subarray(headerBytes).every((octet) => octet === 0xd5)) return false;
  const ssrc = bytes.readUInt32BE(8);
  const sender = [...senders.values()].find((each) => each.ssrc === ssrc);
  if (sender === undefined) return false;
  note(`${place} silent`, sender.label, bytes.readUInt16BE(2));
  return true;
}

function take(place: string, bytes: Buffer): void {
  if (takeSilence(place, bytes)) return;
  if (bytes.length !== packetBytes || bytes.readUInt32BE(headerBytes) !== mark) {
    // Empty datagrams open NATs; everything else is nobody's.
    if (bytes.length > 0) strange += 1;
    return;
  }
  const start = headerBytes + 8;
  const label = bytes.toString('latin1', start, start + labelBytes).replace(/\0.*$/, '');
  note(place, label, bytes.readUInt32BE(headerBytes + 4));
}

function note(place: string, label: string, number: number): void {
  const numbers = heard.get(label) ?? new Map<number, string[]>();
  heard.set(label, numbers);
  const places = numbers.get(number);
  if (places === undefined) numbers.set(number, [place]);
  else places.push(place);
}

setInterval(() => {
  const now = performance.now();
  for (const sender of senders.values()) {
    if (sender.socket === null) continue;
    if (now - sender.due > maxBehindMs) sender.due = now;
    while (sender.due <= now) {
      sendNext(sender);
      sender.due += intervalMs;
    }
  }
}, 4);

async function open(name: string, address: string, port: number): Promise<null> {
  const type = address.includes(':') ? 'udp6' : 'udp4';
  const socket = createSocket({ type, recvBufferSize: 1 << 20 });
  socket.on('message', (bytes) => take(name, bytes));
  // A cable that is out and a relay that is away are part of the tests.
  socket.on('error', () => undefined);
  socket.bind(port, address);
  await once(socket, 'listening');
  sockets.set(name, socket);
  return null;
}

function talk({ label, from, to, kind }: Extract<PhonesRequest, { op: 'talk' }>): null {
  const socket = sockets.get(from);
  if (socket === undefined) throw new Error(`no socket ${from}`);
  const sender = senders.get(label);
  if (sender === undefined) {
    const due = performance.now();
    senders.set(label, { label, ssrc: nextSsrc++, kind, socket, to, sent: 0, due });
  } else Object.assign(sender, { socket, to, kind });
  return null;
}

/** How many packets each stream has sent. */
const marks = (): Record<string, number> =>
  Object.fromEntries([...senders].map(([label, { sent }]) => [label, sent]));

function reportOf(label: string, sent: number): StreamReport {
  const numbers = heard.get(label) ?? new Map<number, string[]>();
  const places: Record<string, Place> = {};
  const lost: number[] = [];
  let duplicates = 0;
  for (let number = 1; number <= sent; number++) {
    const at = numbers.get(number) ?? [];
    if (at.length === 0) lost.push(number);
    duplicates += Math.max(0, at.length - 1);
    for (const place of at) {
      const { first, count } = places[place] ?? { first: number, count: 0 };
      places[place] = { first, last: number, count: count + 1 };
    }
  }
  return { sent, lost, duplicates, places };
}

function report(): PhonesReport {
  const streams = Object.entries(marks()).map(
    ([label, sent]) => [label, reportOf(label, sent)] as const,
  );
  return { streams: Object.fromEntries(streams), strange };
}

async function ask(
  host: string,
  port: number,
  dictionary: NgDictionary,
  tries: number,
): Promise<{ readonly reply: NgDictionary; readonly sent: Record<string, number> }> {
  const key = `${host} ${port}`;
  const client = clients.get(key) ?? new NgClient(port, host);
  clients.set(key, client);
  const reply = await client.ask(dictionary, { tries, intervalMs: 200 });
  return { reply, sent: marks() };
}

async function command(host: string, port: number, text: string): Promise<string> {
  const socket = connect({ host, port });
  const parts: Buffer[] = [];
  socket.on('data', (bytes: Buffer) => parts.push(bytes));
  socket.setTimeout(30_000, () => socket.destroy(new Error('no answer of the command line')));
  socket.end(`${text}\n`);
  await once(socket, 'close');
  return Buffer.concat(parts).toString('latin1');
}

async function handle(request: PhonesRequest): Promise<unknown> {
  switch (request.op) {
    case 'open':
      return open(request.name, request.address, request.port);
    case 'talk':
      return talk(request);
    case 'hush':
      for (const [label, sender] of senders)
        if (label.startsWith(request.label)) sender.socket = null;
      return null;
    case 'report':
      return report();
    case 'marks':
      return marks();
    case 'ng':
      return ask(request.host, request.port, request.dictionary, request.tries);
    case 'cli':
      return command(request.host, request.port, request.text);
  }
}

const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  const { id, request } = JSON.parse(line) as { id: number; request: PhonesRequest };
  handle(request).then(
    (value) => process.stdout.write(`${JSON.stringify({ id, value })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ id, error: String(error) })}\n`),
  );
});
lines.on('close', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ id: 0, value: null })}\n`);
