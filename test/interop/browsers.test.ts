/** Calls of real browsers, headless, with fake cameras and microphones. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { browserInstalled, type BrowserName } from '../support/browsers/browser.js';
import {
  BrowserNet,
  callThrough,
  prepareForBrowsers,
  type NgWords,
  type RelayedCall,
} from '../support/browsers/browser-net.js';
import type { CallPage } from '../support/browsers/call-page.js';
import { isInstalled } from '../support/child-process.js';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { audioSdp } from '../support/ng-client.js';
import { hasKamailioModule, Kamailio, Sipp } from '../support/sip.js';
import { mediaTarget } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

const relayAddress = '10.0.0.2';
const phoneAddress = '10.0.0.3';
const ng = { address: relayAddress, port: 2223 };

interface TalkOptions {
  /** Both sides have one transport. */
  readonly isBundled?: boolean;
  readonly answerWords?: NgWords;
  /** RTCConfiguration of both. */
  readonly configuration?: Readonly<Record<string, unknown>>;
}

/** So much comes to a page, and then as much again. */
async function hears(page: CallPage, who: string, kinds: readonly ('audio' | 'video')[]) {
  const enough = { audio: 20, video: 5 };
  for (const round of ['first', 'more']) {
    const come = { audio: 0, video: 0 };
    await until(
      async () => {
        const progress = await page.takeProgress();
        for (const kind of kinds) come[kind] += progress[kind]?.advanced ?? 0;
        return kinds.every((kind) => come[kind] >= enough[kind]);
      },
      `${round} ${kinds.join(' and ')} at ${who}`,
      20_000,
    );
  }
}

/** Packets that were lost on their way to the page, and those that came. */
async function lossAt(page: CallPage): Promise<{ readonly lost: number; readonly come: number }> {
  let [lost, come] = [0, 0];
  for (const { packetsLost, packetsReceived } of await page.stats('inbound-rtp')) {
    lost += Number(packetsLost ?? 0);
    come += Number(packetsReceived ?? 0);
  }
  return { lost, come };
}

