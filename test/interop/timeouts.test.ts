/** Which of the timeouts a silent call has, beside rtpengine 10.5: each kind of call ends in the same round. */
import { expect } from 'chai';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { buildSdp, type MediaSection } from '../support/sdp.js';
import { pause } from '../support/wait.js';

/** `--timeout`, `--silent-timeout`, `--offer-timeout`: so far apart that a late sweep changes nothing. */
const limits = { timeout: 3, silent: 9, offer: 15 };
type Ends = keyof typeof limits;

const audio = (port: number, ...lines: readonly string[]): MediaSection => ({
  ...{ port, formats: '8', lines },
});
const video = (port: number): MediaSection => ({
  ...{ type: 'video', port, formats: '96', lines: ['a=rtpmap:96 VP8/90000'] },
});
const body = (...media: readonly MediaSection[]): string =>
  buildSdp({ origin: '127.0.0.1', address: '127.0.0.1', media });

interface Step {
  readonly command: 'offer' | 'answer';
  readonly sdp: string;
  readonly keys?: Readonly<Record<string, string>>;
}
const offer = (sdp: string, keys: Step['keys'] = {}): Step => ({ command: 'offer', sdp, keys });
const answer = (sdp: string, keys: Step['keys'] = {}): Step => ({ command: 'answer', sdp, keys });
const again = { 'to-tag': 't' };

/** Nobody sends a packet. */
const calls: Readonly<Record<string, { readonly ends: Ends; readonly steps: readonly Step[] }>> = {
  plain: { ends: 'timeout', steps: [offer(body(audio(4000))), answer(body(audio(5000)))] },
  held: {
    ends: 'silent',
    steps: [offer(body(audio(4000, 'a=inactive'))), answer(body(audio(5000, 'a=inactive')))],
  },
  'held by one side': {
    ends: 'silent',
    steps: [offer(body(audio(4000, 'a=sendonly'))), answer(body(audio(5000, 'a=recvonly')))],
  },
  'refused by the answer': {
    ends: 'silent',
    steps: [offer(body(audio(4000))), answer(body(audio(0)))],
  },
  'closed by a re-INVITE': {
    ends: 'silent',
    steps: [
      ...[offer(body(audio(4000))), answer(body(audio(5000)))],
      ...[offer(body(audio(0)), again), answer(body(audio(0)))],
    ],
  },
  'closed by a re-INVITE without its answer': {
    ends: 'silent',
    steps: [...[offer(body(audio(4000))), answer(body(audio(5000)))], offer(body(audio(0)), again)],
  },
  'closed and opened again': {
    ends: 'timeout',
    steps: [
      ...[offer(body(audio(4000))), answer(body(audio(5000)))],
      ...[offer(body(audio(0)), again), answer(body(audio(0)))],
      ...[offer(body(audio(4000)), again), answer(body(audio(5000)))],
    ],
  },
  'audio closed while video is open': {
    ends: 'silent',
    steps: [
      ...[offer(body(audio(4000), video(4100))), answer(body(audio(5000), video(5100)))],
      ...[offer(body(audio(0), video(4100)), again), answer(body(audio(0), video(5100)))],
    ],
  },
  'video refused from the beginning': {
    ends: 'silent',
    steps: [offer(body(audio(4000), video(4100))), answer(body(audio(5000), video(0)))],
  },
  'ringing for audio': { ends: 'offer', steps: [offer(body(audio(4000)))] },
  'ringing for audio and video': { ends: 'offer', steps: [offer(body(audio(4000), video(4100)))] },
  'video offered later, not answered': {
    ends: 'offer',
    steps: [
      ...[offer(body(audio(4000))), answer(body(audio(5000)))],
      offer(body(audio(4000), video(4100)), again),
    ],
  },
  'one of two branches answered': {
    ends: 'offer',
    steps: [
      ...[offer(body(audio(4000)), { 'via-branch': 'b1' })],
      ...[offer(body(audio(4000)), { 'via-branch': 'b2' })],
      answer(body(audio(5000)), { 'via-branch': 'b1' }),
    ],
  },
};

const portOf = (reply: Readonly<Record<string, unknown>>): string =>
  /m=audio (\d+)/.exec(String(reply['sdp']))?.[1] ?? '';

async function make(ng: NgClient, name: string, steps: readonly Step[]): Promise<string[]> {
  const ports: string[] = [];
  for (const { command, sdp, keys } of steps) {
    const tags = { 'from-tag': 'f', ...(command === 'answer' ? { 'to-tag': 't' } : {}) };
    ports.push(portOf(await ng.ask({ command, 'call-id': name, ...tags, ...keys, sdp })));
  }
  return ports;
}

/** Names of calls in the order of their end; those that are gone at one look belong together. */
async function roundsOf(kind: DaemonKind): Promise<ReadonlyMap<string, Ends>> {
  const daemon = await MediaDaemon.start(kind, {
    extra: [
      ...[`--timeout=${limits.timeout}`, `--silent-timeout=${limits.silent}`],
      `--offer-timeout=${limits.offer}`,
    ],
  });
  const ng = daemon.client();
  const ended = new Map<string, Ends>();
  try {
    for (const [name, { steps }] of Object.entries(calls)) await make(ng, name, steps);
    const from = performance.now();
    while (ended.size < Object.keys(calls).length && performance.now() - from < 40_000) {
      const list = (await ng.ask({ command: 'list' }))['calls'];
      const seconds = (performance.now() - from) / 1000;
      // The nearest below: sweeps are late, never early.
      const round =
        seconds < limits.silent - 3 ? 'timeout' : seconds < limits.offer - 3 ? 'silent' : 'offer';
      for (const name of Object.keys(calls)) {
        if (!(list as readonly unknown[]).includes(name) && !ended.has(name))
          ended.set(name, round);
      }
      await pause(100);
    }
  } finally {
    ng.close();
    await daemon.stop();
  }
  return ended;
}

describe('a silent call', function () {
  this.timeout(60_000);
  const expected = new Map(Object.entries(calls).map(([name, { ends }]) => [name, ends]));

  it('ends by the timeout that rtpengine has for it', async () => {
    const kinds: readonly DaemonKind[] = rtpengineInstalled
      ? ['rtprelayd', 'rtpengine']
      : ['rtprelayd'];
    const found = await Promise.all(kinds.map(roundsOf));
    found.forEach((rounds, at) => {
      for (const [name, ends] of expected)
        expect(rounds.get(name), `${kinds[at]}: ${name}`).to.equal(ends);
    });
  });

  for (const kind of ['rtprelayd', 'rtpengine'] as const) {
    it(`that was closed finds its ports again, also after a restart (${kind})`, async function () {
      if (kind === 'rtpengine' && !rtpengineInstalled) this.skip();
      const redis = await RedisProcess.start();
      const extra = [`--redis=${redis.url(1)}`];
      let daemon = await MediaDaemon.start(kind, { extra });
      let ng = daemon.client();
      try {
        const close = [offer(body(audio(0)), again), answer(body(audio(0)))];
        const open = [offer(body(audio(4000)), again), answer(body(audio(5000)))];
        const before = await make(ng, 'call', [...open, ...close, ...open, ...close]);
        expect(before.slice(4, 6)).to.eql(before.slice(0, 2));
        ng.close();
        const { controlPort, ports } = daemon;
        await daemon.stop('SIGKILL');
        daemon = await MediaDaemon.start(kind, { extra, controlPort, portRange: ports });
        ng = daemon.client();
        expect(await make(ng, 'call', open)).to.eql(before.slice(0, 2));
      } finally {
        ng.close();
        await daemon.stop();
        await redis.stop();
      }
    });
  }
});
