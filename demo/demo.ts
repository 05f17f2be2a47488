/**
 * npm start: a call through rtprelayd over real sockets, with what goes on shown as it happens. Ends
 * with 0 when no packet was lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { isDictionary, type NgDictionary, type NgValue } from '../src/ng-protocol/dictionary.js';
import { DemoDaemon } from './daemon.js';
import { Phone, type Heard } from './phone.js';

const seconds = 5;
const ptimeMs = 20;

function mediaPort(reply: NgDictionary): number {
  return Number(/m=audio (\d+)/.exec(String(reply.get('sdp')))?.[1]);
}

/** The totals of a reply to `query`. */
function relayed(query: NgDictionary): { readonly packets: NgValue; readonly bytes: NgValue } {
  const totals = query.get('totals');
  const rtp = isDictionary(totals) ? totals.get('RTP') : undefined;
  if (!isDictionary(rtp)) throw new Error('query without totals');
  return { packets: rtp.get('packets') ?? 0, bytes: rtp.get('bytes') ?? 0 };
}

function quantile(latencies: readonly number[], share: number): string {
  const value = latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return value === undefined ? '-' : value.toFixed(2);
}

function line(who: string, phone: Phone, heard: Heard): string {
  const { received, lost, latencies } = heard;
  return (
    `${who} sent ${String(phone.sent).padStart(4)}, heard ${String(received).padStart(4)}, ` +
    `lost ${lost}, through the relay in ${quantile(latencies, 0.5)} ms (p99 ${quantile(latencies, 0.99)})`
  );
}

/** Packets of both directions that did not arrive. */
async function talk(a: Phone, towardsB: number, b: Phone, towardsA: number): Promise<number> {
  const start = performance.now();
  const rounds = (seconds * 1000) / ptimeMs;
  for (let round = 1; round <= rounds; round++) {
    a.say(towardsB);
    b.say(towardsA);
    await delay(Math.max(0, start + round * ptimeMs - performance.now()));
    if ((round * ptimeMs) % 1000 !== 0) continue;
    console.log(`  ${line('alice', a, a.heard())}`);
    console.log(`  ${line('bob  ', b, b.heard())}`);
  }
  await delay(200);
  return 2 * rounds - a.heard().received - b.heard().received;
}

async function demonstrate(daemon: DemoDaemon, a: Phone, b: Phone): Promise<number> {
  const call = { 'call-id': 'demonstration', 'from-tag': 'alice' };
  const offer = await daemon.ask({ command: 'offer', ...call, sdp: a.sdp() });
  const towardsA = mediaPort(offer);
  console.log(`offer:  alice listens on ${a.port}; bob is told to send to ${towardsA}`);
  const answered = await daemon.ask({ command: 'answer', ...call, 'to-tag': 'bob', sdp: b.sdp() });
  const towardsB = mediaPort(answered);
  console.log(`answer: bob listens on ${b.port}; alice is told to send to ${towardsB}\n`);
  const missing = await talk(a, towardsB, b, towardsA);
  const query = await daemon.ask({ command: 'query', 'call-id': call['call-id'] });
  const { packets, bytes } = relayed(query);
  console.log(`\nquery:  the daemon has relayed ${packets} packets of RTP, ${bytes} bytes`);
  await daemon.ask({ command: 'delete', ...call, 'delete-delay': 0 });
  console.log('delete: done; final statistics, as logged:');
  await delay(100);
  for (const logged of daemon.log().split('\n')) {
    const text = /\[core\] (Final packet stats:|--- .*|-+ .*)$/.exec(logged)?.[1];
    if (text !== undefined) console.log(`  ${text}`);
  }
  return missing;
}

// The daemon is stopped when this process exits, which a signal alone would not let it do.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(1));
}

const daemon = await DemoDaemon.start();
console.log(`rtprelayd ${daemon.options.join(' ')}\n`);
const [a, b] = [await Phone.open(0x0a11ce), await Phone.open(0x000b0b)];
try {
  const missing = await demonstrate(daemon, a, b);
  console.log(`\n${missing} packets lost`);
  if (missing !== 0) process.exitCode = 1;
} catch (error) {
  console.error(`\nfailed: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  a.close();
  b.close();
  const code = await daemon.stop();
  console.log(`rtprelayd ended with ${code}`);
  if (code !== 0) process.exitCode = 1;
}
