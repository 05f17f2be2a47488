/** Firefox by WebDriver BiDi. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { BrowserKind, Page } from './browser.js';
import type { RemoteControl } from './remote-control.js';

/** Fake devices without a question, real addresses in candidates, nothing that looks for a network. */
const preferences: Readonly<Record<string, string | number | boolean>> = {
  'media.navigator.streams.fake': true,
  'media.navigator.permission.disabled': true,
  'media.autoplay.default': 0,
  'media.peerconnection.ice.obfuscate_host_addresses': false,
  'media.gmp-manager.updateEnabled': false,
  'dom.min_background_timeout_value': 4,
  'dom.timeout.enable_budget_timer_throttling': false,
  'dom.ipc.processPrelaunch.enabled': false,
  'app.update.disabledForTesting': true,
  'app.normandy.enabled': false,
  'browser.shell.checkDefaultBrowser': false,
  'browser.startup.page': 0,
  'browser.startup.homepage_override.mstone': 'ignore',
  'browser.safebrowsing.malware.enabled': false,
  'browser.safebrowsing.phishing.enabled': false,
  'browser.search.update': false,
  'browser.region.update.enabled': false,
  'datareporting.policy.dataSubmissionEnabled': false,
  'toolkit.telemetry.reportingpolicy.firstRun': false,
  'extensions.update.enabled': false,
  'network.manage-offline-status': false,
  'network.captive-portal-service.enabled': false,
  'network.connectivity-service.enabled': false,
  'services.settings.server': 'data:,none',
};

interface Evaluated {
  readonly type: 'success' | 'exception';
  readonly result?: { readonly value?: string };
  readonly exceptionDetails?: { readonly text: string };
}

async function openPage(control: RemoteControl, url: string): Promise<Page> {
  const made = await control.ask('browsingContext.create', { type: 'window' });
  const { context } = made as { readonly context: string };
  await control.ask('browsingContext.navigate', { context, url, wait: 'complete' });
  return {
    evaluate: async (expression) => {
      // BiDi describes values in a way of its own: they come as text.
      const answer = (await control.ask('script.evaluate', {
        expression: `(async () => JSON.stringify((await (${expression})) ?? null))()`,
        target: { context },
        awaitPromise: true,
        userActivation: true,
      })) as Evaluated;
      if (answer.type === 'exception') {
        throw new Error(answer.exceptionDetails?.text ?? 'an exception without a text');
      }
      return JSON.parse(answer.result?.value ?? 'null') as unknown;
    },
    screenshot: async () => {
      const shot = await control.ask('browsingContext.captureScreenshot', { context });
      return Buffer.from((shot as { readonly data: string }).data, 'base64');
    },
  };
}

export const firefox: BrowserKind = {
  program: 'firefox-esr',
  environment: { MOZ_CRASHREPORTER_DISABLE: '1', MOZ_DISABLE_AUTO_SAFE_MODE: '1' },
  prepare: (folder) => {
    const profile = folder.file('profile');
    mkdirSync(profile);
    const lines = Object.entries(preferences).map(
      ([name, value]) => `user_pref(${JSON.stringify(name)}, ${JSON.stringify(value)});\n`,
    );
    writeFileSync(join(profile, 'user.js'), lines.join(''));
    return ['--headless', '--no-remote', '--profile', profile, '--remote-debugging-port=0'];
  },
  address: (printed) => {
    const [, url] = /WebDriver BiDi listening on (ws:\S+)/.exec(printed) ?? [];
    return url === undefined ? null : new URL(`${url}/session`);
  },
  start: async (control) => {
    await control.ask('session.new', { capabilities: {} });
  },
  openPage,
};
