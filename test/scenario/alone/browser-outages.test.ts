/**
 * Calls of browsers, DTLS and ICE of which end in the relay, and a relay that is away for long: started again on what
 * Redis has, it brings them back without a new offer, also pages that have given up and ask no more.
 */
import { expect } from 'chai';
import { browserInstalled, type BrowserName } from '../../support/browsers/browser.js';
import { BrowserNet, callThrough } from '../../support/browsers/browser-net.js';
import type { CallPage } from '../../support/browsers/call-page.js';
import { isInstalled, type TestProcess } from '../../support/child-process.js';
import { namespacesAllowed } from '../../support/namespaces.js';
import { hubAddress, Pair } from '../../support/pair.js';
import { pause, until } from '../../support/wait.js';

interface Outage {
  readonly seconds: number;
  readonly pages: readonly [BrowserName, BrowserName];
}

/** Firefox can be lost for good after 18 s (docs/reference/firefox-153.md). */
const outages: readonly Outage[] = [
  { seconds: 3, pages: ['chromium', 'firefox'] },
  { seconds: 10, pages: ['firefox', 'chromium'] },
  { seconds: 20, pages: ['chromium', 'chromium'] },
];
const words = { ICE: 'force', flags: ['trust-address'] };

describe('a call of two browsers whose relay is away', function () {
  this.timeout(180_000);
  let pair: Pair;
  let net: BrowserNet;

  before(function () {
    const ready = namespacesAllowed() && isInstalled('redis-server');
    if (!ready || !browserInstalled('chromium') || !browserInstalled('firefox')) this.skip();
  });
  beforeEach(async () => {
    pair = new Pair();
    await pair.startRedis();
    net = await BrowserNet.open(pair.hub);
  });
  afterEach(async () => {
    await net.close();
    await pair.remove();
  });

  /** A relay of its own for each. */
  const startRelay = (at: number): Promise<TestProcess> => {
    const { address } = pair.one;
    return pair.one.startRelay([
      ...[`--interface=${address}`, `--listen-ng=${address}:${2223 + at}`],
      ...[`--port-min=${30_000 + 100 * at}`, `--port-max=${30_099 + 100 * at}`],
      ...[`--redis=${hubAddress}:6379/${at + 1}`, '--log-level=6'],
    ]);
  };

  async function hears(page: CallPage, when: string): Promise<void> {
    await page.takeProgress();
    let audio = 0;
    await until(
      async () => (audio += (await page.takeProgress()).audio?.advanced ?? 0) >= 50,
      `audio ${when}`,
      30_000,
    );
  }

  async function survives({ seconds, pages: names }: Outage, at: number): Promise<string> {
    const relay = await startRelay(at);
    const caller = await net.page(names[0], { video: false });
    const callee = await net.page(names[1], { video: false });
    const setup = { callId: `away${at}`, offer: words, answer: words };
    const ng = { address: pair.one.address, port: 2223 + at };
    await callThrough(net, ng, { caller, callee }, setup);
    const pages = [caller, callee];
    for (const page of pages) await hears(page, `before ${seconds} s`);
    await relay.stop('SIGKILL');
    await pause(seconds * 1000);
    const meanwhile = await Promise.all(pages.map((page) => page.connectionState()));
    await startRelay(at);
    for (const page of pages) {
      await hears(page, `after ${seconds} s`);
      // Firefox says so with its next check of consent.
      const isBack = async (): Promise<boolean> => (await page.connectionState()) === 'connected';
      await until(isBack, `connected after ${seconds} s`, 15_000);
    }
    return `${seconds} s, ${names.join(' and ')}: meanwhile ${meanwhile.join(' and ')}`;
  }

  it('goes on after 3, 10 and 20 seconds', async () => {
    // Browsers start one at a time.
    for (const name of ['chromium', 'firefox'] as const) await (await net.page(name)).close();
    const told = await Promise.all(outages.map(survives));
    for (const line of told) console.log(`      ${line}`);
    // Else it was not what it is meant to be.
    expect(told.at(-1)).to.contain('failed');
  });
});
