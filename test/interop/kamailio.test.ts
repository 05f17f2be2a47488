/**
 * A real Kamailio with its rtpengine module between two SIPp phones whose media are sockets of the
 * test: what one side sends must reach the other, all of it, and be counted.
 */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { dictionaryAt, isDictionary, listAt, type NgDictionary } from '../support/bencode.js';
import { isInstalled } from '../support/child-process.js';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { Kamailio, Sipp } from '../support/sip.js';

const folder = fileURLToPath(new URL('kamailio/', import.meta.url));
const packets = 50;
/** Bytes of one RTP packet of the phones: 12 of header, 160 of payload. */
const packetBytes = 172;

/** What the scenarios of a test stop when it ends, however it ends. */
const running: { stop: () => Promise<void> }[] = [];

async function stopAll(): Promise<void> {
  for (const each of running.splice(0)) await each.stop();
}

function phone(scenario: string, keys: Record<string, number>, more: object = {}): Sipp {
  const sipp = Sipp.start({ scenario: `${folder}${scenario}.xml`, keys, ...more });
  running.push(sipp);
  return sipp;
}

async function mediaOf(): Promise<RtpEndpoint> {
  const endpoint = await RtpEndpoint.open();
  running.push({ stop: async () => endpoint.close() });
  return endpoint;
}

function at(port: number): { address: string; port: number } {
  return { address: '127.0.0.1', port };
}

/** RTP counters of each participant, sorted. */
function receivedBySide(reply: NgDictionary): readonly NgDictionary[] {
  return Object.values(dictionaryAt(reply, 'tags')).flatMap((participant) => {
    if (!isDictionary(participant)) return [];
    const [media] = listAt(participant, 'medias');
    const [stream] = isDictionary(media) ? listAt(media, 'streams') : [];
    return isDictionary(stream) ? [dictionaryAt(stream, 'stats')] : [];
  });
}

const everything = Array.from({ length: packets }, (_, index) => index + 1);

