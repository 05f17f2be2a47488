/**
 * `rtprelayctl explain`: why is there no audio. Each reason is set up for real, by phones that send or do
 * not, by commands, by a firewall in a namespace; its sentence, code and next step are asserted.
 */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import type { Explanation } from '../../src/observe/explain/explain.js';
import type { Finding, FindingCode } from '../../src/observe/explain/finding.js';
import type { NgDictionary } from '../support/bencode.js';
import { TemporaryFolder } from '../support/child-process.js';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { connectNamespaces, NetworkNamespace, namespacesAllowed } from '../support/namespaces.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint, rtpPacket, type Destination } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';
import { srtpPacket } from '../support/srtp-packet.js';
import { UnixNgClient } from '../support/unix-ng-client.js';
import { until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));

type Direction = Explanation['directions'][number];

const codesOf = (findings: readonly Finding[]): readonly FindingCode[] =>
  findings.map(({ code }) => code);

const finding = (direction: Direction | undefined, code: FindingCode): Finding => {
  const found = direction?.findings.find((each) => each.code === code);
  if (found === undefined) {
    throw new Error(`no ${code} among ${JSON.stringify(direction?.findings)}`);
  }
  return found;
};

describe('explain: why there is no audio', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let client: NgClient;
  let cli: number;
  let calls = 0;
  let phones: RtpEndpoint[];

  before(async () => {
    cli = freeTcpPort();
    daemon = await MediaDaemon.start('rtprelayd', {
      interfaces: ['127.0.0.1', 'six/::1'],
      extra: [`--listen-cli=127.0.0.1:${cli}`],
    });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });
  beforeEach(() => {
    phones = [];
    calls += 1;
  });
  afterEach(() => {
    for (const phone of phones) phone.close();
  });

  const callId = (): string => `why${calls}`;

  const explained = async (): Promise<Explanation> => {
    const text = await cliAsk(cli, `explain --json ${callId()}`);
    return JSON.parse(text) as Explanation;
  };
  const directionFrom = (explanation: Explanation, tag: string): Direction | undefined =>
    explanation.directions.find(({ from }) => from.tag === tag);

  const phone = async (): Promise<RtpEndpoint> => {
    const opened = await RtpEndpoint.open();
    phones.push(opened);
    return opened;
  };

  async function say(
    command: string,
    port: number,
    more: NgDictionary = {},
    body = {},
  ): Promise<Destination> {
    const address = '127.0.0.1';
    const media = [{ port, formats: '0 8', ...body }];
    const sdp = buildSdp({ origin: address, address, media });
    const reply = await client.request({
      command,
      'call-id': callId(),
      'from-tag': 'a',
      sdp,
      ...more,
    });
    expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
    return mediaTarget(String(reply['sdp']));
  }

  interface Scene {
    readonly a: RtpEndpoint;
    readonly b: RtpEndpoint;
    readonly toA: Destination;
    readonly toB: Destination;
  }

  async function call(flags: readonly string[] = [], answerBody = {}): Promise<Scene> {
    const [a, b] = [await phone(), await phone()];
    const toB = await say('offer', a.port, { flags: [...flags] });
    const toA = await say('answer', b.port, { 'to-tag': 'b', flags: [...flags] }, answerBody);
    return { a, b, toA, toB };
  }

  const talk = async ({ a, b, toA, toB }: Scene, count = 5): Promise<void> => {
    await Promise.all([a.sendRtp(toA, count), b.sendRtp(toB, count)]);
    await until(() => a.received > 0 && b.received > 0, 'packets on both sides');
  };

  it('says so when all is well, to people and to programs', async () => {
    const scene = await call();
    await talk(scene);
    const explanation = await explained();
    expect(explanation.summary).to.equal('Media flows in all directions.');
    const direction = directionFrom(explanation, 'a');
    expect(direction).to.deep.include({ flows: true, received: 5, sent: 5, findings: [] });
    expect(direction?.from).to.deep.include({
      signalled: `127.0.0.1:${scene.a.port}`,
      learned: `127.0.0.1:${scene.a.port}`,
      local: `127.0.0.1:${scene.toA.port}`,
    });
    const { status, stdout } = spawnSync(program, ['-port', String(cli), 'explain', callId()], {
      encoding: 'latin1',
    });
    expect(status).to.equal(0);
    expect(stdout).to.include(`Call ${callId()}: Media flows in all directions.`);
    expect(stdout).to.match(/a -> b, audio \(section 1\): flows\n/);
    expect(spawnSync(program, ['-port', String(cli), 'explain', 'nosuch']).status).to.equal(1);
  });

  it('no packets at all', async () => {
    const { toA } = await call();
    const explanation = await explained();
    expect(explanation.summary).to.match(/^No packets at all: none of the phones has sent/);
    const silence = finding(directionFrom(explanation, 'a'), 'no-packets');
    expect(silence.text).to.equal("Neither 'a' nor 'b' has sent a packet.");
    expect(silence.next).to.include(`127.0.0.1:${toA.port}`);
  });

  it('wrong source with strict-source', async () => {
    const { a, toA } = await call(['strict-source', 'asymmetric']);
    const stranger = await phone();
    await stranger.sendRtp(toA, 4);
    await until(async () => {
      const direction = directionFrom(await explained(), 'a');
      return direction?.dropped['strict-source'] === 4;
    }, 'four drops');
    const explanation = await explained();
    const wrong = finding(directionFrom(explanation, 'a'), 'wrong-source');
    expect(wrong.weight).to.equal('cause');
    expect(wrong.text).to.match(
      new RegExp(
        `^4 packets to the port of 'a' were dropped .* the last from 127\\.0\\.0\\.1:${stranger.port}, `,
      ),
    );
    expect(wrong.text).to.include(`expected is 127.0.0.1:${a.port}`);
    expect(wrong.next).to.include('media-handover');
  });

  it('one way only', async () => {
    const { a, b, toA } = await call();
    await a.sendRtp(toA, 5);
    await until(() => b.received > 0, 'packets at b');
    const explanation = await explained();
    expect(explanation.summary).to.equal(
      "Media flows one way only: 'a' is heard by 'b', not the other way round.",
    );
    expect(directionFrom(explanation, 'a')).to.include({ flows: true, received: 5 });
    const back = finding(directionFrom(explanation, 'b'), 'nothing-comes-back');
    expect(back.text).to.match(/^5 packets have left for 'b' at .*, and nothing has come from it/);
  });

  it('address families that do not match', async () => {
    const { a, toA } = await call([], { address: '::1' });
    await a.sendRtp(toA, 3);
    const mismatch = finding(directionFrom(await explained(), 'a'), 'family-mismatch');
    expect(mismatch.text).to.match(
      /^Address families do not match: 'b' is at \[::1\]:\d+ \(IPv6\), but the relay's port for it is 127\.0\.0\.1:\d+ \(IPv4\)/,
    );
    expect(mismatch.next).to.include('address-family=IP6');
  });

  it('hold', async () => {
    const scene = await call();
    await talk(scene);
    await say('offer', scene.a.port, { 'to-tag': 'b' }, { lines: ['a=sendonly'] });
    await say('answer', scene.b.port, { 'to-tag': 'b' }, { lines: ['a=recvonly'] });
    const explanation = await explained();
    expect(explanation.summary).to.equal(
      "The call is on hold: 'a' is heard by 'b', not the other way round.",
    );
    const hold = finding(directionFrom(explanation, 'b'), 'hold');
    expect(hold.text).to.match(/^The call is on hold: 'b' is not to send \(a=recvonly/);
    expect(hold.next).to.include('re-INVITE');
    expect(codesOf(directionFrom(explanation, 'b')?.findings ?? [])).not.to.include('stopped');
  });

  it('a missing answer', async () => {
    const a = await phone();
    await say('offer', a.port);
    const explanation = await explained();
    expect(explanation.summary).to.match(/^There is no answer: 'a' has offered \d+ s ago/);
    expect(explanation.findings[0]?.code).to.equal('answer-missing');
    expect(explanation.findings[0]?.next).to.include("does not send 'answer'");
  });

  for (const [command, code, text] of [
    ['block media', 'blocked', "Media of 'a' is blocked by the command 'block media'."],
    [
      'silence media',
      'silenced',
      "Audio of 'a' is replaced by silence, by the command 'silence media'.",
    ],
  ] as const) {
    it(`${code} by command`, async () => {
      const scene = await call();
      await talk(scene);
      await client.request({ command, 'call-id': callId(), 'from-tag': 'a' });
      await scene.a.sendRtp(scene.toA, 3);
      const explanation = await explained();
      const blocked = finding(directionFrom(explanation, 'a'), code);
      expect(blocked.text).to.equal(text);
      expect(blocked.next).to.include(`un${command}`);
      expect(directionFrom(explanation, 'b')?.findings).to.deep.equal([]);
    });
  }

  it('SSRC and codec that change', async () => {
    const scene = await call();
    await talk(scene);
    const other = { sequenceNumber: 1, timestamp: 0, ssrc: 0xabcdef, payload: Buffer.alloc(160) };
    const before = scene.b.received;
    scene.a.rtpSocket.send(rtpPacket({ ...other, payloadType: 8 }), scene.toA.port, '127.0.0.1');
    await until(() => scene.b.received > before, 'the other packet');
    const direction = directionFrom(await explained(), 'a');
    expect(finding(direction, 'ssrc-changed').text).to.match(
      /^'a' has changed its SSRC once, last \d+ s ago, now abcdef\.$/,
    );
    expect(finding(direction, 'codec-changed').text).to.equal(
      "'a' has changed its codec: it sent PCMU (0), now PCMA (8).",
    );
    scene.a.rtpSocket.send(rtpPacket({ ...other, payloadType: 18 }), scene.toA.port, '127.0.0.1');
    await until(() => scene.b.received > before + 1, 'a packet of G.729');
    const wrong = finding(directionFrom(await explained(), 'a'), 'unexpected-payload');
    expect(wrong.text).to.equal("'a' sends G729 (18), but 'b' takes only PCMU (0), PCMA (8).");
  });

  it("packets to RTCP's port", async () => {
    const { a, b, toA } = await call();
    await a.sendRtp({ ...toA, port: toA.port + 1 }, 4);
    await until(() => b.rtcp.length >= 4, 'what is relayed as RTCP');
    const explanation = await explained();
    const stray = finding(directionFrom(explanation, 'a'), 'rtp-on-rtcp-port');
    expect(stray.text).to.equal(
      `'a' sends its RTP to the port of RTCP (127.0.0.1:${toA.port + 1}): 4 packets; none has come to 127.0.0.1:${toA.port}.`,
    );
    expect(finding(directionFrom(explanation, 'b'), 'no-packets').text).to.match(
      /^Nothing has come from 'b' to 127\.0\.0\.1:\d+\.$/,
    );
  });

  it('SRTP at a plain side', async () => {
    const scene = await call();
    await talk(scene);
    const key = randomBytes(30);
    const before = scene.b.received;
    for (let sequenceNumber = 100; sequenceNumber < 103; sequenceNumber += 1) {
      const { ssrc } = scene.a;
      const rtp = rtpPacket({ sequenceNumber, timestamp: 1, ssrc, payload: Buffer.alloc(160) });
      scene.a.rtpSocket.send(srtpPacket(key, rtp), scene.toA.port, '127.0.0.1');
    }
    await until(() => scene.b.received >= before + 3, 'SRTP at b');
    const direction = directionFrom(await explained(), 'a');
    const srtp = finding(direction, 'looks-like-srtp');
    expect(srtp.text).to.match(
      /^'a' seems to send SRTP though its section is RTP\/AVP: its payloads of 170 bytes are 10 bytes longer/,
    );
    expect(srtp.next).to.include('RTP/SAVP');
  });

  it('a peer that answers with ICMP', async () => {
    const scene = await call();
    await talk(scene);
    phones = phones.filter((each) => each !== scene.b);
    scene.b.close();
    await scene.a.sendRtp(scene.toA, 6);
    await until(async () => {
      const direction = directionFrom(await explained(), 'a');
      return codesOf(direction?.findings ?? []).includes('icmp-unreachable');
    }, 'ICMP errors');
    const closed = finding(directionFrom(await explained(), 'a'), 'icmp-unreachable');
    expect(closed.text).to.match(
      new RegExp(
        `^The way to 'b' is closed: 127\\.0\\.0\\.1:${scene.b.port} answers with ICMP port unreachable \\(\\d+ times`,
      ),
    );
    // An error is told to the next packet that is sent, which must not be lost because of it.
    await until(
      async () => directionFrom(await explained(), 'a')?.sent === 11,
      'all packets to leave',
    );
  });

  it('a call that timed out', async () => {
    const { toA } = await call();
    await cliAsk(cli, 'set timeout 1');
    await until(
      async () => (await explained()).findings[0]?.code === 'port-closed-by-timeout',
      'the timeout',
    );
    await cliAsk(cli, 'set timeout 60');
    const explanation = await explained();
    expect(explanation.summary).to.match(
      /^The call was closed \d+ s ago by timeout: no stream had a packet/,
    );
    expect(explanation.summary).to.include(`127.0.0.1:${toA.port}`);
    expect(finding(directionFrom(explanation, 'a'), 'no-packets').text).to.include(
      "Neither 'a' nor 'b'",
    );
  });

  it('a call that was deleted', async () => {
    await call();
    await client.request({
      command: 'delete',
      'call-id': callId(),
      'from-tag': 'a',
      'delete-delay': 0,
    });
    expect((await explained()).summary).to.match(
      /^The call was closed \d+ s ago by the proxy's 'delete'\./,
    );
  });
});

