/**
 * What a standby knows of its owner's calls. Both daemons run on this machine: the owner on loopback
 * addresses, the standby on addresses that the machine does not have.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpRange, type PortRange } from '../support/free-ports.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { pause, until } from '../support/wait.js';

const client = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));
const absent = { ipv4: '192.0.2.77', ipv6: '2001:db8::77' };
const portsPerCall = 4;

/** `ADDRESS:PORT` in the kernel's hexadecimal tables of bound sockets. */
function boundPorts(table: 'udp' | 'udp6', hexAddress: string): readonly number[] {
  return readFileSync(`/proc/net/${table}`, 'latin1')
    .split('\n')
    .flatMap((line) => {
      const [address, port] = (line.trim().split(/\s+/)[1] ?? '').split(':');
      return address === hexAddress && port !== undefined ? [Number.parseInt(port, 16)] : [];
    });
}
const boundIpv4 = (): readonly number[] => boundPorts('udp', '4D0200C0');
const boundIpv6 = (): readonly number[] => boundPorts('udp6', 'B80D0120000000000000000077000000');

/** Inodes of the process' sockets: the same socket has the same one. */
function socketsOf(pid: number): readonly string[] {
  return readdirSync(`/proc/${pid}/fd`)
    .map((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`))
    .filter((target) => target.startsWith('socket:'));
}

/** What is looked at here are sockets. */
const bound = ['--port-mode=bound'];

describe('a standby', function () {
  this.timeout(30_000);
  let redis: RedisProcess;
  let owner: MediaDaemon;
  let standby: MediaDaemon;
  let standbyCli: number;
  let ports: PortRange;
  let ng: NgClient;
  const phones: RtpEndpoint[] = [];

  beforeEach(async () => {
    redis = await RedisProcess.start({ settings: ['--notify-keyspace-events', 'KA'] });
    ports = freeUdpRange(100);
    owner = await MediaDaemon.start('rtprelayd', {
      interfaces: ['127.0.0.1', '::1'],
      portRange: ports,
      extra: [`--redis=127.0.0.1:${redis.port}/0`, '--delete-delay=0', ...bound],
    });
    standbyCli = freeTcpPort();
    standby = await MediaDaemon.start('rtprelayd', {
      interfaces: [absent.ipv4, absent.ipv6],
      portRange: ports,
      extra: [
        ...bound,
        ...[`--redis=127.0.0.1:${redis.port}/1`, '--subscribe-keyspace=0'],
        `--listen-cli=127.0.0.1:${standbyCli}`,
      ],
    });
    ng = owner.client();
  });
  afterEach(async () => {
    ng.close();
    for (const phone of phones.splice(0)) phone.close();
    await standby.stop();
    await owner.stop();
    await redis.stop();
  });

  const seen = (callId: string): string =>
    execFileSync(
      process.execPath,
      [client, '-port', String(standbyCli), 'list', 'sessions', callId],
      { encoding: 'latin1' },
    );
  const remoteIs = async (callId: string, port: number): Promise<void> =>
    until(() => seen(callId).includes(`127.0.0.1:${port}`), `${port} on the standby`);
  const offer = (callId: string, sdp: string): ReturnType<NgClient['ask']> =>
    ng.ask({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp });
  const answer = (callId: string, sdp: string): ReturnType<NgClient['ask']> =>
    ng.ask({ command: 'answer', 'call-id': callId, 'from-tag': 'a', 'to-tag': 'b', sdp });

  it('has the ports open on addresses that its machine does not have, IPv4 and IPv6', async () => {
    await offer('four', audioSdp(6000));
    await until(() => boundIpv4().length === portsPerCall, 'IPv4 ports');
    await ng.ask({
      ...{ command: 'offer', 'call-id': 'six', 'from-tag': 'a' },
      ...{ sdp: audioSdp(6000, [], '::1').replaceAll('IP4', 'IP6'), 'address-family': 'IP6' },
    });
    await until(() => boundIpv6().length === portsPerCall, 'IPv6 ports');
    for (const callId of ['four', 'six']) {
      await ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a' });
    }
    await until(() => boundIpv4().length + boundIpv6().length === 0, 'no port');
  });

  it('follows a re-offer without touching a port that stays', async () => {
    await offer('call', audioSdp(6000));
    await answer('call', audioSdp(6004));
    await remoteIs('call', 6004);
    await pause(100);
    const before = socketsOf(standby.process.pid);
    const bound = boundIpv4();
    for (const port of [6100, 6104, 6108]) {
      await offer('call', audioSdp(port));
      await answer('call', audioSdp(port + 200));
      await remoteIs('call', port + 200);
    }
    // Another address of a phone gets ports of its own, as with rtpengine; the others stay as they are.
    expect(boundIpv4()).to.include.members([...bound]);
    expect(socketsOf(standby.process.pid)).to.include.members([...before]);
    for (const direction of ['sendonly', 'sendrecv']) {
      const held = boundIpv4();
      await offer('call', audioSdp(6108, [`a=${direction}`]));
      await answer('call', audioSdp(6308));
      await pause(100);
      expect(boundIpv4()).to.have.members([...held]);
    }
    expect(socketsOf(standby.process.pid)).to.include.members([...before]);
  });

  it('learns what the owner learns from packets', async () => {
    const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    phones.push(caller, callee);
    // Both phones are behind a NAT: their packets come from elsewhere than their SDP says.
    const toCallee = mediaPort(await offer('nat', audioSdp(6000)));
    await answer('nat', audioSdp(6004));
    for (let n = 0; n < 200 && !seen('nat').includes(`127.0.0.1:${callee.port}`); n++) {
      callee.send(toCallee);
      await pause(20);
    }
    await remoteIs('nat', callee.port);
    expect(seen('nat')).to.match(/foreign: yes/);
  });

  it('is warm soon after the reply', async () => {
    const delays: number[] = [];
    for (let n = 0; n < 15; n++) {
      const port = mediaPort(await offer(`call ${n}`, audioSdp(6000 + 4 * n)));
      const repliedAt = performance.now();
      for (let n = 0; n < 5000 && !boundIpv4().includes(port); n++) await pause(1);
      delays.push(performance.now() - repliedAt);
    }
    expect(boundIpv4()).to.have.lengthOf(delays.length * portsPerCall);
    delays.sort((a, b) => a - b);
    console.log(
      `      open after: median ${delays[7]?.toFixed(1)} ms, worst ${delays[14]?.toFixed(1)} ms`,
    );
  });
});