describe('browsers', function () {
  this.timeout(120_000);
  let namespace: NetworkNamespace;
  let net: BrowserNet;
  let daemon: MediaDaemon;
  let calls = 0;

  before(async function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('browsers');
    prepareForBrowsers(namespace);
    for (const address of [relayAddress, phoneAddress]) {
      namespace.addAddress('media0', `${address}/24`);
    }
    net = await BrowserNet.open(namespace);
    daemon = await MediaDaemon.start(subjectKind, {
      ...{ namespace: namespace.name, interfaces: [relayAddress] },
      ...{ controlAddress: ng.address, controlPort: ng.port, logLevel: 7 },
      portRange: { min: 30_000, max: 30_999 },
    });
    await daemon.process.untilLogged('Startup complete');
  });
  after(async () => {
    await net?.close();
    await daemon?.stop('SIGKILL');
    namespace?.remove();
  });

  const newCall = (): string => `call-${(calls += 1)}`;

  /** A video call that both pages can see and hear. */
  async function talk(
    names: readonly [BrowserName, BrowserName],
    words: NgWords,
    { isBundled = false, answerWords = words, configuration = {} }: TalkOptions = {},
  ): Promise<RelayedCall> {
    const [caller, callee] = [
      await net.page(names[0], { configuration }),
      await net.page(names[1], { configuration }),
    ];
    const setup = { callId: newCall(), offer: words, answer: answerWords, relayOnly: true };
    const call = await callThrough(net, ng, { caller, callee }, setup);
    for (const [at, page] of [caller, callee].entries()) {
      await hears(page, names[at] ?? '', ['audio', 'video']);
      expect(await page.connectionStates()).to.deep.equal(['connecting', 'connected']);
      const { lost, come } = await lossAt(page);
      expect(lost, `of ${come} packets`).to.be.at.most(come / 20);
      if (isBundled) expect(await page.stats('transport'), names[at]).to.have.length(1);
    }
    await Promise.all([caller.close(), callee.close()]);
    return call;
  }

  const pairs = [
    ['chromium', 'chromium'],
    ['firefox', 'firefox'],
    ['chromium', 'firefox'],
  ] as const;
  const flags = ['trust-address'];
  const ways: readonly (readonly [string, NgWords, (typeof pairs)[number][]])[] = [
    ['ICE and DTLS end in the relay', { ICE: 'force', flags }, [...pairs]],
    ['without a word about ICE', { flags }, [pairs[2]]],
    ['passed through', { passthrough: 'on', flags }, [pairs[2]]],
  ];
  for (const [how, words, list] of ways) {
    for (const pair of list) {
      it(`${pair.join(' and ')}: ${how}`, async function () {
        if (!pair.every(browserInstalled)) this.skip();
        await talk(pair, words);
      });
    }
  }

  const bundled: NgWords = { ICE: 'force', flags, bundle: ['accept'] };
  for (const pair of pairs) {
    it(`${pair.join(' and ')}: audio and video over one transport`, async function () {
      if (!pair.every(browserInstalled)) this.skip();
      await talk(pair, bundled, { isBundled: true });
    });
  }

  // With this policy a browser offers a port for the first section alone (RFC 9143 §6, RFC 9429 §4.1.1).
  const configuration = { bundlePolicy: 'max-bundle' };
  const onePort: readonly (readonly [BrowserName, BrowserName])[] = [
    ...[pairs[1], pairs[2]],
    ['firefox', 'chromium'],
  ];
  const onlyBundled: readonly (readonly [string, NgWords, TalkOptions])[] = [
    ['that ends in the relay', bundled, { isBundled: true, configuration }],
    [
      'that the relay offers itself',
      { ...bundled, bundle: ['accept', 'require'] },
      { isBundled: true, configuration, answerWords: bundled },
    ],
    ['passed through', { passthrough: 'on', flags }, { isBundled: true, configuration }],
  ];
  for (const [how, words, options] of onlyBundled) {
    for (const pair of onePort) {
      it(`${pair.join(' and ')}: a bundle with one port, ${how}`, async function () {
        if (!pair.every(browserInstalled)) this.skip();
        const { received, offered } = await talk(pair, words, options);
        const only = /^m=video 0 (?:.*\r\n)+?a=bundle-only\r\n/m;
        // Chromium 156 says one port in both.
        if (pair[0] === 'firefox') expect(received, 'of the browser').to.match(only);
        if (only.test(received) ? how === 'passed through' : how === 'that the relay offers itself')
          expect(offered, 'of the relay').to.match(only);
      });
    }
  }

  it('chromium and firefox: later offers add video, hold, go on, and restart ICE', async function () {
    if (!pairs[2].every(browserInstalled)) this.skip();
    const pages = await Promise.all(pairs[2].map((name) => net.page(name, { video: false })));
    const [one, two] = pages;
    if (one === undefined || two === undefined) throw new Error('no pages');
    const setup = { callId: newCall(), offer: bundled, answer: bundled, relayOnly: true };
    const [forth, back] = [
      { caller: one, callee: two },
      { caller: two, callee: one },
    ];
    const bothHear = async (...kinds: ('audio' | 'video')[]): Promise<void> => {
      for (const [at, page] of pages.entries()) {
        await hears(page, pairs[2][at] ?? '', kinds).catch(async (cause: unknown) => {
          const changes = await Promise.all(pages.map((each) => each.changes()));
          throw new Error(`${String(cause)}; the pages: ${JSON.stringify(changes)}`, { cause });
        });
      }
    };
    await callThrough(net, ng, forth, setup);
    await bothHear('audio');
    for (const page of pages) await page.change({ video: true });
    await callThrough(net, ng, forth, setup);
    await bothHear('audio', 'video');
    for (const backwards of [false, true]) {
      const pair = backwards ? back : forth;
      await pair.caller.change({ direction: 'inactive' });
      await callThrough(net, ng, pair, { ...setup, backwards });
      await pause(500);
      for (const page of pages) await page.takeProgress();
      await pause(1000);
      for (const page of pages) {
        const { audio, video } = await page.takeProgress();
        expect([audio?.advanced, video?.advanced], 'of what is on hold').to.deep.equal([0, 0]);
      }
      for (const page of pages) await page.change({ direction: 'sendrecv' });
      await callThrough(net, ng, pair, { ...setup, backwards });
      await bothHear('audio', 'video');
      // Chromium asks for its new pairs before the answer is there, under the relay's former name.
      const restart = { iceRestart: true, answerDelayMs: 600 };
      await callThrough(net, ng, pair, { ...setup, backwards, ...restart });
      await bothHear('audio', 'video');
    }
    for (const page of pages) {
      // It may say that it connects once more, with each restart of ICE.
      const states = new Set(await page.connectionStates());
      expect([...states]).to.deep.equal(['connecting', 'connected']);
      expect(await page.stats('transport')).to.have.length(1);
    }
    await Promise.all(pages.map((page) => page.close()));
  });

  it('chromium, by SIP over WebSocket, and SIPp behind a Kamailio, PCMA', async function () {
    const ready = ['kamailio', 'sipp'].every(isInstalled) && browserInstalled('chromium');
    if (!ready || !hasKamailioModule('websocket')) this.skip();
    const folder = fileURLToPath(new URL('kamailio/', import.meta.url));
    const place = { namespace: namespace.name, address: phoneAddress };
    const media = { address: phoneAddress, port: 6100 };
    await net.phones.open('sipp', media);
    const callee = Sipp.start({
      ...{ scenario: `${folder}callee-plain.xml`, place, keys: { rtp_port: media.port } },
    });
    const proxy = await Kamailio.start({
      ...{ config: `${folder}websocket.cfg`, tcp: true },
      place: { ...place, address: relayAddress },
      defines: {
        RTPENGINE_SOCK: `udp:${ng.address}:${ng.port}`,
        CALLEE_URI: `sip:${phoneAddress}:${callee.port}`,
      },
    });
    try {
      const page = await net.page('chromium', { video: false, prefer: ['audio/pcma'] });
      const target = `${relayAddress}:${proxy.port}`;
      expect(await page.invite(`ws://${target}/sip`, `sip:callee@${target}`)).to.equal(200);
      const port = await callee.logged('invited');
      await net.phones.talk('to the page', 'sipp', { address: relayAddress, port });
      await hears(page, 'the page', ['audio']);
      const before = (await net.phones.report()).strange;
      await pause(500);
      const heard = (await net.phones.report()).strange - before;
      expect(heard, 'packets at SIPp').to.be.greaterThan(9);
      expect(await page.connectionStates()).to.deep.equal(['connecting', 'connected']);
      await page.hangUp();
      await callee.finished();
      await net.phones.hush('to the page');
      await page.close();
    } finally {
      await proxy.stop();
      await callee.stop();
    }
  });

  it('chromium and a plain telephone, PCMA', async function () {
    if (!browserInstalled('chromium')) this.skip();
    const page = await net.page('chromium', { video: false, prefer: ['audio/pcma'] });
    const tags = { 'call-id': newCall(), 'from-tag': 'page' };
    const ask = async (command: string, sdp: string, words: NgWords): Promise<string> => {
      const { reply } = await net.phones.ng(ng, { command, ...tags, sdp, flags, ...words });
      expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
      return String(reply['sdp']);
    };
    const toPhone = { ICE: 'remove', 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'] };
    const offered = await ask('offer', await page.offer(), toPhone);
    expect(offered).to.match(/^m=audio \d+ RTP\/AVP 8/m);
    expect(offered).not.to.match(/^a=(?:candidate|ice-|fingerprint|setup|crypto)/m);
    await net.phones.open('phone', { address: phoneAddress, port: 6000 });
    const answered = await ask('answer', audioSdp(6000, [], phoneAddress), { 'to-tag': 'phone' });
    await page.accept(answered);
    await net.phones.talk('voice', 'phone', mediaTarget(offered));
    await hears(page, 'the page', ['audio']);
    const before = (await net.phones.report()).strange;
    await pause(500);
    expect((await net.phones.report()).strange - before, 'packets at the phone').to.be.greaterThan(
      9,
    );
    expect(await page.connectionStates()).to.deep.equal(['connecting', 'connected']);
    await net.phones.hush('voice');
    await page.close();
  });
});
