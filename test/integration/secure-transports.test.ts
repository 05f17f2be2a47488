/** ICE and DTLS of the native relay, with OpenSSL's command line and a STUN client of the tests' own as peers. */
import { expect } from 'chai';
import { spawn, type ChildProcess } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';

import type { DtlsIdentity, Fingerprint } from '../../src/media/media-attributes.js';
import type { DtlsPlan, IcePlan, MediaPlan, RelayEvent } from '../../src/media/relay.js';
import type { NativeRelay } from '../../src/native/relay.js';
import { CertificateAuthority, type CertificateFiles } from '../support/certificates.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { facingPort, planOfSides, side } from '../support/plans.js';
import { bindingRequest, stunType } from '../support/stun.js';
import { until } from '../support/wait.js';
import { givenMode, openTestRelay } from '../support/port-modes.js';

const loopback = '127.0.0.1';
const profile = 'SRTP_AES128_CM_SHA1_80';

const identityOf = ({ cert, key }: CertificateFiles): DtlsIdentity => ({
  certificate: readFileSync(cert, 'latin1'),
  privateKey: readFileSync(key, 'latin1'),
});

function fingerprintOf({ cert }: CertificateFiles): Fingerprint {
  const hex = new X509Certificate(readFileSync(cert)).fingerprint256.replaceAll(':', '');
  return { hash: 'sha-256', digest: Buffer.from(hex, 'hex').toString('latin1') };
}

