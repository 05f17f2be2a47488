/**
 * Strangers who send to the ports of a call, to be heard in it or to get its media. How much they get is
 * counted: where two send at the same time the rules decide (latch.h), not whose packet is read first.
 */
import { expect } from 'chai';
import type { NgDictionary } from '../support/bencode.js';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint, senderReport, type Destination } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';
import { pause } from '../support/wait.js';

/** Nothing comes from there: the phone is behind NAT. */
const inside = '10.1.2.3';

interface Options {
  readonly flags: readonly string[];
  /** The caller's address in its SDP. Default its own. */
  readonly address?: string;
}

/** A caller, a callee and a stranger. */
class Scene {
  readonly targets: Record<'caller' | 'callee', Destination> = {
    caller: { address: '127.0.0.1', port: 0 },
    callee: { address: '127.0.0.1', port: 0 },
  };
  private constructor(
    readonly client: NgClient,
    readonly callId: string,
    readonly options: Options,
    readonly caller: RtpEndpoint,
    readonly callee: RtpEndpoint,
    readonly stranger: RtpEndpoint,
  ) {}

  static async open(client: NgClient, callId: string, options: Options): Promise<Scene> {
    const phones = [await RtpEndpoint.open(), await RtpEndpoint.open()] as const;
    return new Scene(client, callId, options, ...phones, await RtpEndpoint.open());
  }

  get all(): readonly RtpEndpoint[] {
    return [this.caller, this.callee, this.stranger];
  }

  async #say(command: string, tags: NgDictionary, port: number, address: string): Promise<number> {
    const sdp = buildSdp({ origin: address, address, media: [{ port }] });
    const { flags } = this.options;
    const keys = { command, 'call-id': this.callId, ...tags, sdp, flags: [...flags] };
    const reply = await this.client.request(keys);
    expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
    return mediaTarget(String(reply['sdp'])).port;
  }

  async offer(tags: NgDictionary = {}): Promise<void> {
    const { address = '127.0.0.1' } = this.options;
    const port = await this.#say('offer', { 'from-tag': 'a', ...tags }, this.caller.port, address);
    this.targets.callee = { address: '127.0.0.1', port };
  }

  async answer(): Promise<void> {
    const tags = { 'from-tag': 'a', 'to-tag': 'x' };
    const port = await this.#say('answer', tags, this.callee.port, '127.0.0.1');
    this.targets.caller = { address: '127.0.0.1', port };
  }

  async settled(): Promise<void> {
    for (const phone of this.all) await phone.settled();
  }

  clear(): void {
    for (const phone of this.all) phone.clear();
  }

  close(): void {
    for (const phone of this.all) phone.close();
  }
}

