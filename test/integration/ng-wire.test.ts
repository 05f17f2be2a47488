/** What goes over the NG port of a running daemon: repetitions, long replies, many sections. */
import { expect } from 'chai';
import { createSocket } from 'node:dgram';
import { dictionaryAt, encodeBencode, listAt, type NgDictionary } from '../support/bencode.js';
import { MediaDaemon } from '../support/daemons.js';
import { NgClient } from '../support/ng-client.js';
import { until } from '../support/wait.js';

const datagramBytes = 65_507;

const sdp = (sections: number): string =>
  'v=0\r\no=a 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n' +
  Array.from({ length: sections }, (_, at) => `m=audio ${5000 + 2 * at} RTP/AVP 8\r\n`).join('');

const sectionsOf = (reply: NgDictionary): number =>
  String(reply['sdp']).split('m=audio').length - 1;

describe('the NG port', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let ng: NgClient;
  let calls = 0;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', { mediaPorts: 4000 });
    ng = daemon.client();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop();
  });

  /** A call of two, or with an answer from each of several branches. */
  async function call(sections: number, branches = 1): Promise<string> {
    const callId = `wire-${(calls += 1)}`;
    for (let branch = 0; branch < branches; branch++) {
      const dialogue = { 'call-id': callId, 'from-tag': 'a', 'via-branch': `z9hG4bK-${branch}` };
      const offer = { command: 'offer', ...dialogue, sdp: sdp(sections) };
      expect(await ng.ask(offer)).to.include({ result: 'ok' });
      const answer = { command: 'answer', ...dialogue, 'to-tag': `b${branch}`, sdp: sdp(sections) };
      expect(await ng.ask(answer)).to.include({ result: 'ok' });
    }
    return callId;
  }

  const end = (callId: string): Promise<NgDictionary> =>
    ng.ask({ command: 'delete', 'call-id': callId, 'from-tag': 'a', 'delete-delay': 0 });

  it('gives two proxies that use one cookie each its own call', async () => {
    const other = new NgClient(daemon.controlPort);
    try {
      const offer = (callId: string): NgDictionary => ({
        ...{ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: sdp(1) },
      });
      const cookie = '1_17_1';
      const replies = await Promise.all([
        ng.ask(offer('one cookie'), { cookie }),
        other.ask(offer('the same cookie'), { cookie }),
      ]);
      const port = (reply: NgDictionary): string | undefined =>
        /m=audio (\d+)/.exec(String(reply['sdp']))?.[1];
      expect(port(replies[0])).to.not.equal(port(replies[1]));
      expect(listAt(await ng.ask({ command: 'list' }), 'calls')).to.have.members([
        ...['one cookie', 'the same cookie'],
      ]);
      // A repetition gets what the first got, and changes nothing.
      const again = await other.ask(offer('one cookie'), { cookie });
      expect(again).to.deep.equal(replies[0]);
      for (const callId of ['one cookie', 'the same cookie']) await end(callId);
      expect(await other.ask(offer('one cookie'), { cookie })).to.deep.equal(replies[0]);
      expect(listAt(await ng.ask({ command: 'list' }), 'calls')).to.deep.equal([]);
    } finally {
      other.close();
    }
  });

  it('answers query and delete of a call with 60 sections within a datagram', async () => {
    const callId = await call(60);
    const queried = await ng.raw(encodeBencode({ command: 'query', 'call-id': callId }));
    expect(queried.length).to.be.within(1, datagramBytes);
    const reply = await end(callId);
    expect(reply).to.include({ result: 'ok' });
    expect(reply['warning']).to.match(/^Reply too long for a datagram, left out: stream details/);
    expect(dictionaryAt(reply, 'totals')).to.have.property('RTP');
    const participant = dictionaryAt(dictionaryAt(reply, 'tags'), 'b0');
    expect(listAt(participant, 'medias')).to.have.length(60);
  });

  it('answers query and delete of a call with 100 branches within a datagram', async () => {
    const callId = await call(1, 100);
    const reply = await ng.ask({ command: 'query', 'call-id': callId }, { encoding: 'json' });
    expect(reply['warning']).to.match(/left out: stream details/);
    expect(Object.keys(dictionaryAt(reply, 'tags'))).to.have.length(101);
    expect(await ng.ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 })).to.include({
      ...{ result: 'ok', warning: reply['warning'] },
    });
  });

  it('lists as many calls as a datagram carries', async () => {
    // Calls without a body take no ports, so there can be many.
    const prefix = 'x'.repeat(200);
    for (let at = 0; at < 400; at += 50) {
      await Promise.all(
        Array.from({ length: 50 }, (_, index) =>
          ng.ask({
            ...{ command: 'offer', 'call-id': `${prefix}${at + index}`, 'from-tag': 'a', sdp: '' },
          }),
        ),
      );
    }
    const reply = await ng.ask({ command: 'list', limit: 5000 });
    expect(listAt(reply, 'calls')).to.have.length.within(300, 325);
    expect(reply['warning']).to.match(/left out: call-ids$/);
    const short = await ng.ask({ command: 'list', limit: 10 });
    expect(short).to.not.have.property('warning');
    for (let at = 0; at < 400; at++) await end(`${prefix}${at}`);
  });

  it('takes 130 and 500 sections, as rtpengine 10.5 does', async () => {
    for (const sections of [130, 500]) {
      const offer = { command: 'offer', 'call-id': 'many', 'from-tag': 'a', sdp: sdp(sections) };
      expect(sectionsOf(await ng.ask(offer))).to.equal(sections);
      expect(await end('many')).to.include({ result: 'ok' });
    }
  });

  it('says that there are too many sections, or that the answer would be too long', async () => {
    const offer = (sections: number): Promise<NgDictionary> =>
      ng.ask({ command: 'offer', 'call-id': 'too many', 'from-tag': 'a', sdp: sdp(sections) });
    expect(await offer(801)).to.deep.equal({
      result: 'error',
      'error-reason': 'Too many media sections, at most 800',
    });
    const before = await ng.ask({ command: 'statistics' });
    expect(await offer(780)).to.deep.equal({
      result: 'error',
      'error-reason': 'Reply too long for a datagram',
    });
    // Nothing is left of it.
    expect(listAt(await ng.ask({ command: 'list' }), 'calls')).to.deep.equal([]);
    const ports = (reply: NgDictionary): unknown =>
      dictionaryAt(
        listAt(dictionaryAt(reply, 'statistics'), 'interfaces')[0] as NgDictionary,
        'ports',
      )['used'];
    expect(ports(await ng.ask({ command: 'statistics' }))).to.equal(ports(before));
  });

  it('gives the statistics of a call that is deleted without a from-tag', async () => {
    for (const selection of [{}, { 'from-tag': '' }, { 'via-branch': 'z9hG4bK-0' }]) {
      const callId = await call(1);
      const reply = await ng.ask({
        ...{ command: 'delete', 'call-id': callId, 'delete-delay': 0 },
        ...selection,
      });
      expect(Object.keys(dictionaryAt(reply, 'tags'))).to.deep.equal(['a', 'b0']);
      expect(reply).to.include.keys('created', 'SSRC', 'totals', 'result');
    }
    const callId = await call(1);
    const fast = { command: 'delete', 'call-id': callId, flags: ['fast'] };
    expect(await ng.ask(fast)).to.deep.equal({ result: 'ok' });
  });

  it('counts unknown commands as errors, without keeping their names', async () => {
    for (const command of ['what', 'is this', 'x'.repeat(5000)]) {
      expect(await ng.ask({ command })).to.include({ result: 'error' });
    }
    const statistics = dictionaryAt(await ng.ask({ command: 'statistics' }), 'statistics');
    const [proxy] = listAt(dictionaryAt(statistics, 'controlstatistics'), 'proxies');
    expect(proxy).to.include({ proxy: '127.0.0.1', errorcount: 5 });
    expect(Object.keys(proxy as NgDictionary)).to.have.length(2 + 2 * 25);
  });

  it('says once for each call what it was asked for and does not do', async () => {
    const asked = {
      ...{ 'sip-code': 183, 'sip-message-type': 'reply' },
      flags: ['to-tag', 'discard-recording', 'replace-session-connection'],
    };
    const offer = { command: 'offer', 'call-id': 'asked', 'from-tag': 'a', sdp: sdp(1), ...asked };
    for (let i = 0; i < 3; i++) expect(await ng.ask(offer)).to.include({ result: 'ok' });
    const hangUp = { command: 'delete', 'call-id': 'asked', 'delete-delay': 0, metadata: 'm' };
    expect(await ng.ask(hangUp)).to.include({ result: 'ok' });
    await daemon.process.untilLogged(/\[asked\].*Replying to 'delete'/);
    const lines = daemon.process
      .log()
      .split('\n')
      .filter((line) => line.includes('[asked]') && /Not supported|Nothing to be done/.test(line))
      .map((line) => line.replace(/^.*\[control\] /, ''));
    expect(lines).to.deep.equal([
      ...['Not supported by this version, without effect: discard-recording'],
      'Nothing to be done for: to-tag, replace=session-connection, sip-code, sip-message-type',
      "Not supported by this version, without effect: metadata in 'delete'",
    ]);
  });

  it('logs every line of a call with the flag debug, until it ends', async () => {
    const offer = { command: 'offer', 'call-id': 'debugged', 'from-tag': 'a', sdp: sdp(1) };
    const dumps = (): number =>
      daemon.process.log().split('[debugged]: [control] Dump for').length - 1;
    await ng.ask({ ...offer, flags: ['debug'] });
    expect(dumps()).to.equal(0);
    await ng.ask(offer);
    await until(() => dumps() === 1, 'the dump of an offer');
    await ng.ask({ command: 'delete', 'call-id': 'debugged', 'delete-delay': 0 });
    await until(() => dumps() === 2, 'the dump of the delete');
    await ng.ask(offer);
    await end('debugged');
    await daemon.process.untilLogged(
      /\[debugged\].*Replying to 'delete'[^]*\[debugged\].*Replying to 'delete'/,
    );
    expect(dumps()).to.equal(2);
  });

  it('does not answer under a cookie that leaves no room, and goes on', async () => {
    const socket = createSocket('udp4');
    const message = Buffer.from(`${'k'.repeat(65_400)} d7:command4:pinge`);
    await new Promise((resolve) => socket.send(message, daemon.controlPort, '127.0.0.1', resolve));
    socket.close();
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
    expect(daemon.process.log()).to.not.include('EMSGSIZE');
  });
});
