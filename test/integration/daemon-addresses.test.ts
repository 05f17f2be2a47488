/** Where media goes in and out: address families, named interfaces, advertised addresses. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import type { NgDictionary } from '../support/bencode.js';
import { freeUdpPort } from '../support/free-ports.js';
import { audioSdp, NgClient } from '../support/ng-client.js';
import { RtpEndpoint, type Destination } from '../support/rtp-endpoint.js';
import { mediaTarget, sdpLines } from '../support/sdp.js';

const packets = 25;

interface Bodies {
  readonly toCallee: string;
  readonly toCaller: string;
}

async function exchange(
  ng: NgClient,
  callId: string,
  ends: { readonly a: RtpEndpoint; readonly b: RtpEndpoint },
  offerKeys: NgDictionary = {},
): Promise<Bodies> {
  const keys = { 'call-id': callId, 'from-tag': 'a' };
  const { a, b } = ends;
  const sdpOf = (end: RtpEndpoint): string => audioSdp(end.port, [], end.address);
  const offer = await ng.ask({ command: 'offer', ...keys, ...offerKeys, sdp: sdpOf(a) });
  const words = { command: 'answer', ...keys, 'to-tag': 'b', sdp: sdpOf(b) };
  const answer = await ng.ask(words);
  expect([offer['result'], answer['result']]).to.deep.equal(['ok', 'ok']);
  return { toCallee: String(offer['sdp']), toCaller: String(answer['sdp']) };
}

/** RTP and RTCP both ways; all of it must arrive, and from the port that the SDP named. */
async function expectMedia(
  a: RtpEndpoint,
  b: RtpEndpoint,
  towardsB: Destination,
  towardsA: Destination,
): Promise<void> {
  const rtcpOf = ({ address, port }: Destination): Destination => ({ address, port: port + 1 });
  await Promise.all([a.sendRtp(towardsB, packets), b.sendRtp(towardsA, packets)]);
  a.sendReport(rtcpOf(towardsB));
  b.sendReport(rtcpOf(towardsA));
  await Promise.all([a.settled(), b.settled()]);
  const all = Array.from({ length: packets }, (_, index) => index + 1);
  for (const [end, source] of [
    [a, towardsB],
    [b, towardsA],
  ] as const) {
    expect(end.sequenceNumbers()).to.deep.equal(all);
    expect(new Set(end.rtp.map(({ from }) => `${from.address} ${from.port}`))).to.deep.equal(
      new Set([`${source.address} ${source.port}`]),
    );
    expect(end.rtcp.map(({ from }) => from.port)).to.deep.equal([source.port + 1]);
  }
}

const connectionLine = (body: string): string | undefined =>
  sdpLines(body).find((line) => line.startsWith('c='));