describe('strangers', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let client: NgClient;
  let scenes: Scene[];
  let next = 0;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    client = daemon.client();
  });
  after(async () => {
    client?.close();
    await daemon?.stop();
  });
  beforeEach(() => {
    scenes = [];
  });
  afterEach(() => {
    for (const scene of scenes) scene.close();
  });

  async function scene(flags: readonly string[], address?: string): Promise<Scene> {
    const options = address === undefined ? { flags } : { flags, address };
    const opened = await Scene.open(client, `strangers${(next += 1)}`, options);
    scenes.push(opened);
    return opened;
  }

  const packetMs = 20;
  const rounds = 60;

  /** All three send at the same time, in each round in the same order; the stranger more often. */
  async function race({ caller, callee, stranger, targets }: Scene, order: string): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      for (const who of order) {
        if (who === 'c') caller.sendNext(targets.caller);
        if (who === 's') stranger.sendNext(targets.caller);
        if (who === 'x') callee.sendNext(targets.callee);
      }
      for (let part = 0; part < 4; part += 1) {
        await pause(packetMs / 4);
        stranger.sendNext(targets.caller);
      }
    }
  }

  async function shareOfStranger(flags: readonly string[], order: string): Promise<number> {
    const call = await scene(flags, inside);
    await call.offer();
    await call.answer();
    await call.caller.sendRtp(call.targets.caller, 3);
    await call.callee.sendRtp(call.targets.callee, 3);
    await call.settled();
    call.clear();
    await race(call, order);
    await call.settled();
    expect(call.caller.received + call.stranger.received).to.equal(rounds);
    return call.stranger.received / rounds;
  }

  for (const [name, flags] of [
    ['while a caller behind NAT is learned, delayed', ['endpoint-learning-delayed']],
    ['while a caller behind NAT is learned, heuristic', ['endpoint-learning-heuristic']],
    ['with media-handover', ['endpoint-learning-immediate', 'media-handover']],
  ] as const) {
    it(`do not get the caller's media ${name}, whoever sends first`, async () => {
      const orders = ['csx', 'scx', 'cxs', 'sxc'];
      const shares = await Promise.all(orders.map((order) => shareOfStranger(flags, order)));
      for (const share of shares) expect(share).to.be.at.most(0.1);
    });
  }

  it('are followed once the caller is silent, and lose the stream when it is back', async () => {
    const call = await scene(['endpoint-learning-delayed'], inside);
    await call.offer();
    await call.answer();
    const hears = async (): Promise<readonly number[]> => {
      call.clear();
      await call.callee.sendRtp(call.targets.callee, 3);
      await call.settled();
      return [call.caller.received, call.stranger.received];
    };
    await call.caller.sendRtp(call.targets.caller, 3);
    await pause(60);
    await call.stranger.sendRtp(call.targets.caller, 3);
    expect(await hears()).to.deep.equal([0, 3]);
    await call.caller.sendRtp(call.targets.caller, 1);
    expect(await hears()).to.deep.equal([3, 0]);
  });

  it('cannot take the stream when signalling starts the learning again', async () => {
    const call = await scene(['endpoint-learning-immediate'], inside);
    await call.offer();
    await call.answer();
    await call.caller.sendRtp(call.targets.caller, 3);
    await call.settled();
    await call.offer({ 'to-tag': 'x' });
    call.clear();
    await race(call, 'scx');
    await call.settled();
    expect(call.stranger.received / rounds).to.be.at.most(0.1);
  });

  const odd: Readonly<Record<string, Buffer>> = {
    RTCP: senderReport(7, 1, 1),
    STUN: Buffer.concat([Buffer.from('000100002112a442', 'hex'), Buffer.alloc(12)]),
    DTLS: Buffer.concat([Buffer.from('16feff', 'hex'), Buffer.alloc(40)]),
    'something else': Buffer.alloc(30, 0x41),
    'half a header': Buffer.from('8000', 'hex'),
  };
  for (const learning of ['immediate', 'delayed', 'heuristic']) {
    it(`teach nothing by what is no RTP, ${learning}`, async () => {
      for (const [name, bytes] of Object.entries(odd)) {
        const call = await scene([`endpoint-learning-${learning}`]);
        await call.offer();
        await call.answer();
        const { address, port } = call.targets.caller;
        for (let turn = 0; turn < 2; turn += 1) {
          call.stranger.rtpSocket.send(bytes, port, address);
          await pause(60);
          await call.callee.sendRtp(call.targets.callee, 3);
          await call.caller.sendRtp(call.targets.caller, 1);
        }
        await call.settled();
        expect([call.caller.received, call.stranger.received], name).to.deep.equal([6, 0]);
      }
    });
  }

  it('are neither heard nor followed with strict-source before somebody has answered', async () => {
    for (const strict of [true, false]) {
      const call = await scene(strict ? ['strict-source'] : []);
      await call.offer();
      const reply = await client.request({ command: 'query', 'call-id': call.callId });
      const tags = reply['tags'] as Record<string, { medias: { streams: LocalPort[] }[] }>;
      const port = tags['a']?.medias[0]?.streams[0]?.['local port'] ?? 0;
      call.targets.caller = { address: '127.0.0.1', port };
      await call.callee.sendRtp(call.targets.callee, 3);
      await call.stranger.sendRtp(call.targets.caller, 3);
      await call.callee.sendRtp(call.targets.callee, 3);
      await call.settled();
      const heard = [call.caller.received, call.stranger.received, call.callee.received];
      expect(heard, String(strict)).to.deep.equal(strict ? [6, 0, 0] : [3, 3, 3]);
      await call.caller.sendRtp(call.targets.caller, 3);
      await call.settled();
      expect(call.callee.received).to.equal(strict ? 3 : 6);
    }
  });

  it('are not heard with strict-source while a better source is', async () => {
    const call = await scene(['endpoint-learning-heuristic', 'strict-source']);
    await call.offer();
    await call.answer();
    await call.stranger.sendRtp(call.targets.caller, 2);
    await call.caller.sendRtp(call.targets.caller, 2);
    await call.stranger.sendRtp(call.targets.caller, 2);
    await call.settled();
    expect(call.callee.sequenceNumbers()).to.deep.equal([1, 2, 1, 2]);
  });
});

interface LocalPort {
  readonly 'local port': number;
}
