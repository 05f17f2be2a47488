/** Publishing and subscribing with a real daemon: packets counted at each subscriber, through a kill and a restore. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { freeUdpRange } from '../support/free-ports.js';
import type { NgClient } from '../support/ng-client.js';
import type { NgDictionary } from '../support/bencode.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

const here = '127.0.0.1';

const bodyOf = (port: number, formats: string, ...lines: readonly string[]): string =>
  buildSdp({ address: here, origin: here, media: [{ port, formats, lines }] });

class Stage {
  readonly phones: RtpEndpoint[] = [];
  constructor(
    readonly ng: NgClient,
    readonly callId: string,
  ) {}

  async phone(): Promise<RtpEndpoint> {
    const phone = await RtpEndpoint.open();
    this.phones.push(phone);
    return phone;
  }

  ask(command: string, keys: NgDictionary = {}): Promise<NgDictionary> {
    return this.ng.ask({ command, 'call-id': this.callId, ...keys });
  }

  async ok(command: string, keys: NgDictionary = {}): Promise<NgDictionary> {
    const reply = await this.ask(command, keys);
    expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
    return reply;
  }

  /** Publishes; returns where the publisher sends to. */
  async publish(publisher: RtpEndpoint, tag = 'p'): Promise<{ address: string; port: number }> {
    const sdp = bodyOf(publisher.port, '0', 'a=sendonly');
    const reply = await this.ok('publish', { 'from-tag': tag, sdp });
    return mediaTarget(String(reply['sdp']));
  }

  async subscribe(phone: RtpEndpoint, tag: string, keys: NgDictionary = {}): Promise<void> {
    const asked = { 'from-tag': 'p', ...keys, 'to-tag': tag };
    await this.ok('subscribe request', asked);
    await this.ok('subscribe answer', {
      'to-tag': tag,
      sdp: bodyOf(phone.port, '0', 'a=recvonly'),
    });
  }

  close(): void {
    for (const phone of this.phones) phone.close();
  }
}

const heard = (phones: readonly RtpEndpoint[]): readonly number[] =>
  phones.map(({ received }) => received);