describe('media addresses', () => {
  const opened: RtpEndpoint[] = [];
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;

  async function start(...interfaces: readonly string[]): Promise<NgClient> {
    daemon = await MediaDaemon.start('rtprelayd', { interfaces, mediaPorts: 20 });
    ng = daemon.client();
    return ng;
  }

  async function ends(first: string, second: string): Promise<{ a: RtpEndpoint; b: RtpEndpoint }> {
    const pair = { a: await RtpEndpoint.open(1, first), b: await RtpEndpoint.open(2, second) };
    opened.push(pair.a, pair.b);
    return pair;
  }

  afterEach(async () => {
    for (const end of opened.splice(0)) end.close();
    ng?.close();
    await daemon?.stop();
    ng = daemon = undefined;
  });

  it('relays between two parties on IPv6', async () => {
    const client = await start('::1');
    const { a, b } = await ends('::1', '::1');
    const { toCallee, toCaller } = await exchange(client, 'six', { a, b });
    expect(connectionLine(toCallee)).to.equal('c=IN IP6 ::1');
    await expectMedia(a, b, mediaTarget(toCaller), mediaTarget(toCallee));
  });

  for (const [name, from, to, family] of [
    ['IPv4 to IPv6', '127.0.0.1', '::1', 'IP6'],
    ['IPv6 to IPv4', '::1', '127.0.0.1', 'IP4'],
  ] as const) {
    it(`bridges ${name} by address-family`, async () => {
      const client = await start('127.0.0.1', '::1');
      const { a, b } = await ends(from, to);
      const bodies = await exchange(client, 'mixed', { a, b }, { 'address-family': family });
      const otherFamily = family === 'IP6' ? 'IP4' : 'IP6';
      expect(connectionLine(bodies.toCallee)).to.equal(`c=IN ${family} ${to}`);
      expect(connectionLine(bodies.toCaller)).to.equal(`c=IN ${otherFamily} ${from}`);
      await expectMedia(a, b, mediaTarget(bodies.toCaller), mediaTarget(bodies.toCallee));
    });
  }

  it('takes each side to the interface that direction names', async () => {
    const client = await start('inside/127.0.0.2', 'outside/127.0.0.3');
    const { a, b } = await ends('127.0.0.1', '127.0.0.1');
    const direction = { direction: ['inside', 'outside'] };
    const { toCallee, toCaller } = await exchange(client, 'named', { a, b }, direction);
    expect(mediaTarget(toCallee).address).to.equal('127.0.0.3');
    expect(mediaTarget(toCaller).address).to.equal('127.0.0.2');
    await expectMedia(a, b, mediaTarget(toCaller), mediaTarget(toCallee));
    const query = await client.ask({ command: 'query', 'call-id': 'named' });
    expect(JSON.stringify(query)).to.include('127.0.0.2').and.to.include('127.0.0.3');
  });

  it('uses the first interface for a name that does not exist, and for none', async () => {
    const client = await start('inside/127.0.0.2', 'outside/127.0.0.3');
    for (const [callId, keys] of [
      ['nowhere', { direction: ['nowhere', 'nobody'] }],
      ['unsaid', {}],
    ] as const) {
      const { toCallee, toCaller } = await exchange(
        client,
        callId,
        await ends('127.0.0.1', '127.0.0.1'),
        keys,
      );
      expect(mediaTarget(toCallee).address).to.equal('127.0.0.2');
      expect(mediaTarget(toCaller).address).to.equal('127.0.0.2');
    }
  });

  it('writes the advertised address into the SDP and binds the local one', async () => {
    const client = await start('inside/127.0.0.2', 'outside/127.0.0.3!203.0.113.7');
    const { a, b } = await ends('127.0.0.1', '127.0.0.1');
    const direction = { direction: ['inside', 'outside'] };
    const { toCallee, toCaller } = await exchange(client, 'nat', { a, b }, direction);
    expect(connectionLine(toCallee)).to.equal('c=IN IP4 203.0.113.7');
    const towardsA = { address: '127.0.0.3', port: mediaTarget(toCallee).port };
    await expectMedia(a, b, mediaTarget(toCaller), towardsA);
  });

  it('gives one name two addresses, one of each family', async () => {
    const client = await start('dual/127.0.0.2', 'dual/::1');
    const { a, b } = await ends('127.0.0.1', '::1');
    const keys = { 'address-family': 'IP6', direction: ['dual', 'dual'] };
    const { toCallee, toCaller } = await exchange(client, 'dual', { a, b }, keys);
    expect(mediaTarget(toCallee).address).to.equal('::1');
    expect(mediaTarget(toCaller).address).to.equal('127.0.0.2');
    await expectMedia(a, b, mediaTarget(toCaller), mediaTarget(toCallee));
  });

  it('takes the addresses of a network device by its name', async () => {
    const client = await start('lo');
    const { a, b } = await ends('127.0.0.1', '127.0.0.1');
    const { toCallee, toCaller } = await exchange(client, 'device', { a, b });
    expect(mediaTarget(toCallee).address).to.equal('127.0.0.1');
    await expectMedia(a, b, mediaTarget(toCaller), mediaTarget(toCallee));
  });

  it('takes calls over an NG listener on IPv6', async () => {
    const port = freeUdpPort();
    const extra = [`--listen-ng=[::1]:${port}`];
    daemon = await MediaDaemon.start('rtprelayd', { extra, mediaPorts: 20 });
    const client = (ng = new NgClient(port, '::1'));
    const { a, b } = await ends('127.0.0.1', '127.0.0.1');
    const { toCallee, toCaller } = await exchange(client, 'control', { a, b });
    await expectMedia(a, b, mediaTarget(toCaller), mediaTarget(toCallee));
    expect(daemon.process.log()).to.match(/Received command 'offer' from \[?::1\]?:\d+/);
  });
});
