/** The phones of live-scene.ts; one request a line on stdin, one reply a line on stdout; ends when stdin does. */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { PhoneManner, SceneCall, SceneRequest } from './live-scene.js';
import { NgClient, audioSdp, mediaPort } from './ng-client.js';

const client = new NgClient(Number(process.argv[2]));
const host = '127.0.0.1';
const packetMs = 20;
const reportMs = 2000;
let nextPort = 40_000;
let nextSsrc = 0x51000000;

class Phone {
  readonly port = (nextPort += 2);
  readonly #ssrc = nextSsrc++;
  readonly #rtp: Socket = createSocket('udp4');
  readonly #rtcp: Socket = createSocket('udp4');
  readonly #packet = Buffer.alloc(172);
  #sequence = 1;
  #sent = 0;
  /** What has come since the last report: of whom, numbers, delays. */
  #peer = 0;
  #highest = -1;
  #expectedFrom = -1;
  #received = 0;
  #jitter = 0;
  #transit: number | null = null;
  #senderReport: { readonly middle: number; readonly atMs: number } | null = null;
  target = 0;

  constructor(public manner: PhoneManner) {
    this.#packet[0] = 0x80;
    this.#packet[1] = 8;
    this.#packet.fill(0xd5, 12);
    this.#packet.writeUInt32BE(this.#ssrc, 8);
    this.#rtp.on('message', (bytes) => this.#take(bytes));
    this.#rtcp.on('message', (bytes) => this.#read(bytes));
    for (const socket of [this.#rtp, this.#rtcp]) socket.on('error', () => undefined);
  }

  async open(): Promise<void> {
    this.#rtp.bind(this.port, host);
    this.#rtcp.bind(this.port + 1, host);
    await Promise.all([once(this.#rtp, 'listening'), once(this.#rtcp, 'listening')]);
  }

  close(): void {
    this.#rtp.close();
    this.#rtcp.close();
    this.target = 0;
  }

  send(): void {
    if (this.target === 0 || !this.manner.sends) return;
    this.#sequence = (this.#sequence + 1) & 0xffff;
    this.#sent += 1;
    if (Math.random() < this.manner.loses) return;
    const bytes = Buffer.from(this.#packet);
    bytes.writeUInt16BE(this.#sequence, 2);
    bytes.writeUInt32BE((this.#sent * 160) >>> 0, 4);
    const { target } = this;
    const go = (): void => {
      if (this.target === target) this.#rtp.send(bytes, target, host);
    };
    if (this.manner.jitterMs < 5) go();
    else setTimeout(go, Math.random() * this.manner.jitterMs);
  }

  #take(bytes: Buffer): void {
    if (bytes.length < 12 || Math.random() < this.manner.misses) return;
    const sequence = bytes.readUInt16BE(2);
    this.#peer = bytes.readUInt32BE(8);
    if (this.#highest < 0) this.#expectedFrom = sequence - 1;
    this.#highest = Math.max(this.#highest, sequence);
    this.#received += 1;
    // RFC 3550 A.8, in ms.
    const transit = performance.now() - bytes.readUInt32BE(4) / 8;
    if (this.#transit !== null) {
      this.#jitter += (Math.abs(transit - this.#transit) - this.#jitter) / 16;
    }
    this.#transit = transit;
  }

  #read(bytes: Buffer): void {
    if (bytes.length < 28 || bytes[1] !== 200) return;
    this.#senderReport = { middle: bytes.readUInt32BE(10), atMs: performance.now() };
  }

  /** RFC 3550 §6.4.1: a sender report with a block about the other side. */
  report(): void {
    if (this.target === 0) return;
    const bytes = Buffer.alloc(52);
    bytes[0] = 0x81;
    bytes[1] = 200;
    bytes.writeUInt16BE(12, 2);
    bytes.writeUInt32BE(this.#ssrc, 4);
    const now = Date.now() / 1000 + 2_208_988_800;
    bytes.writeUInt32BE(Math.floor(now) >>> 0, 8);
    bytes.writeUInt32BE(Math.floor((now % 1) * 2 ** 32) >>> 0, 12);
    bytes.writeUInt32BE(this.#sent, 20);
    bytes.writeUInt32BE(this.#peer, 28);
    const expected = Math.max(0, this.#highest - this.#expectedFrom);
    const lost = Math.max(0, expected - this.#received);
    bytes[32] = expected === 0 ? 0 : Math.min(255, Math.floor((256 * lost) / expected));
    bytes.writeUInt32BE(Math.floor(this.#jitter * 8), 40);
    if (this.#senderReport !== null) {
      bytes.writeUInt32BE(this.#senderReport.middle, 44);
      const delay = (performance.now() - this.#senderReport.atMs) / 1000;
      bytes.writeUInt32BE(Math.floor(delay * 65_536), 48);
    }
    this.#expectedFrom = this.#highest;
    this.#received = 0;
    this.#rtcp.send(bytes, this.target + 1, host);
  }
}

const calls = new Map<string, readonly [Phone, Phone]>();

async function begin({ id, tags, state, phones }: SceneCall): Promise<void> {
  const pair = [new Phone(phones[0]), new Phone(phones[1])] as const;
  await Promise.all(pair.map((phone) => phone.open()));
  calls.set(id, pair);
  const call = { 'call-id': id, 'from-tag': tags[0] };
  const ask = async (command: string, more: Readonly<Record<string, string>>): Promise<number> => {
    const reply = await client.request({ command, ...call, ...more });
    if (reply['result'] !== 'ok') throw new Error(JSON.stringify(reply));
    return mediaPort(reply);
  };
  pair[1].target = await ask('offer', { sdp: audioSdp(pair[0].port) });
  if (state === 'ringing') {
    pair[1].target = 0;
    return;
  }
  const sdp = audioSdp(pair[1].port, state === 'hold' ? ['a=sendonly'] : []);
  pair[0].target = await ask('answer', { 'to-tag': tags[1], sdp });
}

async function handle(request: SceneRequest): Promise<unknown> {
  switch (request.op) {
    case 'call':
      return begin(request.call);
    case 'manner': {
      const phone = calls.get(request.id)?.[request.side];
      if (phone !== undefined) phone.manner = request.manner;
      return null;
    }
    case 'end':
      for (const phone of calls.get(request.id) ?? []) phone.close();
      calls.delete(request.id);
      return client.request({ command: 'delete', 'call-id': request.id, 'delete-delay': 0 });
    case 'offers':
      for (const id of request.ids) {
        const call = { 'call-id': id, 'from-tag': `tag of ${id}` };
        const { result, ...more } = await client.request({
          ...{ command: 'offer', ...call, sdp: audioSdp(20_000) },
        });
        if (result !== 'ok') throw new Error(JSON.stringify(more));
      }
      return null;
    case 'query':
      return client.request({ command: 'query', 'call-id': request.id });
  }
}

const everyPhone = (work: (phone: Phone) => void): void => {
  for (const pair of calls.values()) pair.forEach(work);
};
let dueMs = performance.now();
setInterval(() => {
  const nowMs = performance.now();
  if (nowMs - dueMs > 500) dueMs = nowMs;
  for (; dueMs <= nowMs; dueMs += packetMs) everyPhone((phone) => phone.send());
}, 5);
setInterval(() => everyPhone((phone) => phone.report()), reportMs);
const lines = createInterface({ input: process.stdin });
lines.on('line', (line) => {
  handle(JSON.parse(line) as SceneRequest).then(
    (value) => process.stdout.write(`${JSON.stringify({ value: value ?? null })}\n`),
    (error: unknown) => process.stdout.write(`${JSON.stringify({ error: String(error) })}\n`),
  );
});
lines.on('close', () => process.exit(0));
process.stdout.write('ready\n');
