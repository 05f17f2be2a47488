/** Participants of two calls are joined: the calls become one, which both call-ids name from then on. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import type { NgClient, Reply } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint, type Destination } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

type Keys = Readonly<Record<string, unknown>>;

const bodyOf = ({ port }: RtpEndpoint): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), formats: '0', lines: [] }] });

describe('calls that are merged', function () {
  this.timeout(30_000);
  const phones: RtpEndpoint[] = [];
  const portRange = freeUdpRange(60);
  let redis: RedisProcess | undefined;
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;

  before(async () => {
    redis = await RedisProcess.start();
  });
  after(() => redis?.stop());

  const start = async (...more: readonly string[]): Promise<void> => {
    const extra = [`--redis=${redis?.url(1) ?? ''}`, ...more];
    daemon = await MediaDaemon.start('rtprelayd', { portRange, extra });
    ng = daemon.client();
  };
  const stop = async (signal?: NodeJS.Signals): Promise<void> => {
    ng?.close();
    await daemon?.stop(signal);
  };
  beforeEach(() => start());
  afterEach(async () => {
    for (const each of phones.splice(0)) each.close();
    await stop();
  });

  const ask = async (keys: Keys): Promise<Reply> => {
    if (ng === undefined) throw new Error('not started');
    return ng.request(keys as Parameters<NgClient['ask']>[0]);
  };
  const signal = async (keys: Keys): Promise<string> => {
    const reply = await ask(keys);
    expect(reply, JSON.stringify(reply)).to.have.property('result', 'ok');
    return String(reply['sdp']);
  };
  const phone = async (): Promise<RtpEndpoint> => {
    const opened = await RtpEndpoint.open();
    phones.push(opened);
    return opened;
  };
  const answer = (callId: string, from: string, to: string, sdp: string): Promise<string> =>
    signal({ command: 'answer', 'call-id': callId, 'from-tag': from, 'to-tag': to, sdp });

  /** a and x in `first`; p in `second` by SRTP as b, with y. What a and p send to. */
  async function calls(
    a: RtpEndpoint,
    x: RtpEndpoint,
    p: RtpEndpoint,
    y: RtpEndpoint,
  ): Promise<readonly [Destination, Destination]> {
    await signal({ command: 'offer', 'call-id': 'first', 'from-tag': 'a', sdp: bodyOf(a) });
    const toA = mediaTarget(await answer('first', 'a', 'x', bodyOf(x)));
    const secure = { 'transport-protocol': 'RTP/SAVP', DTLS: 'off' };
    const chained = { 'call-id': 'chain', 'from-tag': 'p', sdp: bodyOf(p) };
    const sdp = await signal({ command: 'offer', ...chained, ...secure });
    const plain = { 'transport-protocol': 'RTP/AVP' };
    await signal({ command: 'offer', 'call-id': 'second', 'from-tag': 'b', ...plain, sdp });
    const answered = await answer('second', 'b', 'y', bodyOf(y));
    return [toA, mediaTarget(await answer('chain', 'p', 'q', answered))];
  }

  const join = { command: 'connect', 'call-id': 'first', 'from-tag': 'a' };

  it('let their participants hear each other, over SRTP too, and end as one', async () => {
    const [a, x, p, y] = [await phone(), await phone(), await phone(), await phone()];
    const [toA, toP] = await calls(a, x, p, y);
    await a.sendRtp(toA, 5);
    await p.sendRtp(toP, 5);
    await until(() => x.received === 5 && y.received === 5, 'each call by itself');
    await signal({ ...join, 'to-call-id': 'second', 'to-tag': 'b' });
    const sizes = async (): Promise<void> => {
      await a.sendRtp(toA, 5);
      await p.sendRtp(toP, 5);
    };
    await sizes();
    await until(() => p.received === 5 && a.received === 5, 'a and p');
    for (const { payload, sequenceNumber } of a.packets()) {
      expect(payload).to.deep.equal(Buffer.alloc(160, sequenceNumber & 0xff));
    }
    expect([x.received, y.received]).to.deep.equal([5, 5]);
    for (const callId of ['first', 'second']) {
      const query = await ask({ command: 'query', 'call-id': callId });
      expect(Object.keys(query['tags'] as object)).to.deep.equal(['a', 'x', 'b', 'y']);
      expect(query['totals']).to.deep.include({
        RTP: { packets: 20, bytes: 10 * 172 + 10 * 188, errors: 0 },
      });
    }
    expect((await ask({ command: 'list' }))['calls']).to.have.members(['first', 'chain']);

    await stop('SIGKILL');
    await start();
    await sizes();
    await until(() => p.received === 10 && a.received === 10, 'after the restore');
    await signal({ command: 'delete', 'call-id': 'second', 'delete-delay': 0 });
    const gone = await ask({ command: 'query', 'call-id': 'first' });
    expect(gone['error-reason']).to.equal('Unknown call-id');
    await signal({ command: 'delete', 'call-id': 'chain', 'delete-delay': 0 });
  });

  it('are merged while another process stands by with their ports, and go on in it', async () => {
    await stop();
    await start('--pair=yes');
    const [a, x, p, y] = [await phone(), await phone(), await phone(), await phone()];
    const [toA, toP] = await calls(a, x, p, y);
    const { process: running } = daemon ?? expect.fail('not started');
    await running.untilLogged('Standing by for the active process');
    await signal({ ...join, 'to-call-id': 'second', 'to-tag': 'b' });
    await a.sendRtp(toA, 5);
    await p.sendRtp(toP, 5);
    await until(() => p.received === 5 && a.received === 5, 'a and p');
    // In order: killed, its active process would go on without it, and hold the ports.
    await stop();
    await start();
    await a.sendRtp(toA, 5);
    await until(() => p.received === 10, 'after the restore');
    await signal({ command: 'delete', 'call-id': 'first', 'delete-delay': 0 });
    await signal({ command: 'delete', 'call-id': 'chain', 'delete-delay': 0 });
  });

  it('stay apart where a tag is in both, or a call is unknown', async () => {
    const [a, x] = [await phone(), await phone()];
    for (const callId of ['first', 'second']) {
      const keys = { 'call-id': callId, 'from-tag': 'a', sdp: bodyOf(a) };
      await signal({ command: 'offer', ...keys });
    }
    await answer('first', 'a', 'x', bodyOf(x));
    const collided = await ask({ ...join, 'to-call-id': 'second', 'to-tag': 'x' });
    expect(collided['error-reason']).to.equal('Failed to merge two calls into one (tag collision)');
    const meshed = await ask({ command: 'mesh', calls: ['first', 'second'], tags: [] });
    expect(meshed['error-reason']).to.equal('Failed to merge calls (tag collision)');
    const unknown = await ask({ ...join, 'to-call-id': 'no', 'to-tag': 'x' });
    expect(unknown['error-reason']).to.equal('Unknown call-ID');
    expect((await ask({ command: 'list' }))['calls']).to.have.members(['first', 'second']);
    for (const callId of ['first', 'second']) {
      await signal({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    }
  });

  it('are three, merged by a mesh in which each hears each', async () => {
    const three = [await phone(), await phone(), await phone()];
    const targets: Destination[] = [];
    const targetOf = (at: number): Destination => targets[at] ?? { address: '', port: 0 };
    for (const [at, each] of three.entries()) {
      const keys = { 'call-id': `m${at}`, 'from-tag': `t${at}` };
      const created = await signal({ command: 'create', ...keys, codec: { offer: ['PCMU'] } });
      targets.push(mediaTarget(created));
      await signal({ command: 'create answer', ...keys, sdp: bodyOf(each) });
    }
    const tags = [
      { from: 't0', to: ['t1', 't2'] },
      { from: 't1', to: ['t2'] },
    ];
    await signal({ command: 'mesh', calls: ['m0', 'm1', 'm2'], tags, flags: ['bidirectional'] });
    for (const [at, each] of three.entries()) await each.sendRtp(targetOf(at), 5);
    await until(() => three.every(({ received }) => received === 10), 'each hears both others');
    await signal({ command: 'delete', 'call-id': 'm2', 'delete-delay': 0 });
    expect((await ask({ command: 'list' }))['calls']).to.deep.equal([]);
  });
});
