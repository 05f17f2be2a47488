/** Calls of real browsers, headless, with fake cameras and microphones. */
import { expect } from 'chai';
import { browserInstalled, type BrowserName } from '../support/browsers/browser.js';
import { BrowserNet, prepareForBrowsers } from '../support/browsers/browser-net.js';
import type { CallPage } from '../support/browsers/call-page.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { until } from '../support/wait.js';

/** Packets of audio and frames of video come, and go on coming. */
async function hears(page: CallPage, who: string): Promise<void> {
  for (const round of ['first', 'more']) {
    let [audio, video] = [0, 0];
    await until(
      async () => {
        const progress = await page.takeProgress();
        audio += progress.audio?.advanced ?? 0;
        video += progress.video?.advanced ?? 0;
        return audio >= 20 && video >= 5;
      },
      `${round} audio and video at ${who}`,
      20_000,
    );
  }
}

describe('browsers', function () {
  this.timeout(120_000);
  let namespace: NetworkNamespace;
  let net: BrowserNet;

  before(async function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('browsers');
    prepareForBrowsers(namespace);
    net = await BrowserNet.open(namespace);
  });
  after(async () => {
    await net?.close();
    namespace?.remove();
  });

  for (const [caller, callee] of [['chromium', 'firefox']] as const) {
    it(`${caller} and ${callee} talk without a relay`, async function () {
      if (!installed([caller, callee])) this.skip();
      const [a, b] = [await net.page(caller), await net.page(callee)];
      await a.accept(await b.answer(await a.offer()));
      await hears(a, caller);
      await hears(b, callee);
      for (const page of [a, b]) {
        expect(await page.connectionStates()).to.deep.equal(['connecting', 'connected']);
      }
    });
  }
});

const installed = (names: readonly BrowserName[]): boolean => names.every(browserInstalled);
