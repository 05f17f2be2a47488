/**
 * A warm standby says nothing to anybody before it takes over, whatever its owner's calls wait for: a peer follows a check of
 * ICE to where it came from, and a ClientHello ends an association. The standby has an address of its own, by which it is known.
 */
import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpRange } from '../support/free-ports.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';
import { pause, until } from '../support/wait.js';

const client = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));
const [ownerAddress, standbyAddress] = ['127.0.0.1', '127.0.0.2'];
/** Longer than all that a relay asks regularly: consent (RFC 7675), reports. */
const listensMs = 7000;

describe('a standby that has not taken over', function () {
  this.timeout(60_000);
  const authority = new CertificateAuthority('silent standby');
  const files = authority.issue('phone', 'DNS:phone');
  let redis: RedisProcess;
  let owner: MediaDaemon;
  let standby: MediaDaemon;
  let standbyCli: number;
  let ng: NgClient;
  let secure: SecurePeer;
  const phones: RtpEndpoint[] = [];

  beforeEach(async () => {
    redis = await RedisProcess.start({ settings: ['--notify-keyspace-events', 'KA'] });
    const portRange = freeUdpRange(100);
    standbyCli = freeTcpPort();
    owner = await MediaDaemon.start('rtprelayd', {
      ...{ interfaces: [ownerAddress], portRange },
      extra: [`--redis=127.0.0.1:${redis.port}/0`],
    });
    standby = await MediaDaemon.start('rtprelayd', {
      ...{ interfaces: [standbyAddress], portRange },
      extra: [
        ...[`--redis=127.0.0.1:${redis.port}/1`, '--subscribe-keyspace=0'],
        `--listen-cli=127.0.0.1:${standbyCli}`,
      ],
    });
    ng = owner.client();
    secure = await SecurePeer.open(files);
  });
  afterEach(async () => {
    ng.close();
    secure.close();
    for (const phone of phones.splice(0)) phone.close();
    await standby.stop('SIGKILL');
    await owner.stop('SIGKILL');
    await redis.stop();
  });
  after(() => {
    authority.remove();
  });

  const cli = (...words: readonly string[]): string =>
    execFileSync(process.execPath, [client, '-port', String(standbyCli), ...words], {
      encoding: 'latin1',
    });
  async function phone(): Promise<RtpEndpoint> {
    const opened = await RtpEndpoint.open();
    phones.push(opened);
    return opened;
  }
  const sourcesAt = ({ rtp, rtcp }: RtpEndpoint): readonly string[] => [
    ...new Set([...rtp, ...rtcp].map(({ from }) => from.address)),
  ];

  /** A call of which one side is as `sdp` says. @returns what that side is told, and where the other sends. */
  async function call(
    callId: string,
    sdp: string,
    other: RtpEndpoint,
  ): Promise<{ told: string; offered: string }> {
    const tags = { 'call-id': callId, 'from-tag': 'a', 'to-tag': 'b' };
    const words = {
      ...{ 'transport-protocol': 'RTP/AVP', ICE: 'remove', 'rtcp-mux': ['demux'] },
      ...{ flags: ['pierce-NAT'], 'generate-RTCP': 'on' },
    };
    const offered = await ng.ask({ command: 'offer', ...tags, ...words, sdp });
    const flags = ['pierce-NAT'];
    const answer = { command: 'answer', ...tags, flags, sdp: audioSdp(other.port) };
    const told = await ng.ask(answer);
    return { told: String(told['sdp']), offered: String(offered['sdp']) };
  }

  it('sends nothing: no check, no handshake, no report', async () => {
    const talking = await phone();
    const { told, offered } = await call('talking', secure.offer(), talking);
    await secure.accept(told);
    await secure.meets(talking, mediaTarget(offered));
    // Those that never answer: checks and handshakes are still under way.
    const [checked, shaken] = [await phone(), await phone()];
    const fingerprint = /^a=fingerprint:.*$/m.exec(secure.offer())?.[0].trim() ?? '';
    const dtls = [fingerprint, 'a=setup:passive'];
    const ice = [
      ...['a=ice-ufrag:ever', 'a=ice-pwd:never-answers-any-check-of-ours'],
      `a=candidate:1 1 udp 2122260223 127.0.0.1 ${checked.port} typ host`,
    ];
    const secured = (port: number, lines: readonly string[]): string =>
      audioSdp(port, lines).replace('RTP/AVP', 'UDP/TLS/RTP/SAVPF');
    await call('checked', secured(checked.port, [...dtls, ...ice]), await phone());
    await call('shaken', secured(shaken.port, dtls), await phone());
    await until(() => phones.every((each) => sourcesAt(each).includes(ownerAddress)), 'the owner');
    await until(
      () =>
        ['talking', 'checked', 'shaken'].every((each) =>
          cli('list', 'sessions', 'all').includes(each),
        ),
      'the calls on the standby',
    );
    await pause(listensMs);
    const heard = (): ReadonlySet<string> =>
      new Set([...secure.sources, ...phones.flatMap(sourcesAt)]);
    expect([...heard()]).to.deep.equal([ownerAddress]);
    cli('active');
    for (const each of [checked, shaken])
      await until(() => sourcesAt(each).includes(standbyAddress), 'what it does from then on');
    await until(() => secure.sources.has(standbyAddress), 'its checks');
  });
});