describe('one publisher and many subscribers', () => {
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;
  let stage: Stage;
  let call = 0;
  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
  });
  beforeEach(() => {
    if (ng === undefined) throw new Error('not started');
    stage = new Stage(ng, `fan-out ${++call}`);
  });
  afterEach(() => stage.close());
  after(async () => {
    ng?.close();
    await daemon?.stop();
  });

  it('each gets every packet once, also RTCP, and those who have unsubscribed or left get none', async () => {
    const publisher = await stage.phone();
    const target = await stage.publish(publisher);
    const subscribers: RtpEndpoint[] = [];
    for (let at = 0; at < 10; at++) {
      const phone = await stage.phone();
      subscribers.push(phone);
      await stage.subscribe(phone, `s${at}`);
    }
    await publisher.sendRtp(target, 20);
    await until(
      () => subscribers.every(({ received }) => received === 20),
      'all packets, 10 times',
    );
    publisher.sendReport({ ...target, port: target.port + 1 });
    await until(() => subscribers.every(({ rtcp }) => rtcp.length === 1), 'the report, 10 times');
    for (const phone of subscribers) {
      expect(phone.sequenceNumbers()).to.deep.equal(Array.from({ length: 20 }, (_, i) => i + 1));
    }
    await stage.ok('unsubscribe', { 'to-tag': 's3' });
    await stage.ok('delete', { 'from-tag': 's4', 'delete-delay': 0 });
    await publisher.sendRtp(target, 5);
    const others = subscribers.filter((_, at) => at !== 3 && at !== 4);
    await until(() => others.every(({ received }) => received === 25), 'the others go on');
    await Promise.all(subscribers.map((phone) => phone.settled()));
    expect(
      heard([subscribers[3], subscribers[4]].filter((each) => each !== undefined)),
    ).to.deep.equal([20, 20]);
    expect(publisher.received, 'nothing comes back').to.equal(0);
  });

  it('tags are made up where none are given, and returned', async () => {
    if (ng === undefined) throw new Error('not started');
    const publisher = await stage.phone();
    const sdp = bodyOf(publisher.port, '0', 'a=sendonly');
    const reply = await ng.ask({ command: 'publish', sdp });
    expect(reply['result']).to.equal('ok');
    expect(reply['call-id']).to.match(/^[0-9a-f]{64}$/);
    expect(reply['from-tag']).to.match(/^[0-9a-f]{64}$/);
    const keys = {
      'call-id': String(reply['call-id']),
      'from-tag': String(reply['from-tag']),
    };
    const offered = await ng.ask({ command: 'subscribe request', ...keys });
    expect(offered).to.deep.include({
      'from-tag': reply['from-tag'],
      'from-tags': [reply['from-tag']],
      result: 'ok',
    });
    expect(offered['to-tag']).to.match(/^[0-9a-f]{64}$/);
    await ng.ask({ command: 'delete', ...keys, 'delete-delay': 0 });
  });

  it('parties of a call are heard by a third one, and hear each other as before', async () => {
    const [a, x, s] = [await stage.phone(), await stage.phone(), await stage.phone()];
    const offered = await stage.ok('offer', { 'from-tag': 'a', sdp: bodyOf(a.port, '0') });
    const tags = { 'from-tag': 'a', 'to-tag': 'x' };
    const answered = await stage.ok('answer', { ...tags, sdp: bodyOf(x.port, '0') });
    const reply = await stage.ok('subscribe request', { flags: ['all', 'siprec'], 'to-tag': 's' });
    expect(reply['from-tags']).to.have.members(['a', 'x']);
    expect(reply['tag-medias']).to.have.length(2);
    const sections = ['0', '1'].map(() => ({ port: s.port, formats: '0', lines: ['a=recvonly'] }));
    const sdp = buildSdp({ address: here, origin: here, media: sections });
    await stage.ok('subscribe answer', { 'to-tag': 's', sdp });
    await a.sendRtp(mediaTarget(String(answered['sdp'])), 10);
    await x.sendRtp(mediaTarget(String(offered['sdp'])), 10);
    await until(() => a.received === 10 && x.received === 10, 'each other');
    await until(() => s.received === 20, 'both');
    expect(new Set(s.packets().map(({ ssrc }) => ssrc))).to.deep.equal(new Set([a.ssrc, x.ssrc]));
    const query = await stage.ok('query');
    const { s: shown } = query['tags'] as Record<string, NgDictionary>;
    expect(shown?.['subscriptions']).to.have.deep.members([
      { tag: 'a', type: 'pub/sub' },
      { tag: 'x', type: 'pub/sub' },
    ]);
  });

  it('parties that were created are connected, both ways and one way', async () => {
    const [a, b, c] = [await stage.phone(), await stage.phone(), await stage.phone()];
    const targets = new Map<RtpEndpoint, { address: string; port: number }>();
    for (const [tag, phone] of [
      ['a', a],
      ['b', b],
      ['c', c],
    ] as const) {
      const created = await stage.ok('create', { 'from-tag': tag, codec: { offer: ['PCMU'] } });
      expect(created).to.include({ 'call-id': stage.callId, 'from-tag': tag });
      expect(created['sdp']).to.match(/m=audio \d+ RTP\/AVP 0\r\n/);
      targets.set(phone, mediaTarget(String(created['sdp'])));
      await stage.ok('create answer', { 'from-tag': tag, sdp: bodyOf(phone.port, '0') });
    }
    const say = async (phone: RtpEndpoint): Promise<readonly number[]> => {
      const before = [a, b, c].map(({ received }) => received);
      const target = targets.get(phone);
      if (target !== undefined) await phone.sendRtp(target, 5);
      await Promise.all([a, b, c].map((each) => each.settled()));
      return [a, b, c].map(({ received }, at) => received - (before[at] ?? 0));
    };
    expect(await say(a)).to.deep.equal([0, 0, 0]);
    await stage.ok('connect', { 'from-tag': 'a', 'to-tag': 'b' });
    expect([await say(a), await say(b)]).to.deep.equal([
      [0, 5, 0],
      [5, 0, 0],
    ]);
    await stage.ok('connect', { 'from-tag': 'a', 'to-tag': 'c', flags: ['directional'] });
    expect([await say(a), await say(c)]).to.deep.equal([
      [0, 5, 5],
      [0, 0, 0],
    ]);
    const tags = [{ from: 'b', to: ['c'] }];
    await stage.ok('mesh', { calls: [stage.callId], tags });
    expect(await say(b)).to.deep.equal([5, 0, 5]);
    const wrong = await stage.ask('connect', { 'from-tag': 'a', 'to-tag': 'no' });
    expect(wrong['error-reason']).to.equal('To-tag not found');
    const other = await stage.ask('connect', {
      'from-tag': 'a',
      'to-tag': 'b',
      'to-call-id': 'no',
    });
    expect(other['error-reason']).to.equal('Unknown call-ID');
  });

  for (const [echo, fromA, fromX] of [
    ['blackhole', [0, 0], [0, 0]],
    ['forward', [0, 0], [0, 5]],
    ['backwards', [5, 0], [0, 0]],
    ['both', [5, 0], [0, 5]],
  ] as const) {
    it(`media-echo=${echo}: who hears himself, and whom nobody hears`, async () => {
      const [a, x] = [await stage.phone(), await stage.phone()];
      const offer = { 'from-tag': 'a', 'media-echo': echo, sdp: bodyOf(a.port, '0') };
      const offered = await stage.ok('offer', offer);
      const tags = { 'from-tag': 'a', 'to-tag': 'x' };
      const answered = await stage.ok('answer', { ...tags, sdp: bodyOf(x.port, '0') });
      await a.sendRtp(mediaTarget(String(answered['sdp'])), 5);
      await Promise.all([a.settled(), x.settled()]);
      expect([a.received, x.received]).to.deep.equal(fromA);
      a.clear();
      x.clear();
      await x.sendRtp(mediaTarget(String(offered['sdp'])), 5);
      await Promise.all([a.settled(), x.settled()]);
      expect([a.received, x.received]).to.deep.equal(fromX);
      for (const command of ['start forwarding', 'stop forwarding']) await stage.ok(command);
    });
  }

  it('wrong tags and calls are told in clear errors', async () => {
    const publisher = await stage.phone();
    await stage.publish(publisher);
    const sdp = bodyOf(publisher.port, '0');
    const rows: readonly (readonly [string, NgDictionary, string])[] = [
      ['subscribe request', { 'call-id': 'no' }, 'Unknown call-ID(s)'],
      ['subscribe request', { 'from-tag': 'no' }, 'From-tag given, but no such tag exists'],
      ['subscribe request', {}, 'No medias found (no monologues matched)'],
      ['subscribe request', { label: 'no' }, 'No monologue matching the given label'],
      ['subscribe answer', { 'call-id': 'no' }, 'Unknown call-ID'],
      ['subscribe answer', {}, 'No to-tag in message'],
      ['subscribe answer', { 'to-tag': 'no' }, 'No SDP body in message'],
      ['subscribe answer', { 'to-tag': 'no', sdp }, 'To-tag not found'],
      ['unsubscribe', {}, 'No to-tag in message'],
      ['publish', {}, 'No SDP body in message'],
      ['publish', { sdp: '' }, 'No SDP body in message'],
      ['publish', { sdp: 'nonsense' }, 'Failed to parse SDP'],
    ];
    for (const [command, keys, reason] of rows) {
      const reply = await stage.ask(command, keys);
      expect(reply, `${command} ${JSON.stringify(keys)}`).to.deep.equal({
        result: 'error',
        'error-reason': reason,
      });
    }
  });
});

