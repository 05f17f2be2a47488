/**
 * What the loss of their relay's node costs a video call of two browsers, with a warm standby and keepalived: the longest gap of
 * audio and the longest freeze of video on either page, of calls that end in the relay and of calls that pass through it. See
 * bench/README.md. rtpengine is no part of it: it loses such calls (DTLS and ICE do not outlive it).
 */
import { isInstalled, TemporaryFolder } from '../test/support/child-process.js';
import { BrowserNet, callThrough, type NgWords } from '../test/support/browsers/browser-net.js';
import { browserInstalled, type BrowserName } from '../test/support/browsers/browser.js';
import type { CallPage } from '../test/support/browsers/call-page.js';
import { startKeepalived, type KeepalivedOptions } from '../test/support/keepalived.js';
import { hubAddress, Pair, type PairNode } from '../test/support/pair.js';
import { pause, until } from '../test/support/wait.js';
import { positive, readArguments } from './lib/arguments.js';
import { addSample, report, type Samples } from './lib/report.js';
import { machine } from './lib/rig.js';

const given = readArguments(process.argv.slice(2), {
  runs: '10',
  /** ms between two adverts of keepalived. */
  advert: '10',
  browsers: 'chromium,firefox',
});
const runs = positive('runs', given.runs);
const advert = positive('advert', given.advert);
const names = given.browsers.split(',') as BrowserName[];
const samples: Samples = new Map();
const virtual = '10.0.0.100';
const [ngPort, cliPort] = [2223, 9900];
const flags = ['trust-address'];
const ways: Readonly<Record<string, NgWords>> = {
  'ends in the relay': { ICE: 'force', bundle: ['accept'], flags },
  'passes through': { passthrough: 'on', flags },
};
const settings: KeepalivedOptions = {
  configuration: 'pair.conf',
  changes: [
    ['192.0.2.10', virtual],
    [/advert_int .*$/m, `advert_int ${advert / 1000}`],
  ],
};

function startRelay(node: PairNode): ReturnType<PairNode['startRelay']> {
  node.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
  return node.startRelay([
    ...[`--interface=${virtual}`, '--port-min=30000', '--port-max=30999'],
    ...['127.0.0.1', node.address].map((each) => `--listen-ng=${each}:${ngPort}`),
    ...[`--listen-cli=${node.address}:${cliPort}`, `--redis=${hubAddress}:6379/${node.number}`],
    ...[`--subscribe-keyspace=${3 - node.number}`, '--active-switchover'],
  ]);
}

/** Until so much has come to the page. @returns the longest times without, ms. */
async function heard(page: CallPage): Promise<{ audio: number; video: number }> {
  const longest = { audio: 0, video: 0 };
  const come = { audio: 0, video: 0 };
  await until(
    async () => {
      const progress = await page.takeProgress();
      for (const kind of ['audio', 'video'] as const) {
        come[kind] += progress[kind]?.advanced ?? 0;
        longest[kind] = Math.max(longest[kind], progress[kind]?.longestMs ?? 0);
      }
      return come.audio >= 50 && come.video >= 15;
    },
    'audio and video',
    30_000,
  );
  return longest;
}

async function measure(way: string, words: NgWords): Promise<void> {
  const folder = new TemporaryFolder('browsers');
  const pair = new Pair();
  await pair.startRedis();
  const net = await BrowserNet.open(pair.hub);
  try {
    const { one, two } = pair;
    await startRelay(one);
    await startRelay(two);
    const first = startKeepalived(one, folder, settings);
    await first.until(() => one.hasAddress(virtual), 20_000);
    startKeepalived(two, folder, settings);
    const [caller, callee] = [
      await net.page(names[0] ?? 'chromium'),
      await net.page(names[1] ?? 'firefox'),
    ];
    const relay = { address: one.address, port: ngPort };
    await callThrough(
      net,
      relay,
      { caller, callee },
      { callId: 'video', offer: words, answer: words, relayOnly: true },
    );
    const pages = [caller, callee];
    for (const page of pages) await heard(page);
    await two.holds(cliPort, 0, 1);
    await pause(1000);
    for (const page of pages) await page.takeProgress();
    const from = performance.now();
    await one.powerOff();
    await until(() => two.hasAddress(virtual), 'the address at the standby');
    const detection = performance.now() - from;
    const gaps = await Promise.all(pages.map(heard));
    const note = (measureName: string, value: number): void => {
      addSample(samples, `${way}: ${measureName}`, 'rtprelayd', value);
    };
    note('from the order to power off until the standby has the address, ms', detection);
    note('longest gap of audio, ms', Math.max(...gaps.map(({ audio }) => audio)));
    note('longest freeze of video, ms', Math.max(...gaps.map(({ video }) => video)));
    const states = await Promise.all(pages.map((page) => page.connectionStates()));
    const left = states.filter((list) => list.join() !== 'connecting,connected').length;
    note('pages that left "connected"', left);
  } finally {
    await net.close();
    await pair.remove();
    folder.remove();
  }
}

for (const needed of ['keepalived', 'redis-server'])
  if (!isInstalled(needed)) throw new Error(`${needed} is not installed`);
for (const name of names) if (!browserInstalled(name)) throw new Error(`${name} is not installed`);
for (let run = 0; run < runs; run++) {
  for (const [way, words] of Object.entries(ways)) {
    console.log(`run ${run + 1} of ${runs}: ${way}`);
    await measure(way, words);
  }
}
report('browsers', machine(), samples);
