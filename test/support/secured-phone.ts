/**
 * A phone of either side of a call that secures its media in whatever way: plain RTP, SDES of any suite with MKI and session
 * parameters (`srtp-codec.ts`), DTLS-SRTP by OpenSSL in either role, with or without checks of ICE. It takes over into a call
 * only what it is told to (`agree`), so that what was refused leaves it as it was.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { CertificateFiles } from './certificates.js';
import { freeUdpPort, freeUdpRange } from './free-ports.js';
import { pickOf, type Below } from './random.js';
import { rtpPacket, senderReport, type Destination } from './rtp-endpoint.js';
import { mediaTarget } from './sdp.js';
import {
  SrtpContext,
  keyLineText,
  srtpSuite,
  srtpSuites,
  type KeyLine,
  type Read,
} from './srtp-codec.js';
import { bindingRequest, bindingResponse, stunType } from './stun.js';
import { pause, until } from './wait.js';

export type Security = 'plain' | 'SDES' | 'DTLS';

/** What a phone says of itself in bodies; changed before one is written, put back where that is refused. */
export interface Wishes {
  security: Security;
  ice: boolean;
  /** Its bodies say where it is only once it has said so in a fragment; until it is asked there it asks nobody. */
  trickle: boolean;
  mux: boolean;
  lines: readonly KeyLine[];
  certificate: number;
  ufrag: string;
  password: string;
}

/** What it goes by once it was answered, or has answered. */
export interface Agreed {
  readonly security: Security;
  readonly ice: boolean;
  readonly trickle: boolean;
  readonly mux: boolean;
  readonly own: KeyLine | null;
  readonly theirs: KeyLine | null;
  readonly target: Destination;
  readonly rtcpPort: number;
  readonly isHeld: boolean;
  /** Its own credentials of ICE, and those of the relay. */
  readonly credentials: readonly [ufrag: string, remoteUfrag: string, remotePassword: string];
  /** Who shows what: another one asks for another handshake. */
  readonly association: string;
  /** It begins the handshake. */
  readonly begins: boolean;
}

interface Contexts {
  readonly send: SrtpContext;
  readonly receive: SrtpContext;
}

const loopback = '127.0.0.1';
const checkMs = 80;
const attribute = (body: string, name: string): string =>
  new RegExp(`^a=${name}:(.*?)\r?$`, 'm').exec(body)?.[1] ?? '';

export const securityIn = (body: string): Security => {
  const protocol = /^m=\S+ \d+ (\S+)/m.exec(body)?.[1] ?? '';
  const isDtls = protocol.includes('TLS');
  return isDtls ? 'DTLS' : protocol.includes('SAVP') ? 'SDES' : 'plain';
};

/** Readable without a key, wherever it goes. */
const isOpenLine = ({ suite, unencryptedRtp }: KeyLine): boolean =>
  unencryptedRtp || srtpSuite(suite).cipher === 'NULL';

export class SecuredPhone {
  readonly wishes: Wishes;
  ssrc = randomBytes(4).readUInt32BE();
  sequenceNumber: number;
  /** Numbers of the packets that it could read. */
  readonly heard = new Set<number>();
  reports = 0;
  /** Packets by an index that was used before. */
  repeated = 0;
  /** What it could not read, for messages. */
  readonly unread: string[] = [];
  /** Packets that anybody could have read, though they were not to be. */
  inTheClear = 0;
  /** It has said so in a body that was refused, until it was agreed on something again. */
  mayHearClear = false;
  /** It goes on with credentials that a refused body would have changed: a process that is killed forgets them. */
  mayLoseChecks = false;
  #agreed: Agreed | null = null;
  #contexts = new Map<string, Contexts>();
  #dtls: Contexts | null = null;
  #hasOpenLines = false;
  #controlling = true;
  /** Names under which it has said its candidates, and was asked. */
  readonly #toldAs = new Set<string>();
  readonly #askedAs = new Set<string>();
  #answeredChecks = 0;
  #target: Destination | null = null;
  #openssl: ChildProcess | null = null;
  #printed = '';
  /** Of OpenSSL. */
  #innerPort = 0;
  readonly #timer: NodeJS.Timeout;
  #sent = 0;

