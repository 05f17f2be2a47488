/** What the relay itself counts in RTP (`--measure-rtp`), and the reports it makes (`generate RTCP`). */
import { expect } from 'chai';
import { parseSnapshot } from '../../src/daemon/cli/streams.js';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { RtpEndpoint, rtpPacket } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

const ssrc = 0x1234;
const packet = (sequenceNumber: number): Buffer =>
  rtpPacket({
    ...{ payloadType: 8, sequenceNumber, timestamp: sequenceNumber * 160, ssrc },
    payload: Buffer.alloc(160, 0xd5),
  });

interface Counted {
  readonly SSRC: number;
  readonly packets: number;
  readonly lost?: number;
  readonly duplicates?: number;
  readonly reordered?: number;
}

interface Queried {
  readonly tags: Readonly<Record<string, { medias: { 'ingress SSRCs': readonly Counted[] }[] }>>;
}

describe('RTP that is counted', () => {
  const phones: RtpEndpoint[] = [];
  let daemon: MediaDaemon | undefined;
  afterEach(async () => {
    for (const phone of phones.splice(0)) phone.close();
    await daemon?.stop();
  });

  async function call(
    extra: readonly string[],
    flags: readonly string[],
  ): Promise<{
    readonly caller: RtpEndpoint;
    readonly callee: RtpEndpoint;
    readonly port: number;
    readonly counted: () => Promise<Counted | undefined>;
  }> {
    daemon = await MediaDaemon.start('rtprelayd', { extra });
    const ng = daemon.client();
    const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    phones.push(caller, callee);
    const body = ({ port }: RtpEndpoint): string =>
      buildSdp({ address: '127.0.0.1', media: [audio(port)] });
    const keys = { 'call-id': 'c', 'from-tag': 'a', flags };
    await ng.ask({ command: 'offer', ...keys, sdp: body(caller) });
    const answer = { command: 'answer', ...keys, 'to-tag': 'b', sdp: body(callee) };
    const { port } = mediaTarget(String((await ng.ask(answer))['sdp']));
    const counted = async (): Promise<Counted | undefined> => {
      const reply = (await ng.ask({ command: 'query', 'call-id': 'c' })) as unknown as Queried;
      return reply.tags['a']?.medias[0]?.['ingress SSRCs'].find(({ SSRC }) => SSRC === ssrc);
    };
    return { caller, callee, port, counted };
  }

  // 3 are missing, one comes twice, one late.
  const sequences = [1, 2, 3, 4, 8, 9, 9, 11, 10, 12];

  it('query tells what was lost, repeated, reordered with --measure-rtp', async () => {
    const cliPort = freeTcpPort();
    const extra = ['--measure-rtp', `--listen-cli=127.0.0.1:${cliPort}`];
    const { caller, callee, port, counted } = await call(extra, []);
    for (const sequence of sequences) caller.rtpSocket.send(packet(sequence), port, '127.0.0.1');
    await until(() => callee.received === sequences.length, 'all are relayed');
    expect(await counted()).to.include({
      ...{ packets: sequences.length, lost: 3, duplicates: 1, reordered: 1 },
    });
    // `top`: 3 of 12, without a report of anybody.
    const { calls } = parseSnapshot(await cliAsk(cliPort, 'streams'));
    const [from] = calls[0]?.streams.filter(({ tag }) => tag === 'a') ?? [];
    expect(from).to.include({ lossPercent: 25, arrivedLossPercent: 25 });
  });

  it('query does not without', async () => {
    const { caller, callee, port, counted } = await call([], []);
    for (const sequence of sequences) caller.rtpSocket.send(packet(sequence), port, '127.0.0.1');
    await until(() => callee.received === sequences.length, 'all are relayed');
    const source = await counted();
    expect(source).to.include({ packets: sequences.length });
    expect(source).not.to.have.any.keys('lost', 'duplicates', 'reordered', 'jitter');
  });

  it('both sides get reports of the relay, as often as --rtcp-interval says', async () => {
    const { caller, callee, port } = await call(['--rtcp-interval=100'], ['generate-RTCP']);
    let sequence = 0;
    const talk = setInterval(() => {
      caller.rtpSocket.send(packet((sequence += 1)), port, '127.0.0.1');
    }, 20);
    const typeOf = (received: RtpEndpoint): number | undefined => received.rtcp.at(-1)?.bytes[1];
    try {
      // The default is 5 s: so many would not come.
      await until(() => callee.rtcp.length >= 12, 'the callee gets sender reports');
      await until(() => caller.rtcp.length >= 12, 'the caller gets receiver reports');
    } finally {
      clearInterval(talk);
    }
    expect([typeOf(callee), typeOf(caller)]).to.deep.equal([200, 201]);
  });
});