describe('a fan-out and the end of its process', () => {
  let redis: RedisProcess | undefined;
  before(async () => {
    redis = await RedisProcess.start();
  });
  after(() => redis?.stop());

  const databases = { JSON: 1, 'JSON-10.5': 2, bencode: 3 } as const;
  for (const format of ['JSON', 'JSON-10.5', 'bencode'] as const) {
    it(`goes on in the next one, restored from ${format}`, async () => {
      const portRange = freeUdpRange(40);
      const extra = [`--redis=${redis?.url(databases[format]) ?? ''}`, `--redis-format=${format}`];
      let daemon = await MediaDaemon.start('rtprelayd', { portRange, extra });
      let ng = daemon.client();
      const stage = new Stage(ng, `forked ${format}`);
      try {
        const publisher = await stage.phone();
        const target = await stage.publish(publisher);
        const subscribers = [await stage.phone(), await stage.phone(), await stage.phone()];
        for (const [at, phone] of subscribers.entries()) await stage.subscribe(phone, `s${at}`);
        await stage.ok('unsubscribe', { 'to-tag': 's2' });
        await publisher.sendRtp(target, 5);
        await until(() => subscribers[1]?.received === 5, 'before the end');
        ng.close();
        await daemon.stop('SIGKILL');
        daemon = await MediaDaemon.start('rtprelayd', { portRange, extra });
        ng = daemon.client();
        await publisher.sendRtp(target, 5);
        await until(
          () => subscribers[0]?.received === 10 && subscribers[1]?.received === 10,
          'after the restore',
        );
        expect(subscribers[2]?.received).to.equal(0);
        const again = new Stage(ng, stage.callId);
        const late = await stage.phone();
        await again.subscribe(late, 's3');
        await publisher.sendRtp(target, 5);
        await until(() => late.received === 5, 'a new subscriber of the restored call');
        await again.ok('delete', { 'delete-delay': 0 });
      } finally {
        stage.close();
        ng.close();
        await daemon.stop();
      }
    });
  }

  it('goes on at a warm standby with another address, packet by packet, while its node is dead', async () => {
    const connection = redis?.connect();
    await connection?.config('SET', 'notify-keyspace-events', 'KA');
    connection?.disconnect();
    const portRange = freeUdpRange(30);
    const owner = await MediaDaemon.start('rtprelayd', {
      ...{ portRange, extra: [`--redis=${redis?.url(4) ?? ''}`] },
    });
    const standby = await MediaDaemon.start('rtprelayd', {
      ...{ portRange, interfaces: ['127.0.0.2'] },
      extra: [
        ...[`--redis=${redis?.url(5) ?? ''}`, '--subscribe-keyspace=4', '--active-switchover'],
      ],
    });
    const [ng, later] = [owner.client(), standby.client()];
    const stage = new Stage(ng, 'forked for a standby');
    try {
      const publisher = await stage.phone();
      const target = await stage.publish(publisher);
      const subscribers: RtpEndpoint[] = [];
      for (let at = 0; at < 8; at += 1) {
        const phone = await stage.phone();
        subscribers.push(phone);
        await stage.subscribe(phone, `s${at}`);
      }
      await publisher.sendRtp(target, 10);
      await until(() => subscribers.every(({ received }) => received === 10), 'of the owner');
      const warm = async (): Promise<boolean> => {
        const query = await later.ask({ command: 'query', 'call-id': stage.callId });
        return Object.keys(query['tags'] ?? {}).length === 9;
      };
      while (!(await warm())) await pause(20);
      await owner.stop('SIGKILL');
      await publisher.sendRtp({ ...target, address: '127.0.0.2' }, 50);
      await until(() => subscribers.every(({ received }) => received === 60), 'of the standby');
      for (const phone of subscribers) {
        expect(phone.sequenceNumbers()).to.deep.equal(Array.from({ length: 60 }, (_, i) => i + 1));
      }
      const owned = async (): Promise<boolean> => {
        const { statistics } = await later.ask({ command: 'statistics' });
        return (
          (statistics as Record<string, NgDictionary>)['currentstatistics']?.['sessionsown'] === 1
        );
      };
      while (!(await owned())) await pause(50);
      await new Stage(later, stage.callId).ok('delete', { 'delete-delay': 0 });
    } finally {
      stage.close();
      ng.close();
      later.close();
      await owner.stop();
      await standby.stop();
    }
  });
});
