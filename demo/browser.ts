/**
 * npm run demo:browser: two browsers in a video call whose relay loses its power; the standby carries it on.
 * With screenshots of both pages before, during and after, in build/demo-browser. Needs root (network namespaces).
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { browserInstalled, type BrowserName } from '../test/support/browsers/browser.js';
import { BrowserNet, callThrough } from '../test/support/browsers/browser-net.js';
import type { CallPage } from '../test/support/browsers/call-page.js';
import { namespacesAllowed } from '../test/support/namespaces.js';
import { hubAddress, Pair, type PairNode } from '../test/support/pair.js';
import { pause } from '../test/support/wait.js';

const folder = fileURLToPath(new URL('../build/demo-browser/', import.meta.url));
const virtual = '10.0.0.100';
const [ngPort, cliPort] = [2223, 9900];
const names: readonly [BrowserName, BrowserName] = ['chromium', 'firefox'];

async function startRelay(node: PairNode, ...more: readonly string[]): Promise<void> {
  await node.startRelay([
    ...[`--interface=${virtual}`, `--listen-ng=${node.address}:${ngPort}`],
    ...[`--listen-cli=${node.address}:${cliPort}`, `--redis=${hubAddress}:6379/${node.number}`],
    ...more,
  ]);
}

async function show(when: string, pages: readonly CallPage[]): Promise<void> {
  for (const [at, page] of pages.entries()) {
    const name = names[at] ?? 'page';
    const { audio, video } = await page.takeProgress();
    const states = (await page.connectionStates()).join(', ');
    console.log(
      `  ${when.padEnd(6)} ${name.padEnd(8)} connection: ${states}; since the last look ` +
        `${audio?.advanced ?? 0} packets of audio, longest gap ${Math.round(audio?.longestMs ?? 0)} ms; ` +
        `${video?.advanced ?? 0} pictures, longest gap ${Math.round(video?.longestMs ?? 0)} ms`,
    );
    writeFileSync(`${folder}${when}-${name}.png`, await page.screenshot());
  }
}

async function demonstrate(pair: Pair, net: BrowserNet): Promise<void> {
  const { one, two } = pair;
  one.addAddress(virtual);
  await startRelay(one);
  await startRelay(two, '--subscribe-keyspace=1', '--active-switchover');
  const pages = [await net.page(names[0]), await net.page(names[1])] as const;
  const words = { ICE: 'force', flags: ['trust-address'] };
  console.log(`${names.join(' calls ')} by way of node 1; ICE and DTLS end in the relay`);
  const relay = { address: one.address, port: ngPort };
  const setup = { callId: 'demonstration', offer: words, answer: words, relayOnly: true };
  await callThrough(net, relay, { caller: pages[0], callee: pages[1] }, setup);
  await pause(4000);
  await two.holds(cliPort, 0, 1);
  await show('before', pages);
  console.log('node 1 loses its power');
  await one.powerOff();
  await show('during', pages);
  two.addAddress(virtual);
  console.log('its address is at node 2 now');
  await pause(4000);
  await show('after', pages);
  console.log(`screenshots: ${folder}`);
}

if (!namespacesAllowed() || !names.every(browserInstalled)) {
  console.error('This needs root, chromium and firefox-esr.');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const pair = new Pair();
const net = await BrowserNet.open(pair.hub);
try {
  await pair.startRedis();
  await demonstrate(pair, net);
} finally {
  await net.close();
  await pair.remove();
}
