/**
 * What security costs: CPU time of the daemon for a packet of RTP that leaves as SRTP and back, or of SRTP that ends and begins
 * again; for a call with a handshake of DTLS; how many of these there can be, and what media notice of them. rtprelayd with
 * both port modes and rtpengine in turn. See bench/README.md.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { relayed, settleMs } from './all/relay.js';
import { positive, readArguments } from './lib/arguments.js';
import { report } from './lib/report.js';
import { inRig, machine, prepare, withPortModes, type MeasuredName, type Rig } from './lib/rig.js';
import { Study } from './lib/study.js';

const given = readArguments(process.argv.slice(2), {
  daemon: 'both',
  runs: '3',
  seconds: '8',
  calls: '200,500',
  suites: 'AES_CM_128_HMAC_SHA1_80,AEAD_AES_128_GCM',
  ways: 'to-srtp,srtp',
  handshakes: '200',
});
const runs = positive('runs', given.runs);
const seconds = positive('seconds', given.seconds);
const calls = given.calls === 'none' ? [] : given.calls.split(',');
const handshakes = given.handshakes === '0' ? 0 : positive('handshakes', given.handshakes);
const ways = new Set(given.ways.split(','));
for (const way of ways)
  if (way !== 'to-srtp' && way !== 'srtp')
    throw new Error(`--ways: ${way} is neither to-srtp nor srtp`);
const study = new Study(withPortModes(prepare(given.daemon)), runs);

/** Media both ways: packets of calls that are secured as the words say. */
async function packets(
  subject: MeasuredName,
  way: string,
  words: readonly string[],
): Promise<void> {
  for (const each of calls) {
    const count = positive('calls', each);
    await inRig(async (rig) => {
      await rig.startDaemon(subject, ['--num-threads=2']);
      await delay(settleMs);
      const { cpuMicros, lost, sent, latencyMicros, ...rest } = await relayed(
        ...([rig, count, seconds, words] as const),
      );
      const refused = Number((rest as Record<string, unknown>)['refusedSrtp']);
      if (refused > 0) throw new Error(`${subject}: ${refused} packets could not be decrypted`);
      const at = `${way}, ${count * 100} packets/s`;
      study.note(subject, `${at}: CPU per packet, us`, cpuMicros);
      study.note(subject, `${at}: lost, %`, (100 * lost) / sent);
      study.note(subject, `${at}: latency p99, us`, latencyMicros.p99);
    });
  }
}

interface HandshakeReport {
  readonly handshakes: number;
  readonly failed: number;
  readonly perSecond: number;
  readonly handshakeMicros: { readonly p50: number; readonly p99: number };
}

/** Of phones that are not those of `relayed`. */
const shake = async (rig: Rig, rate: number, length: number): Promise<HandshakeReport> =>
  (await rig.load([
    ...['handshakes', '--seconds', String(length), '--rate', String(rate)],
    ...['--port-base', '60000', '--call-prefix', 'beside'],
  ])) as unknown as HandshakeReport;

async function handshaking(subject: MeasuredName): Promise<void> {
  await inRig(async (rig) => {
    await rig.startDaemon(subject, ['--num-threads=2']);
    await delay(settleMs);
    // Both are slower at first, the one by its compiler, the other by its memory.
    await shake(rig, handshakes, seconds);
    const before = rig.cpuSeconds();
    const most = await shake(rig, 0, seconds);
    const cpu = rig.cpuSeconds() - before;
    study.note(subject, 'calls with DTLS: most per second', most.perSecond);
    study.note(subject, 'calls with DTLS: CPU each, ms', (cpu * 1e3) / most.handshakes);
    const quiet = await relayed(rig, 100, seconds);
    study.note(subject, 'media of 100 calls: latency p99, us', quiet.latencyMicros.p99);
    let beside: HandshakeReport | null = null;
    const busy = (await rig.load(
      ['relay', '--calls', '100', '--seconds', String(seconds + 2)],
      async () => {
        beside = await shake(rig, handshakes, seconds);
      },
    )) as unknown as { latencyMicros: { p99: number }; lost: number; sent: number };
    const at = `${handshakes} handshakes/s beside media`;
    study.note(subject, `${at}: latency p99, us`, busy.latencyMicros.p99);
    study.note(subject, `${at}: lost, %`, (100 * busy.lost) / busy.sent);
    const done = beside as HandshakeReport | null;
    study.note(subject, `${at}: handshake p50, us`, done?.handshakeMicros.p50 ?? Number.NaN);
    study.note(subject, `${at}: handshakes per second`, done?.perSecond ?? Number.NaN);
  });
}

for (const suite of given.suites === 'none' ? [] : given.suites.split(',')) {
  const called = ['--srtp-b', suite];
  for (const [name, way, words] of [
    ['to-srtp', `RTP to SRTP and back, ${suite}`, called],
    ['srtp', `SRTP to SRTP, ${suite}`, ['--srtp-a', suite, ...called]],
  ] as const)
    if (ways.has(name)) await study.alternate(way, (subject) => packets(subject, way, words));
}
if (handshakes > 0) await study.alternate('handshakes', handshaking);
report(
  'secure',
  machine(),
  study.samples,
  study.subjects.filter((name) => name !== 'rtpengine'),
);
