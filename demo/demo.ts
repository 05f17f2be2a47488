/**
 * npm start: a call through rtprelayd over real sockets, with what goes on shown as it happens. Ends
 * with 0 when no packet was lost.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { NgDictionary } from '../src/ng-protocol/dictionary.js';
import { DemoDaemon } from './daemon.js';
import { Phone, type Heard } from './phone.js';

const seconds = 5;
const ptimeMs = 20;

function mediaPort(reply: NgDictionary): number {
  return Number(/m=audio (\d+)/.exec(String(reply.get('sdp')))?.[1]);
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
  await daemon.ask({ command: 'delete', ...call, 'delete-delay': 0 });
  await delay(100);
  console.log('\nfinal statistics, as logged:');
  for (const logged of daemon.log().split('\n')) {
    const text = /\[core\] (Final packet stats:|--- .*|-+ .*)$/.exec(logged)?.[1];
    if (text !== undefined) console.log(`  ${text}`);
  }
  return missing;
}

const daemon = await DemoDaemon.start();
console.log(`rtprelayd ${daemon.options.join(' ')}\n`);
const [a, b] = [await Phone.open(0x0a11ce), await Phone.open(0x000b0b)];
let missing = Number.NaN;
try {
  missing = await demonstrate(daemon, a, b);
} finally {
  a.close();
  b.close();
  const code = await daemon.stop();
  console.log(`\n${missing} packets lost; rtprelayd ended with ${code}`);
  process.exitCode = missing === 0 && code === 0 ? 0 : 1;
}
