/**
 * The caller of a browser's kind: ICE with all checks of its own (it is controlling), DTLS by OpenSSL's client, RTP and
 * RTCP as SRTP over one port. Its side of SRTP is written in `srtp-packet.ts`.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes, X509Certificate } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import type { CertificateFiles } from './certificates.js';
import { freeUdpPort } from './free-ports.js';
import { rtpPacket, type Destination, type RtpEndpoint } from './rtp-endpoint.js';
import { mediaTarget } from './sdp.js';
import { srtpIndex, srtpPacket } from './srtp-packet.js';
import { bindingRequest, bindingResponse, stunType, type Check } from './stun.js';
import { until } from './wait.js';

const loopback = '127.0.0.1';
const checkMs = 100;

/** RFC 5764 §4.2: client's key, server's key, client's salt, server's salt. */
interface DerivedKeys {
  /** Master key and salt. */
  readonly own: Buffer;
  readonly theirs: Buffer;
}

async function bound(): Promise<Socket> {
  const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 20 });
  socket.bind(0, loopback);
  await once(socket, 'listening');
  return socket;
}

export class SecurePeer {
  /** Packets that have come, as they are on the wire. */
  readonly srtp: Buffer[] = [];
  readonly srtcp: Buffer[] = [];
  /** Addresses that anything has come from. */
  readonly sources = new Set<string>();
  #ufrag = 'peer';
  #password = randomBytes(12).toString('hex');
  #check: Check | null = null;
  #openssl: ChildProcess | null = null;
  #printed = '';
  #timer: NodeJS.Timeout | null = null;
  #target: Destination | null = null;
  #keys: DerivedKeys | null = null;
  #answered = 0;
  #asked = 0;
  #longest = 0;
  /** Of OpenSSL. */
  #innerPort = 0;

  private constructor(
    private readonly socket: Socket,
    /** What OpenSSL talks to. */
    private readonly inner: Socket,
    private files: CertificateFiles,
    private readonly ice: boolean,
  ) {
    socket.on('message', (bytes, from) => {
      this.#heard(bytes, from);
    });
    inner.on('message', (bytes, from) => {
      this.#innerPort = from.port;
      const to = this.#target;
      if (to !== null) this.socket.send(bytes, to.port, to.address);
    });
  }

  /** @param ice false: DTLS begins without checks, as phones do it. */
  static async open(files: CertificateFiles, ice = true): Promise<SecurePeer> {
    return new SecurePeer(await bound(), await bound(), files, ice);
  }

  /** Set before its first body: it checks nothing by itself (RFC 8445 §2.5). */
  isLite = false;

  /** Set before its first body: it is the server of a handshake, and sends nothing of its own. */
  waits = false;

  /** By which its certificate is announced. */
  hash: 'sha-1' | 'sha-256' = 'sha-256';

  /** The body of its offer, or of an answer. @param setup its role in a handshake that is to come; null: no word of it. */
  offer(setup: 'active' | 'passive' | 'actpass' | 'holdconn' | null = 'active'): string {
    const { port } = this.socket.address();
    const { fingerprint, fingerprint256 } = new X509Certificate(readFileSync(this.files.cert));
    const announced = this.hash === 'sha-1' ? fingerprint : fingerprint256;
    return [
      ...['v=0', `o=- 1 1 IN IP4 ${loopback}`, 's=-', 't=0 0'],
      ...[`m=audio ${port} UDP/TLS/RTP/SAVPF 0`, `c=IN IP4 ${loopback}`, 'a=mid:0'],
      ...['a=rtpmap:0 PCMU/8000', 'a=rtcp-mux', 'a=sendrecv'],
      ...(setup === null ? [] : [`a=setup:${setup}`]),
      ...(this.ice
        ? [
            ...[`a=ice-ufrag:${this.#ufrag}`, `a=ice-pwd:${this.#password}`],
            `a=candidate:1 1 udp 2122260223 ${loopback} ${port} typ host`,
            ...(this.isLite ? ['a=ice-lite'] : []),
          ]
        : []),
      ...[`a=fingerprint:${this.hash} ${announced}`, ''],
    ].join('\r\n');
  }

