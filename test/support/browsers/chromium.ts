/** Chromium by its DevTools protocol. */
import type { BrowserKind, Page } from './browser.js';
import type { RemoteControl } from './remote-control.js';

const switches = [
  '--headless=new',
  // Tests run as root, where its sandbox refuses to; it sees pages of ours only.
  '--no-sandbox',
  '--remote-debugging-port=0',
  '--use-fake-device-for-media-stream=fps=15',
  '--use-fake-ui-for-media-stream',
  '--autoplay-policy=no-user-gesture-required',
  '--disable-field-trial-config',
  '--disable-background-networking',
  '--disable-background-timer-throttling',
  '--disable-backgrounding-occluded-windows',
  '--disable-renderer-backgrounding',
  '--disable-breakpad',
  '--disable-component-update',
  '--disable-default-apps',
  '--disable-dev-shm-usage',
  '--disable-extensions',
  '--disable-gpu',
  '--disable-sync',
  '--mute-audio',
  '--no-default-browser-check',
  '--no-first-run',
];

interface Evaluated {
  readonly result: { readonly value?: unknown };
  readonly exceptionDetails?: {
    readonly text: string;
    readonly exception?: { readonly description?: string };
  };
}

async function openPage(control: RemoteControl, url: string): Promise<Page> {
  const target = (await control.ask('Target.createTarget', { url, newWindow: true })) as {
    readonly targetId: string;
  };
  const attach = { targetId: target.targetId, flatten: true };
  const session = (await control.ask('Target.attachToTarget', attach)) as { sessionId: string };
  const place = { sessionId: session.sessionId };
  return {
    evaluate: async (expression) => {
      const how = { expression, awaitPromise: true, returnByValue: true, userGesture: true };
      const answer = (await control.ask('Runtime.evaluate', how, place)) as Evaluated;
      const { result, exceptionDetails } = answer;
      if (exceptionDetails === undefined) return result.value;
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    },
    command: (method, parameters) => control.ask(method, parameters, place),
    screenshot: async () => {
      const shot = await control.ask('Page.captureScreenshot', { format: 'png' }, place);
      return Buffer.from((shot as { readonly data: string }).data, 'base64');
    },
  };
}

export const chromium: BrowserKind = {
  program: 'chromium',
  environment: {},
  prepare: (folder) => [...switches, `--user-data-dir=${folder.file('profile')}`, 'about:blank'],
  address: (printed) => {
    const [, url] = /DevTools listening on (ws:\S+)/.exec(printed) ?? [];
    return url === undefined ? null : new URL(url);
  },
  start: async () => {},
  openPage,
};
