/**
 * One publisher and many subscribers: what a delivered packet costs the daemon (its user and system time), and how
 * long it takes to set one more subscription up. The packets delivered per second are the same whatever the number of
 * subscribers; nobody reads them. See bench/README.md.
 */
import { MediaDaemon } from '../test/support/daemons.js';
import { scheduledSecondsOf } from '../test/support/cpu-time.js';
import type { NgClient } from '../test/support/ng-client.js';
import { RtpEndpoint, type Destination } from '../test/support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../test/support/sdp.js';
import { pause } from '../test/support/wait.js';
import { positive, readArguments } from './lib/arguments.js';
import { addSample, median, report, type Samples } from './lib/report.js';
import { machine } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  ...{
    daemon: 'rtprelayd',
    subscribers: '1,10,100,500',
    runs: '3',
    seconds: '4',
    delivered: '20000',
  },
});
const counts = given.subscribers.split(',').map((text) => positive('subscribers', text));
const runs = positive('runs', given.runs);
const seconds = positive('seconds', given.seconds);
const delivered = positive('delivered', given.delivered);
const daemons = (['rtprelayd', 'rtpengine'] as const).filter(
  (name) => given.daemon === 'both' || given.daemon === name,
);
const samples: Samples = new Map();

const bodyOf = ({ port }: RtpEndpoint, direction: string): string =>
  buildSdp({
    address: '127.0.0.1',
    media: [{ ...audio(port), formats: '0', lines: [`a=${direction}`] }],
  });

const callId = 'fan-out';

/** Milliseconds that one subscription took. */
async function subscribe(ng: NgClient, tag: string, sink: RtpEndpoint): Promise<number> {
  const began = performance.now();
  const keys = { 'call-id': callId, 'to-tag': tag };
  await ng.ask({ command: 'subscribe request', ...keys, 'from-tag': 'p' });
  const sdp = bodyOf(sink, 'recvonly');
  const reply = await ng.ask({ command: 'subscribe answer', ...keys, sdp });
  if (reply['result'] !== 'ok') throw new Error(JSON.stringify(reply));
  return performance.now() - began;
}

/** Sends so many packets a second, in bursts of a few milliseconds. Returns how many. */
async function publish(from: RtpEndpoint, to: Destination, rate: number): Promise<number> {
  const began = performance.now();
  let sent = 0;
  for (let now = began; now < began + seconds * 1000; now = performance.now()) {
    const due = Math.floor(((now - began) * rate) / 1000);
    for (; sent < due; sent += 1) from.sendNext(to);
    await pause(2);
  }
  return sent;
}

async function measure(kind: (typeof daemons)[number], count: number): Promise<void> {
  const daemon = await MediaDaemon.start(kind, {
    ...{ mediaPorts: 4 * (count + 20), logLevel: 4 },
    // The process that is measured is the one that works.
    extra: kind === 'rtprelayd' ? ['--pair=no'] : [],
  });
  const ng = daemon.client();
  const [publisher, sink] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  try {
    const keys = { 'call-id': callId, 'from-tag': 'p', sdp: bodyOf(publisher, 'sendonly') };
    const published = await ng.ask({ command: 'publish', ...keys });
    const times: number[] = [];
    for (let at = 0; at < count; at += 1) times.push(await subscribe(ng, `s${at}`, sink));
    if (count > 1) {
      const last = median(times.slice(-9));
      addSample(samples, `subscription ${count} of ${count}, ms`, kind, last);
    }
    // A socket that is not read is full soon; what is sent to it costs the sender the same.
    sink.rtpSocket.removeAllListeners('message');
    const to = mediaTarget(String(published['sdp']));
    await publish(publisher, to, 50);
    const before = scheduledSecondsOf(daemon.process.pid);
    const sent = await publish(publisher, to, delivered / count);
    const micros = ((scheduledSecondsOf(daemon.process.pid) - before) * 1e6) / (sent * count);
    addSample(samples, `CPU per packet delivered to ${count}, us`, kind, micros);
  } finally {
    publisher.close();
    sink.close();
    ng.close();
    await daemon.stop();
  }
}

for (let run = 0; run < runs; run += 1) {
  for (const count of counts) {
    for (const kind of daemons) {
      console.log(`run ${run + 1} of ${runs}: ${count} subscribers of ${kind}`);
      await measure(kind, count);
    }
  }
}
report('subscriptions', machine(), samples);