  /** Takes the answer, and resolves when there are keys. */
  async accept(answer: string): Promise<void> {
    this.#target = mediaTarget(answer);
    if (this.isLite) await until(() => this.#asked > 0, 'a check');
    else if (this.ice) {
      this.checkAs(answer);
      this.#timer = setInterval(() => {
        const [check, to] = [this.#check, this.#target];
        if (check !== null && to !== null)
          this.socket.send(bindingRequest(check), to.port, to.address);
      }, checkMs);
      await until(() => this.#answered > 0, 'an answer to a check');
    }
    await this.handshake();
  }

  /** By the keys that it has, to where the body says. */
  sendTo(body: string): void {
    this.#target = mediaTarget(body);
  }

  /** Other credentials than before in the next body; what is checked stays as it is. @returns what goes back. */
  restartIce(): () => void {
    const before = [this.#ufrag, this.#password] as const;
    this.#ufrag = randomBytes(4).toString('hex');
    this.#password = randomBytes(12).toString('hex');
    return () => {
      [this.#ufrag, this.#password] = before;
    };
  }

  /** Another certificate in the next bodies and handshakes. @returns what goes back. */
  use(files: CertificateFiles): () => void {
    const before = this.files;
    this.files = files;
    return () => {
      this.files = before;
    };
  }

  /** Where its media come from, and go to. */
  get port(): number {
    return this.socket.address().port;
  }

  /** Checks with its credentials of now and those of a body from the relay. */
  checkAs(body: string): void {
    const value = (name: string): string =>
      new RegExp(`^a=${name}:(\\S+)`, 'm').exec(body)?.[1] ?? '';
    this.#check = {
      ...{ username: `${value('ice-ufrag')}:${this.#ufrag}`, password: value('ice-pwd') },
      ...{ priority: 1_853_824_767, controlling: true, useCandidate: true },
    };
  }

  /** After a role conflict (RFC 8445 §7.2.5.1): whose number is less is a matter of chance. */
  #switchRole(): void {
    if (this.#check === null) return;
    const controlling = !this.#check.controlling;
    this.#check = { ...this.#check, controlling, useCandidate: controlling };
  }

  /** Begins an association, another one if it has one; resolves when there are keys. */
  async handshake(): Promise<void> {
    this.#openssl?.kill('SIGKILL');
    this.#printed = '';
    this.#startOpenssl();
    // What comes before it listens is lost, as with a phone that has not got its answer yet.
    if (this.waits) await until(() => this.#printed.includes('ACCEPT'), 'openssl listens', 20_000);
    const pattern = /Keying material: ([0-9A-F]{120})/;
    await until(() => pattern.test(this.#printed), 'openssl has keys', 20_000);
    const bytes = Buffer.from(pattern.exec(this.#printed)?.[1] ?? '', 'hex');
    const key = (at: number): Buffer =>
      Buffer.concat([
        bytes.subarray(16 * at, 16 * at + 16),
        bytes.subarray(32 + 14 * at, 46 + 14 * at),
      ]);
    const [own, theirs] = this.waits ? [key(1), key(0)] : [key(0), key(1)];
    this.#keys = { own, theirs };
  }

  #startOpenssl(): void {
    const { cert, key } = this.files;
    if (this.waits) this.#innerPort = freeUdpPort();
    const role = this.waits
      ? ['s_server', '-accept', `${loopback}:${this.#innerPort}`, '-verify', '1']
      : ['s_client', '-connect', `${loopback}:${this.inner.address().port}`];
    const child = spawn('openssl', [
      ...[...role, '-dtls1_2'],
      ...['-cert', cert, '-key', key, '-use_srtp', 'SRTP_AES128_CM_SHA1_80'],
      ...['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '60'],
    ]);
    const collect = (bytes: Buffer): void => {
      if (child === this.#openssl) this.#printed += bytes.toString('latin1');
    };
    child.stdout.on('data', collect);
    child.stderr.on('data', collect);
    this.#openssl = child;
  }
  #heard(bytes: Buffer, from: RemoteInfo): void {
    const first = bytes[0] ?? 0;
    this.sources.add(from.address);
    if (stunType(bytes) === 0x0101) this.#answered += 1;
    else if (stunType(bytes) === 0x0111) this.#switchRole();
    else if (stunType(bytes) === 0x0001) {
      this.#asked += 1;
      this.socket.send(bindingResponse(bytes, from, this.#password), from.port, from.address);
    } else if (first >= 20 && first <= 63) {
      this.#longest = Math.max(this.#longest, bytes.length);
      // Before it has begun nobody is there.
      if (this.#innerPort !== 0) this.inner.send(bytes, this.#innerPort, loopback);
    } else if (first >= 128) {
      const type = bytes[1] ?? 0;
      (type >= 200 && type <= 207 ? this.srtcp : this.srtp).push(bytes);
    }
  }

  /** Of its checks, so far. */
  get answered(): number {
    return this.#answered;
  }

  /** Of the datagrams of DTLS that have come, bytes. */
  get longestDtls(): number {
    return this.#longest;
  }

  /** What OpenSSL's client says of the handshake. */
  get printed(): string {
    return this.#printed;
  }

  /** What comes to it is encrypted with this. */
  get theirKey(): Buffer {
    if (this.#keys === null) throw new Error('no keys yet');
    return this.#keys.theirs;
  }

  /** Where its packets go. */
  get target(): Destination {
    if (this.#target === null) throw new Error('no answer yet');
    return this.#target;
  }

  /** Sends a packet of RTP as SRTP, rollover counter 0. @returns what it has sent. */
  send(rtp: Buffer): Buffer {
    if (this.#keys === null) throw new Error('no keys yet');
    const bytes = srtpPacket(this.#keys.own, rtp);
    this.sendBytes(bytes);
    return bytes;
  }

  /** Sends anything, from where its media come from. */
  sendBytes(bytes: Buffer): void {
    this.socket.send(bytes, this.target.port, this.target.address);
  }

  /**
   * Until packets come through both ways: the relay may have its keys a moment later than OpenSSL's client. Then
   * nothing has come yet. @param toPeer where a plain phone sends what is for this one.
   */
  async meets(phone: RtpEndpoint, toPeer: Destination): Promise<void> {
    const fields = { timestamp: 0, ssrc: 0x6b6e6f63, payload: Buffer.of(0) };
    let sequenceNumber = 0;
    await until(() => {
      const packet = rtpPacket({ ...fields, sequenceNumber: (sequenceNumber += 1) });
      this.send(packet);
      phone.rtpSocket.send(packet, toPeer.port, toPeer.address);
      // Neither what passes unread nor what passes in the clear is any good.
      const isRead = phone.rtp.some(({ bytes }) => bytes.length === packet.length);
      return isRead && this.srtp.some((bytes) => srtpIndex(this.theirKey, bytes) !== null);
    }, 'packets both ways');
    await phone.settled();
    phone.clear();
    this.clear();
  }

  clear(): void {
    this.srtp.length = 0;
    this.srtcp.length = 0;
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#openssl?.kill('SIGKILL');
    this.socket.close();
    this.inner.close();
  }
}