describe('explain, in a network of its own', function () {
  this.timeout(60_000);
  const folder = new TemporaryFolder('explain');
  const socket = folder.file('ng');
  let relay: NetworkNamespace;
  let far: NetworkNamespace;
  let daemon: MediaDaemon | null = null;
  let ng: UnixNgClient;

  before(async function () {
    if (!namespacesAllowed()) return this.skip();
    relay = new NetworkNamespace('why-relay');
    far = new NetworkNamespace('why-phone');
    connectNamespaces(
      { namespace: relay, device: 'w0', address: '10.71.0.1/24' },
      { namespace: far, device: 'w1', address: '10.71.0.2/24' },
    );
    daemon = await MediaDaemon.start('rtprelayd', {
      namespace: relay.name,
      interfaces: ['10.71.0.1'],
      extra: [`--listen-ng=unix:${socket}`, '--listen-cli=127.0.0.1:9900'],
    });
    ng = new UnixNgClient(socket);
    await ng.untilPong();
  });
  after(async () => {
    await daemon?.stop();
    await far?.killAll();
    far?.remove();
    relay?.remove();
    folder.remove();
  });

  const explained = (callId: string): Explanation =>
    JSON.parse(relay.run(program, '-port', '9900', 'explain', callId, '--json')) as Explanation;

  async function call(callId: string): Promise<Destination> {
    const sdp = (address: string, port: number): string =>
      buildSdp({ origin: address, address, media: [{ port, formats: '0' }] });
    const ids = { 'call-id': callId, 'from-tag': 'a' };
    await ng.request({ command: 'offer', ...ids, sdp: sdp('10.71.0.1', 5000) });
    const answer = { command: 'answer', ...ids, 'to-tag': 'b', sdp: sdp('10.71.0.2', 6000) };
    return mediaTarget(String((await ng.request(answer))['sdp']));
  }

  /** From port 5000 of the relay's own machine. */
  const send = ({ address, port }: Destination, count: number): void => {
    const script =
      "import socket,sys\ns=socket.socket(socket.AF_INET,socket.SOCK_DGRAM)\ns.bind(('10.71.0.1',5000))\n" +
      'for n in range(int(sys.argv[3])): s.sendto(bytes([128,0,0,n])+bytes(168),(sys.argv[1],int(sys.argv[2])))\n';
    relay.run('python3', '-c', script, address, String(port), String(count));
  };

  it('a firewall: packets leave, nothing comes', async () => {
    far.run('nft', 'add table ip wall');
    far.run('nft', 'add chain ip wall in { type filter hook input priority 0; policy drop; }');
    const toA = await call('wall');
    send(toA, 5);
    const back = (): Finding | undefined =>
      explained('wall')
        .directions.find(({ from }) => from.tag === 'b')
        ?.findings.find(({ code }) => code === 'nothing-comes-back');
    await until(() => back()?.text.startsWith('5 packets') === true, 'five packets to leave');
    expect(back()?.text).to.match(
      /^5 packets have left for 'b' at 10\.71\.0\.2:6000, and nothing has come from it to 10\.71\.0\.1:\d+, not even an ICMP error\.$/,
    );
    expect(back()?.next).to.match(/^A firewall or NAT between drops one of the ways/);
  });

  it("the daemon's address isn't on this machine", async () => {
    await call('gone');
    relay.ip('address', 'del', '10.71.0.1/24', 'dev', 'w0');
    const ofA = explained('gone').directions.find(({ from }) => from.tag === 'a');
    const gone = finding(ofA, 'address-not-here');
    expect(gone.text).to.equal(
      "The relay's address 10.71.0.1 is not on this machine, so nothing that 'a' sends arrives here.",
    );
    expect(gone.next).to.include('which node has it');
  });
});