/** OpenSSL's client or server, and what it printed. */
class OpenSsl {
  output = '';
  constructor(private readonly child: ChildProcess) {
    const collect = (bytes: Buffer): void => {
      this.output += bytes.toString('latin1');
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
  }

  static start(files: CertificateFiles, ...args: readonly string[]): OpenSsl {
    const common = ['-dtls1_2', '-cert', files.cert, '-key', files.key, '-use_srtp', profile];
    const keys = ['-keymatexport', 'EXTRACTOR-dtls_srtp', '-keymatexportlen', '60'];
    const [command = '', ...rest] = args;
    return new OpenSsl(spawn('openssl', [command, ...common, ...keys, ...rest]));
  }

  /** RFC 5764 §4.2: client's key, server's key, client's salt, server's salt. */
  async keys(): Promise<readonly [Buffer, Buffer, Buffer, Buffer]> {
    const pattern = /Keying material: ([0-9A-F]{120})/;
    await until(() => pattern.test(this.output), 'openssl has keys');
    const bytes = Buffer.from(pattern.exec(this.output)?.[1] ?? '', 'hex');
    const part = (from: number, to: number): Buffer => bytes.subarray(from, to);
    return [part(0, 16), part(16, 32), part(32, 46), part(46, 60)];
  }

  /** It says goodbye. */
  end(): void {
    this.child.stdin?.end();
  }

  stop(): void {
    this.child.kill('SIGKILL');
  }
}

/** Side 0 is a phone, side 1 the secured peer. */
function planWith(
  ports: readonly [number, number],
  peer: { readonly dtls?: DtlsPlan; readonly ice?: IcePlan; readonly port?: number },
): MediaPlan {
  const endpoint = peer.port === undefined ? null : { address: loopback, port: peer.port };
  const sides = [
    side(0),
    side(1, { endpoint, signalledEndpoint: endpoint, srtp: { receive: null, send: null } }),
  ];
  const facing = [facingPort(0, 0, loopback, ports[0]), facingPort(1, 1, loopback, ports[1])];
  const plan = planOfSides(sides, facing);
  const transports = plan.transports.map((transport) =>
    transport.id === 1
      ? { ...transport, ice: peer.ice ?? null, dtls: peer.dtls ?? null }
      : transport,
  );
  return { ...plan, transports };
}

describe('secured transports of the native relay', () => {
  const authority = new CertificateAuthority('secured transports');
  const ours = authority.issue('ours', 'DNS:relay');
  const theirs = authority.issue('theirs', 'DNS:peer');
  const dtls: DtlsPlan = {
    ...{ role: 'passive', generation: 3, established: false },
    ...{ identity: identityOf(ours), fingerprint: fingerprintOf(theirs) },
  };
  let relay: NativeRelay;
  let closeRelay: () => void;
  let events: RelayEvent[];
  let ports: [number, number];
  const closing: (() => void)[] = [];

  beforeEach(() => {
    ({ relay, close: closeRelay } = openTestRelay(givenMode, { workers: 1 }));
    events = [];
    relay.onEvents((batch) => events.push(...batch));
    const { min } = freeUdpRange(2);
    ports = [min, min + 1];
  });

  afterEach(() => {
    for (const close of closing.splice(0)) close();
    closeRelay();
  });

  after(() => {
    authority.remove();
  });

  type DtlsEvent = Extract<RelayEvent, { readonly type: 'dtls-status' }>;
  async function dtlsEvent(): Promise<DtlsEvent> {
    const isDtls = (event: RelayEvent): event is DtlsEvent => event.type === 'dtls-status';
    await until(() => events.some(isDtls), 'a DTLS status');
    const [first, ...more] = events.filter(isDtls);
    expect(more).to.deep.equal([]);
    if (first === undefined) throw new Error('none');
    return first;
  }

  const openssl = (...args: readonly string[]): OpenSsl => {
    const peer = OpenSsl.start(theirs, ...args);
    closing.push(() => {
      peer.stop();
    });
    return peer;
  };

  it('have the keys of a DTLS client', async () => {
    expect(relay.reconcile(planWith(ports, { dtls }))).to.deep.equal({ ok: true });
    const peer = openssl('s_client', '-connect', `${loopback}:${ports[1]}`);
    const [clientKey, serverKey, clientSalt, serverSalt] = await peer.keys();
    expect(await dtlsEvent()).to.deep.equal({
      ...{ type: 'dtls-status', callId: 'call', transportId: 1, generation: 3, status: 'keyed' },
      keys: {
        suite: 'AES_CM_128_HMAC_SHA1_80',
        send: { key: serverKey, salt: serverSalt },
        receive: { key: clientKey, salt: clientSalt },
        certificate: new X509Certificate(readFileSync(theirs.cert)).raw,
      },
    });
    events.length = 0;
    peer.end();
    expect(await dtlsEvent()).to.include({ generation: 3, status: 'closed', keys: null });
  });

  it('have the keys of a DTLS server', async () => {
    const port = freeUdpPort();
    const peer = openssl('s_server', '-accept', `${loopback}:${port}`, '-verify', '1');
    const active = { ...dtls, role: 'active' } as const;
    expect(relay.reconcile(planWith(ports, { dtls: active, port }))).to.deep.equal({ ok: true });
    const [clientKey, serverKey, clientSalt, serverSalt] = await peer.keys();
    const { status, keys } = await dtlsEvent();
    expect(status).to.equal('keyed');
    expect(keys?.send).to.deep.equal({ key: clientKey, salt: clientSalt });
    expect(keys?.receive).to.deep.equal({ key: serverKey, salt: serverSalt });
  });

  it('have no keys for another certificate, or before it is known', async () => {
    const wrong = { ...dtls, fingerprint: fingerprintOf(ours) };
    relay.reconcile(planWith(ports, { dtls: { ...dtls, fingerprint: null } }));
    openssl('s_client', '-connect', `${loopback}:${ports[1]}`);
    expect(await dtlsEvent()).to.include({ status: 'unverified', keys: null });
    events.length = 0;
    relay.reconcile(planWith(ports, { dtls: wrong }));
    expect(await dtlsEvent()).to.include({ status: 'refused', keys: null });
  });

  it('refuse an identity that is none', () => {
    const identity = { certificate: 'none', privateKey: 'none' };
    expect(() => relay.reconcile(planWith(ports, { dtls: { ...dtls, identity } }))).to.throw(
      'a DTLS certificate and its private key cannot be used',
    );
  });

  it('answer checks, and say where media goes', async () => {
    const ice: IcePlan = {
      ...{ mode: 'lite', controlling: false, component: 1, tieBreaker: '1', takeovers: 0 },
      ...{ local: { ufrag: 'ours', pwd: 'our-password-of-22-chars' }, remote: null },
      ...{ candidates: [], standby: false, resumed: null },
    };
    relay.reconcile(planWith(ports, { ice }));
    const socket: Socket = createSocket('udp4');
    closing.push(() => {
      socket.close();
    });
    socket.bind(0, loopback);
    await once(socket, 'listening');
    const answers: (number | null)[] = [];
    socket.on('message', (bytes) => answers.push(stunType(bytes)));
    const check = {
      ...{ username: 'ours:peer', password: ice.local.pwd, priority: 1234 },
      ...{ controlling: true, useCandidate: true },
    };
    socket.send(bindingRequest({ ...check, password: 'wrong' }), ports[1], loopback);
    await until(() => answers.length === 1, 'an answer');
    expect(events.map((event) => event.type === 'ice-status' && event.status)).to.deep.equal([
      'checking',
    ]);
    socket.send(bindingRequest(check), ports[1], loopback);
    await until(
      () => events.some((event) => event.type === 'ice-status' && event.status === 'connected'),
      'it is connected',
    );
    expect(answers).to.deep.equal([0x0111, 0x0101]);
    const endpoint = { address: loopback, port: socket.address().port };
    expect(events.filter(({ type }) => type === 'ice-selected')).to.deep.equal([
      { type: 'ice-selected', callId: 'call', transportId: 1, portId: 1, endpoint, priority: 1234 },
    ]);
    expect(events.at(-1)).to.include({ type: 'ice-status', controlling: false });
  });
});
