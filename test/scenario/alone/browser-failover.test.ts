/**
 * Video calls of browsers, DTLS and ICE of which end in the relay or pass through it, over the end of their relay: no new offer,
 * and no page notices that its connection was ever lost.
 */
import { expect } from 'chai';
import { browserInstalled, type BrowserName } from '../../support/browsers/browser.js';
import { BrowserNet, callThrough, type NgWords } from '../../support/browsers/browser-net.js';
import type { CallPage, MediaProgress } from '../../support/browsers/call-page.js';
import { isInstalled, type TestProcess } from '../../support/child-process.js';
import { namespacesAllowed } from '../../support/namespaces.js';
import { hubAddress, Pair, type PairNode } from '../../support/pair.js';
import { pause, until } from '../../support/wait.js';

const virtual = '10.0.0.100';
const [ngPort, cliPort] = [2223, 9900];
const apart = { ICE: 'force', flags: ['trust-address'] };
/** Audio and video over one transport. */
const bundled = { ...apart, bundle: ['accept'] };

/** ICE and DTLS are the browsers' own affair. */
const passedThrough = { passthrough: 'on', flags: ['trust-address'] };

describe('a video call of two browsers', function () {
  this.timeout(180_000);
  let pair: Pair;
  let net: BrowserNet;
  let pages: readonly CallPage[];

  before(function () {
    if (!namespacesAllowed() || !isInstalled('redis-server')) this.skip();
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

  const startRelay = (node: PairNode, media: string, ...more: string[]): Promise<TestProcess> =>
    node.startRelay([
      ...[`--interface=${media}`, `--listen-ng=${node.address}:${ngPort}`, '--log-level=7'],
      ...[`--listen-cli=${node.address}:${cliPort}`, '--port-min=30000', '--port-max=30999'],
      ...[`--redis=${hubAddress}:6379/${node.number}`, ...more],
    ]);

  async function call(
    caller: BrowserName,
    callee: BrowserName,
    words: NgWords = bundled,
  ): Promise<void> {
    const [a, b] = [await net.page(caller), await net.page(callee)];
    const relay = { address: pair.one.address, port: ngPort };
    const setup = { callId: 'video', offer: words, answer: words, relayOnly: true };
    await callThrough(net, relay, { caller: a, callee: b }, setup);
    pages = [a, b];
    for (const page of pages)
      expect(await page.stats('transport')).to.have.length(words === apart ? 2 : 1);
    await heard('at the beginning');
  }

  /** Audio and video come to both pages. @returns the longest gaps of each meanwhile. */
  async function heard(when: string): Promise<readonly MediaProgress[]> {
    const all: MediaProgress[] = [];
    for (const page of pages) {
      let [audio, video] = [0, 0];
      let [audioGap, videoGap] = [0, 0];
      await until(
        async () => {
          const progress = await page.takeProgress();
          audio += progress.audio?.advanced ?? 0;
          video += progress.video?.advanced ?? 0;
          audioGap = Math.max(audioGap, progress.audio?.longestMs ?? 0);
          videoGap = Math.max(videoGap, progress.video?.longestMs ?? 0);
          return audio >= 50 && video >= 15;
        },
        `audio and video ${when}`,
        30_000,
      );
      all.push({
        audio: { advanced: audio, longestMs: audioGap },
        video: { advanced: video, longestMs: videoGap },
      });
    }
    return all;
  }

  async function stayedConnected(): Promise<void> {
    for (const page of pages) {
      expect(await page.connectionStates()).to.deep.equal(['connecting', 'connected']);
    }
  }

  /** What has come so far does not count; a gap that has begun does. */
  async function relayIsGone(): Promise<void> {
    for (const page of pages) await page.takeProgress();
  }

  async function goesOn(what: string): Promise<void> {
    const gaps = await heard('afterwards');
    const text = gaps.map(
      ({ audio, video }) =>
        `audio ${Math.round(audio?.longestMs ?? 0)} ms, video ${Math.round(video?.longestMs ?? 0)} ms`,
    );
    console.log(`      ${what}: longest gaps ${text.join('; ')}`);
    await stayedConnected();
  }

  const skipUnless = (test: Mocha.Context, ...names: readonly BrowserName[]): void => {
    if (!names.every(browserInstalled)) test.skip();
  };

  for (const [caller, callee, words] of [
    ['chromium', 'chromium', bundled],
    ['firefox', 'firefox', apart],
  ] as const) {
    it(`goes on when its relay is killed and started again (${caller}, ${callee})`, async function () {
      skipUnless(this, caller, callee);
      pair.one.addAddress(virtual);
      const relay = await startRelay(pair.one, virtual);
      await call(caller, callee, words);
      await relay.stop('SIGKILL');
      await relayIsGone();
      await startRelay(pair.one, virtual);
      await goesOn('kill -9 and restart');
    });
  }

  for (const [how, words] of [
    ['ends in the relay', bundled],
    ['passes through', passedThrough],
  ] as const) {
    it(`goes on at the standby when the power fails and the address moves (chromium, firefox): it ${how}`, async function () {
      skipUnless(this, 'chromium', 'firefox');
      const { one, two } = pair;
      one.addAddress(virtual);
      await startRelay(one, virtual);
      const standby = await startRelay(
        ...([two, virtual, '--subscribe-keyspace=1', '--active-switchover'] as const),
      );
      await call('chromium', 'firefox', words);
      await two.holds(cliPort, 0, 1);
      await pause(500);
      await one.powerOff();
      await relayIsGone();
      two.addAddress(virtual);
      await goesOn('power-off, warm standby');
      await two.holds(cliPort, 1, 0);
      expect(standby.log()).to.contain('Taking over call of keyspace 1');
    });
  }

  it('follows to another address of a standby that has none of the old one (chromium, firefox)', async function () {
    skipUnless(this, 'chromium', 'firefox');
    const { one, two } = pair;
    await startRelay(one, one.address);
    await startRelay(two, two.address, '--subscribe-keyspace=1', '--active-switchover');
    await call('chromium', 'firefox');
    await two.holds(cliPort, 0, 1);
    await pause(500);
    await stayedConnected();
    await one.powerOff();
    await relayIsGone();
    two.command(cliPort, 'active');
    await goesOn('power-off, another address');
  });
});