describe(`Kamailio, SIPp and ${subjectKind}`, function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let client: NgClient;

  before(async function () {
    if (!isInstalled('kamailio') || !isInstalled('sipp')) this.skip();
    daemon = await MediaDaemon.start(subjectKind, { extra: ['--delete-delay=0'] });
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });
  afterEach(stopAll);

  async function proxy(callee: Sipp, flags: string): Promise<Kamailio> {
    const kamailio = await Kamailio.start({
      config: `${folder}kamailio.cfg`,
      defines: {
        RTPENGINE_SOCK: `udp:127.0.0.1:${daemon.controlPort}`,
        CALLEE_URI: `sip:127.0.0.1:${callee.port}`,
        MEDIA_FLAGS: flags,
      },
    });
    running.push(kamailio);
    return kamailio;
  }

  async function query(callId: string): Promise<NgDictionary> {
    return client.ask({ command: 'query', 'call-id': callId });
  }

  interface Setting {
    readonly callId: string;
    readonly caller: Sipp;
    readonly callee: Sipp;
    readonly callerMedia: RtpEndpoint;
    readonly calleeMedia: RtpEndpoint;
    readonly secondMedia: RtpEndpoint;
    readonly proxyPort: number;
  }

  async function place(name: string, flags: string, scenarios: [string, string]): Promise<Setting> {
    const [callerMedia, calleeMedia, secondMedia] = [
      await mediaOf(),
      await mediaOf(),
      await mediaOf(),
    ];
    const callId = `${name}@phones`;
    const [callerScenario, calleeScenario] = scenarios;
    const callee = phone(calleeScenario, { rtp_port: calleeMedia.port }, { pauseMs: 1500 });
    const { port } = await proxy(callee, flags);
    const caller = phone(
      callerScenario,
      { rtp_port: callerMedia.port, second_port: secondMedia.port },
      { remotePort: port, callId, pauseMs: 2500 },
    );
    return { callId, caller, callee, callerMedia, calleeMedia, secondMedia, proxyPort: port };
  }

  /** Both sides send at once; all of it must arrive on the other side, in order. */
  async function talk(
    one: RtpEndpoint,
    towardsOne: number,
    other: RtpEndpoint,
    towardsOther: number,
  ): Promise<void> {
    const [before, otherBefore] = [one.sent, other.sent];
    one.clear();
    other.clear();
    await Promise.all([
      one.sendRtp(at(towardsOne), packets),
      other.sendRtp(at(towardsOther), packets),
    ]);
    await one.settled();
    await other.settled();
    expect(other.sequenceNumbers()).to.deep.equal(everything.map((number) => number + before));
    expect(one.sequenceNumbers()).to.deep.equal(everything.map((number) => number + otherBefore));
  }

  for (const flags of [
    'replace-origin replace-session-connection',
    'trust-address replace-origin replace-session-connection ICE=remove',
    'SIP-source-address via-branch=1 rtcp-mux-demux',
  ]) {
    it(`relays a call both ways without loss and counts it (${flags})`, async () => {
      const setting = await place('plain', flags, ['caller', 'callee']);
      const { callId, caller, callee, callerMedia, calleeMedia } = setting;
      const towardsCaller = await callee.logged('invited');
      const towardsCallee = await caller.logged('answered');
      expect(daemon.ownsPort(towardsCaller) && daemon.ownsPort(towardsCallee)).to.equal(true);
      await talk(callerMedia, towardsCallee, calleeMedia, towardsCaller);
      const counted = { packets, bytes: packets * packetBytes, errors: 0 };
      const reply = await query(callId);
      expect(receivedBySide(reply)).to.deep.equal([counted, counted]);
      const totals = dictionaryAt(dictionaryAt(reply, 'totals'), 'RTP');
      expect(totals).to.deep.equal({ packets: 2 * packets, bytes: 2 * counted.bytes, errors: 0 });
      await Promise.all([caller.finished(), callee.finished()]);
      expect(await query(callId)).to.include({ 'error-reason': 'Unknown call-id' });
    });
  }

  it('relays early media of the callee', async () => {
    const setting = await place('early', 'replace-origin', ['caller', 'callee']);
    const { caller, callee, callerMedia, calleeMedia } = setting;
    const towardsCaller = await callee.logged('invited');
    const early = await caller.logged('early');
    await calleeMedia.sendRtp(at(towardsCaller), packets);
    await callerMedia.settled();
    expect(callerMedia.sequenceNumbers()).to.deep.equal(everything);
    expect(await caller.logged('answered'), 'same port in the 200').to.equal(early);
    await Promise.all([caller.finished(), callee.finished()]);
  });

  it('follows a re-INVITE to another port of the caller', async () => {
    const scenarios: [string, string] = ['caller-reinvite', 'callee-reinvite'];
    const setting = await place('moved', 'replace-origin', scenarios);
    const { caller, callee, callerMedia, calleeMedia, secondMedia } = setting;
    const towardsCaller = await callee.logged('invited');
    const towardsCallee = await caller.logged('answered');
    await talk(callerMedia, towardsCallee, calleeMedia, towardsCaller);
    const nowTowardsCaller = await callee.logged('moved');
    const nowTowardsCallee = await caller.logged('moved');
    expect(nowTowardsCaller, 'the caller has moved').not.to.equal(towardsCaller);
    expect(nowTowardsCallee, 'the callee has not').to.equal(towardsCallee);
    await talk(secondMedia, nowTowardsCallee, calleeMedia, nowTowardsCaller);
    await Promise.all([caller.finished(), callee.finished()]);
  });

  /** The final reply's code to an INFO that names a media command. */
  async function order(port: number, callId: string, tag: string, media: string): Promise<number> {
    const socket = createSocket('udp4');
    try {
      socket.bind(0, '127.0.0.1');
      await once(socket, 'listening');
      const branch = `z9hG4bK${media.replaceAll(' ', '')}${Math.random()}`;
      const lines = [
        'INFO sip:media@127.0.0.1 SIP/2.0',
        `Via: SIP/2.0/UDP 127.0.0.1:${socket.address().port};branch=${branch}`,
        ...[`From: <sip:one@127.0.0.1>;tag=${tag}`, 'To: <sip:media@127.0.0.1>'],
        ...[`Call-ID: ${callId}`, 'CSeq: 1 INFO', 'Max-Forwards: 10', `X-Media: ${media}`],
        ...['Content-Length: 0', '', ''],
      ];
      const answered = once(socket, 'message', { signal: AbortSignal.timeout(30_000) });
      socket.send(lines.join('\r\n'), port, '127.0.0.1');
      const [reply] = (await answered) as [Buffer];
      return Number(/^SIP\/2.0 (\d+)/.exec(reply.toString('latin1'))?.[1]);
    } finally {
      socket.close();
    }
  }

  it('blocks and silences media when the proxy says so', async () => {
    const setting = await place('quiet', 'replace-origin', ['caller', 'callee']);
    const { callId, caller, callee, callerMedia, calleeMedia, proxyPort } = setting;
    const towardsCaller = await callee.logged('invited');
    const towardsCallee = await caller.logged('answered');
    const [tag = ''] = Object.keys(dictionaryAt(await query(callId), 'tags'));
    const heard = async (): Promise<readonly [caller: number, callee: number, silent: number]> => {
      callerMedia.clear();
      calleeMedia.clear();
      callerMedia.sendNext(at(towardsCallee));
      calleeMedia.sendNext(at(towardsCaller));
      await Promise.all([callerMedia.settled(), calleeMedia.settled()]);
      const all = [...callerMedia.packets(), ...calleeMedia.packets()];
      const silent = all.filter(({ payload }) => payload.every((octet) => octet === 0xff));
      return [callerMedia.received, calleeMedia.received, silent.length];
    };
    expect(await heard()).to.deep.equal([1, 1, 0]);
    expect(await order(proxyPort, callId, tag, 'block')).to.equal(200);
    expect(await heard()).to.deep.equal([0, 0, 0]);
    expect(await order(proxyPort, callId, tag, 'unblock')).to.equal(200);
    expect(await order(proxyPort, callId, tag, 'silence')).to.equal(200);
    expect(await order(proxyPort, callId, tag, 'block DTMF')).to.equal(200);
    // The flag `directional` makes the module name the sender of the request.
    expect(await heard()).to.deep.equal([1, 1, 1]);
    expect(await order(proxyPort, callId, tag, 'unsilence')).to.equal(200);
    expect(await heard()).to.deep.equal([1, 1, 0]);
    expect(await order(proxyPort, 'another', tag, 'block')).to.equal(500);
    await Promise.all([caller.finished(), callee.finished()]);
  });

  it('forgets a call that was refused', async () => {
    const scenarios: [string, string] = ['caller-refused', 'callee-busy'];
    const { callId, caller, callee } = await place('busy', 'replace-origin', scenarios);
    await callee.logged('invited');
    await Promise.all([caller.finished(), callee.finished()]);
    expect(await query(callId)).to.include({ 'error-reason': 'Unknown call-id' });
  });
});