  private constructor(
    readonly name: string,
    readonly port: number,
    private readonly random: Below,
    private readonly files: readonly CertificateFiles[],
    private readonly rtp: Socket,
    private readonly rtcp: Socket,
    /** What OpenSSL talks to. */
    private readonly inner: Socket,
    security: Security,
    private readonly type: 'audio' | 'video',
  ) {
    this.sequenceNumber = pickOf([1, 20000, 32760, 65500, 65530], random);
    this.wishes = {
      ...{ security, ice: false, trickle: false, mux: security === 'DTLS' },
      ...{ lines: [], certificate: 0 },
      ...{ ufrag: randomBytes(4).toString('hex'), password: randomBytes(12).toString('hex') },
    };
    this.wishes.lines = this.someLines();
    rtp.on('message', (bytes, from) => {
      this.#take(bytes, from, rtp);
    });
    rtcp.on('message', (bytes, from) => {
      this.#take(bytes, from, rtcp);
    });
    inner.on('message', (bytes, { port: innerPort }) => {
      this.#innerPort = innerPort;
      if (this.#target !== null) rtp.send(bytes, this.#target.port, this.#target.address);
    });
    this.#timer = setInterval(() => {
      this.#check();
    }, checkMs);
  }

  static async open(
    name: string,
    random: Below,
    files: readonly CertificateFiles[],
    security: Security,
    type: 'audio' | 'video' = 'audio',
  ): Promise<SecuredPhone> {
    const bound = async (port: number): Promise<Socket> => {
      const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
      socket.bind(port, loopback);
      await once(socket, 'listening');
      return socket;
    };
    const port = freeUdpRange(2).min;
    const sockets = [await bound(port), await bound(port + 1), await bound(freeUdpPort())] as const;
    return new SecuredPhone(name, port, random, files, ...sockets, security, type);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#openssl?.kill('SIGKILL');
    for (const socket of [this.rtp, this.rtcp, this.inner]) socket.close();
  }

  get agreed(): Agreed {
    if (this.#agreed === null) throw new Error(`${this.name} has no call`);
    return this.#agreed;
  }

  get answeredChecks(): number {
    return this.#answeredChecks;
  }

  get hasCall(): boolean {
    return this.#agreed !== null;
  }

  /** A line with a new key. @param like whose tag, suite and parameters it has. */
  lineLike(like: Omit<KeyLine, 'key' | 'mki'>): KeyLine {
    const { keyBytes, saltBytes } = srtpSuite(like.suite);
    const key = randomBytes(keyBytes + saltBytes)
      .toString('base64')
      .replace(/=+$/, '');
    const length = pickOf([1, 2, 4, 8, 128], this.random);
    const mki = this.random(4) === 0 ? { value: 1 + this.random(200), length } : null;
    return this.#noted({ ...like, key, mki });
  }

  #noted(line: KeyLine): KeyLine {
    this.#hasOpenLines ||= isOpenLine(line);
    return line;
  }

  /** Lines to offer, each of another suite. */
  someLines(): readonly KeyLine[] {
    const first = 1 + this.random(3);
    const suites = new Set(
      Array.from({ length: 1 + this.random(3) }, () =>
        pickOf(Object.keys(srtpSuites), this.random),
      ),
    );
    return [...suites].map((suite, at) => {
      const mayBeOpen = ['CM', 'F8'].includes(srtpSuite(suite).cipher);
      return this.lineLike({
        tag: first + at,
        suite,
        unencryptedRtp: mayBeOpen && this.random(10) === 0,
        unencryptedRtcp: mayBeOpen && this.random(10) === 0,
        unauthenticatedRtp: mayBeOpen && this.random(12) === 0,
      });
    });
  }

  body(setup: string, isHeld: boolean, wishes: Wishes = this.wishes): string {
    const { security, ice, mux, lines, ufrag, password } = wishes;
    const isHidden = ice && wishes.trickle && !this.#toldAs.has(ufrag);
    const [address, port] = isHidden ? ['0.0.0.0', 9] : [loopback, this.port];
    const protocol = { plain: 'RTP/AVP', SDES: 'RTP/SAVP', DTLS: 'UDP/TLS/RTP/SAVP' }[security];
    return [
      ...['v=0', `o=- 1 1 IN IP4 ${loopback}`, 's=-', 't=0 0'],
      ...[`m=${this.type} ${port} ${protocol} ${this.#payloadType}`, `c=IN IP4 ${address}`],
      `a=rtpmap:${this.#payloadType} ${this.type === 'audio' ? 'PCMU/8000' : 'VP8/90000'}`,
      `a=rtcp:${mux ? port : port + 1}`,
      ...(mux ? ['a=rtcp-mux'] : []),
      isHeld ? 'a=inactive' : 'a=sendrecv',
      ...(security === 'SDES' ? lines.map(keyLineText) : []),
      ...(security === 'DTLS'
        ? [`a=setup:${setup}`, `a=fingerprint:sha-256 ${this.#fingerprint()}`]
        : []),
      ...(ice
        ? [
            ...[`a=ice-ufrag:${ufrag}`, `a=ice-pwd:${password}`],
            ...(isHidden ? ['a=ice-options:trickle'] : this.#candidates(mux)),
          ]
        : []),
      '',
    ].join('\r\n');
  }

  get #payloadType(): number {
    return this.type === 'audio' ? 0 : 96;
  }

  #candidates(mux: boolean): readonly string[] {
    const candidate = (component: number): string =>
      `a=candidate:1 ${component} udp ${2122260224 - component} ${loopback} ${this.port + component - 1} typ host`;
    return mux ? [candidate(1)] : [candidate(1), candidate(2)];
  }

  /** Where it is, which its body has not said (RFC 8840). */
  fragment(): string {
    const { ufrag, password, mux } = this.wishes;
    this.#toldAs.add(ufrag);
    return [
      ...[`m=${this.type} 9 RTP/AVP 0`, `a=ice-ufrag:${ufrag}`, `a=ice-pwd:${password}`],
      ...[...this.#candidates(mux), 'a=end-of-candidates', ''],
    ].join('\r\n');
  }

  #certificate(): CertificateFiles {
    const files = this.files[this.wishes.certificate];
    if (files === undefined) throw new Error('no such certificate');
    return files;
  }

  #fingerprint(): string {
    return new X509Certificate(readFileSync(this.#certificate().cert)).fingerprint256;
  }

  /** @param body what the relay says. @param begins the handshake of DTLS is begun here. */
  read(
    body: string,
    { own, theirs, begins, isHeld }: Pick<Agreed, 'own' | 'theirs' | 'begins' | 'isHeld'>,
  ): Agreed {
    const { security, certificate, ufrag, mux, ice, trickle } = this.wishes;
    const target = mediaTarget(body);
    const remoteUfrag = attribute(body, 'ice-ufrag');
    return {
      ...{ security, own, theirs, begins, isHeld, target, trickle },
      ice: ice && remoteUfrag !== '',
      mux: mux && /^a=rtcp-mux\r?$/m.test(body),
      rtcpPort: Number(attribute(body, 'rtcp').split(' ')[0] || target.port + 1),
      credentials: [ufrag, remoteUfrag, attribute(body, 'ice-pwd')],
      association: `${certificate} ${attribute(body, 'fingerprint')} ${begins}`,
    };
  }

  /** Goes by it from now on: checks, shakes hands where that is due. Says whether it has. */
  async agree(agreed: Agreed): Promise<boolean> {
    const before = this.#agreed;
    const isNew =
      agreed.security === 'DTLS' &&
      (before?.security !== 'DTLS' || before.association !== agreed.association);
    if (agreed.ice) {
      const seen = this.#answeredChecks;
      const former = this.#agreed;
      this.#agreed = agreed;
      await until(() => this.#answeredChecks > seen, `answers to the checks of ${this.name}`);
      this.#agreed = former;
    }
    if (isNew) await this.#handshake(agreed);
    this.mayHearClear = this.mayLoseChecks = false;
    this.#agreed = agreed;
    return isNew;
  }

  #check(): void {
    const agreed = this.#agreed;
    if (agreed?.ice !== true) return;
    const [ufrag, remoteUfrag, password] = agreed.credentials;
    if (agreed.trickle && !this.#askedAs.has(ufrag)) return;
    const check = {
      ...{ username: `${remoteUfrag}:${ufrag}`, password, priority: 1853824767 },
      ...{ controlling: this.#controlling, useCandidate: this.#controlling },
    };
    this.rtp.send(bindingRequest(check), agreed.target.port, agreed.target.address);
    if (!agreed.mux)
      this.rtcp.send(
        bindingRequest({ ...check, priority: 1853824766 }),
        agreed.rtcpPort,
        agreed.target.address,
      );
  }

  async #handshake({ begins, target }: Agreed): Promise<void> {
    this.#openssl?.kill('SIGKILL');
    this.#printed = '';
    this.#target = target;
    this.#innerPort = begins ? 0 : freeUdpPort();
    const { cert, key } = this.#certificate();
    const openssl = spawn('openssl', [
      ...(begins
        ? ['s_client', '-connect', `${loopback}:${this.inner.address().port}`]
        : ['s_server', '-accept', String(this.#innerPort), '-verify', '1']),
      ...['-dtls1_2', '-cert', cert, '-key', key, '-use_srtp', 'SRTP_AES128_CM_SHA1_80'],
      ...['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '60'],
    ]);
    this.#openssl = openssl;
    for (const output of [openssl.stdout, openssl.stderr])
      output.on('data', (bytes: Buffer) => {
        if (openssl === this.#openssl) this.#printed += bytes.toString('latin1');
      });
    const pattern = /Keying material: ([0-9A-F]{120})/;
    await until(() => pattern.test(this.#printed), `the handshake of ${this.name}`);
    const material = Buffer.from(pattern.exec(this.#printed)?.[1] ?? '', 'hex');
    // RFC 5764 §4.2: client's key, server's key, client's salt, server's salt.
    const [client, server] = [0, 1].map((at) =>
      Buffer.concat([
        material.subarray(16 * at, 16 * at + 16),
        material.subarray(32 + 14 * at, 46 + 14 * at),
      ]).toString('base64'),
    );
    const contextOf = (bytes = ''): SrtpContext =>
      new SrtpContext({
        ...{ tag: 0, suite: 'AES_CM_128_HMAC_SHA1_80', key: bytes, mki: null },
        ...{ unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false },
      });
    const [own, theirs] = begins ? [client, server] : [server, client];
    this.#dtls = { send: contextOf(own), receive: contextOf(theirs) };
  }

  /** Of a line that comes again the state is that of before. */
  #contextsOf(line: KeyLine): Contexts {
    const name = keyLineText({ ...line, tag: 0 });
    const known = this.#contexts.get(name);
    if (known !== undefined) return known;
    const made = { send: new SrtpContext(line), receive: new SrtpContext(line) };
    this.#contexts.set(name, made);
    return made;
  }

  /** null: plain. */
  #keys(): Contexts | null {
    const { security, own, theirs } = this.agreed;
    if (security === 'plain') return null;
    if (security === 'DTLS') {
      if (this.#dtls === null) throw new Error(`${this.name} has shaken no hands`);
      return this.#dtls;
    }
    if (own === null || theirs === null) throw new Error(`${this.name} has no keys`);
    return { send: this.#contextsOf(own).send, receive: this.#contextsOf(theirs).receive };
  }

  #take(bytes: Buffer, from: RemoteInfo, socket: Socket): void {
    const type = stunType(bytes);
    if (type === 0x0101) this.#answeredChecks += 1;
    else if (type === 0x0111) {
      if (bytes.includes('Role Conflict')) this.#controlling = !this.#controlling;
    } else if (type === 1) {
      const { ufrag } = this.wishes;
      if (bytes.includes(`${ufrag}:`)) this.#askedAs.add(ufrag);
      socket.send(bindingResponse(bytes, from, this.wishes.password), from.port, from.address);
    } else if ((bytes[0] ?? 0) >= 128) this.#takeMedia(bytes);
    else if ((bytes[0] ?? 0) >= 20 && (bytes[0] ?? 0) <= 63) {
      if (this.#innerPort !== 0) this.inner.send(bytes, this.#innerPort, loopback);
    } else this.unread.push(`strange ${bytes.subarray(0, 4).toString('hex')}`);
  }

  #takeMedia(bytes: Buffer): void {
    if (this.#agreed === null) return;
    const isRtcp = (bytes[1] ?? 0) >= 200 && (bytes[1] ?? 0) <= 207;
    const packet = this.#decrypted(bytes, isRtcp);
    if (packet === 'repeated') {
      this.repeated += 1;
      return;
    }
    if (packet === null) {
      const isClear = !isRtcp && /^MARK\d/.test(bytes.toString('latin1', 12, 20));
      if (isClear && !this.#hasOpenLines && !this.mayHearClear) this.inTheClear += 1;
      this.unread.push(`${isRtcp ? 'RTCP' : 'RTP'} of ${bytes.length}${isClear ? ', clear' : ''}`);
    } else if (isRtcp) this.reports += 1;
    else this.heard.add(Number(/^MARK(\d+)\./.exec(packet.toString('latin1', 12))?.[1] ?? -1));
  }

  #decrypted(bytes: Buffer, isRtcp: boolean): Read {
    if (this.agreed.security === 'DTLS' && this.#dtls === null) return null;
    const keys = this.#keys();
    if (keys === null) return bytes;
    return isRtcp ? keys.receive.unprotectRtcp(bytes) : keys.receive.unprotect(bytes);
  }

  /** One packet of RTP. Returns the number that it bears. */
  send(): number {
    this.#sent += 1;
    this.sequenceNumber = (this.sequenceNumber + 1) & 0xffff;
    const packet = rtpPacket({
      ...{ payloadType: this.#payloadType, sequenceNumber: this.sequenceNumber },
      ...{ timestamp: this.sequenceNumber * 160 },
      ...{ ssrc: this.ssrc, payload: Buffer.from(`MARK${this.#sent}.`.padEnd(100, 'x')) },
    });
    const { target } = this.agreed;
    this.rtp.send(this.#keys()?.send.protect(packet) ?? packet, target.port, target.address);
    return this.#sent;
  }

  sendReport(): void {
    const { target, mux, rtcpPort } = this.agreed;
    const report = senderReport(this.ssrc, 4711, 1);
    const bytes = this.#keys()?.send.protectRtcp(report) ?? report;
    if (mux) this.rtp.send(bytes, target.port, target.address);
    else this.rtcp.send(bytes, rtcpPort, target.address);
  }

  /** What passes through from `other` is their own affair: it is told how far that has come. */
  joins(other: SecuredPhone): void {
    const [mine, theirs] = [this.agreed.theirs, other.agreed.own];
    if (mine === null || theirs === null || mine.key !== theirs.key) return;
    const highest = other.#contextsOf(theirs).send.highestOf(other.ssrc) ?? 0;
    if (highest > 0xffff) this.#contextsOf(mine).receive.joinAt(other.ssrc, highest);
  }

  toString(): string {
    const { security, ice, mux, own, theirs, begins } = this.agreed;
    const lines = [own, theirs].map((line) => (line === null ? '' : keyLineText(line)));
    const how = [security, ice ? 'ICE' : '', mux ? 'mux' : '', begins ? 'begins' : ''];
    const said = [...how.filter((word) => word !== ''), ...lines, ...this.unread.slice(-4)];
    return `${this.name} at ${this.sequenceNumber} (${said.join(' ')})`;
  }
}

/** Packets and, where they are asked for, reports of each reach the other, once the first ones have. */
export async function meet(
  phones: readonly [SecuredPhone, SecuredPhone],
  what: string,
  withReports = true,
): Promise<void> {
  const [first, second] = phones;
  first.joins(second);
  second.joins(first);
  const ways = [
    { from: first, to: second, sent: new Set<number>() },
    { from: second, to: first, sent: new Set<number>() },
  ];
  const title = (): string => `${what}: ${first.toString()}, ${second.toString()}`;
  const reached = async (
    isDone: (way: (typeof ways)[0]) => boolean,
    send: () => void,
    step: string,
  ): Promise<void> => {
    // The title is made when it is needed: phones say by then what they could not read.
    const isEverywhere = (): boolean => ways.every(isDone);
    try {
      await until(async () => {
        if (isEverywhere()) return true;
        send();
        await pause(10);
        return isEverywhere();
      }, step);
    } catch (error) {
      throw new Error(`${step}, ${title()}`, { cause: error });
    }
  };
  await reached(
    ({ to, sent }) => [...sent].some((number) => to.heard.has(number)),
    () => {
      for (const { from, sent } of ways) sent.add(from.send());
    },
    'packets both ways',
  );
  for (const { from, sent } of ways) {
    sent.clear();
    for (let count = 0; count < 6; count++) sent.add(from.send());
  }
  await reached(
    ({ to, sent }) => [...sent].every((number) => to.heard.has(number)),
    () => undefined,
    'all packets',
  );
  const checks = new Map(phones.map((phone) => [phone, phone.answeredChecks]));
  await reached(
    ({ to }) => !to.agreed.ice || to.mayLoseChecks || to.answeredChecks > (checks.get(to) ?? 0),
    () => undefined,
    'answers to checks',
  );
  const reports = new Map(phones.map((phone) => [phone, phone.reports]));
  await reached(
    ({ to }) => !withReports || to.reports > (reports.get(to) ?? 0),
    () => {
      for (const { from } of ways) from.sendReport();
    },
    'reports both ways',
  );
  for (const phone of phones) {
    phone.heard.clear();
    if (phone.inTheClear > 0) throw new Error(`in the clear, ${title()}`);
  }
}
