/**
 * npm run demo:live: the live page of a daemon with calls that go well and calls that do not, in Chromium; its
 * pictures go to docs/images. Needs root (network namespaces).
 */
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { Browser, browserInstalled } from '../test/support/browsers/browser.js';
import { LivePageInBrowser, type Viewport } from '../test/support/browsers/live-page.js';
import { MediaDaemon } from '../test/support/daemons.js';
import { LiveScene, wellBehaved, type SceneCall } from '../test/support/live-scene.js';
import { NetworkNamespace, namespacesAllowed } from '../test/support/namespaces.js';
import { pause } from '../test/support/wait.js';

const folder = fileURLToPath(new URL('../docs/images/', import.meta.url));
const origin = 'http://127.0.0.1:8080';
const settleMs = Number(process.env['DEMO_SECONDS'] ?? 75) * 1000;
const desktop: Viewport = { width: 1280, height: 720 };
const telephone: Viewport = { width: 390, height: 844, mobile: true };

const names = ['alice', 'bob', 'carol', 'dave', 'erin', 'frank', 'grace', 'heidi', 'ivan', 'judy'];

function ordinary(number: number): SceneCall {
  const tags = [
    names[number % 10] ?? 'a',
    names[(number + 1 + ((number * 3) % 9)) % 10] ?? 'b',
  ] as const;
  const digits = (0x9e3779b1 * (number + 1)).toString(16).slice(-10, -2);
  const jitter = { ...wellBehaved, jitterMs: 2 + ((number * 7) % 11) };
  return {
    ...{ id: `${digits}@pbx${1 + (number % 3)}.example.net`, tags, state: 'answered' },
    phones: [jitter, { ...wellBehaved, misses: number % 5 === 0 ? 0.012 : 0 }],
  };
}

const troubled: readonly SceneCall[] = [
  {
    ...{ id: 'c7f3a1e0@pbx2.example.net', tags: ['grace', 'peggy'], state: 'answered' },
    phones: [wellBehaved, { ...wellBehaved, sends: false }],
  },
  {
    ...{ id: '5d09be74@pbx1.example.net', tags: ['sybil', 'victor'], state: 'answered' },
    phones: [
      { ...wellBehaved, jitterMs: 28 },
      { ...wellBehaved, misses: 0.11 },
    ],
  },
  {
    ...{ id: 'e81b6620@pbx3.example.net', tags: ['walter', 'trent'], state: 'hold' },
    phones: [wellBehaved, wellBehaved],
  },
  {
    ...{ id: '0aa4d3f9@pbx1.example.net', tags: ['oscar', 'mallory'], state: 'ringing' },
    phones: [wellBehaved, wellBehaved],
  },
];

async function shoot(page: LivePageInBrowser, name: string): Promise<void> {
  await pause(1200);
  // A ring around what has the focus is for the keyboard.
  await page.evaluate('document.activeElement.blur()');
  const path = `${folder}${name}.png`;
  writeFileSync(path, await page.screenshot());
  // A palette makes it a third as large; where nobody makes one, it stays as it is.
  spawnSync('convert', [path, '-strip', '-colors', '96', `PNG8:${path}`], { stdio: 'ignore' });
  console.log(`  docs/images/${name}.png`);
}

async function pictures(browser: Browser): Promise<void> {
  const page = await LivePageInBrowser.open(browser, origin, desktop);
  await page.prefer('light');
  await shoot(page, 'live-list');
  await page.prefer('dark');
  await page.click('.row.one-way');
  await page.until('document.querySelector("#detail .summary") !== null', 'the call');
  await shoot(page, 'live-call');
  await page.press('Escape');
  await page.prefer('light');
  await page.resize(telephone);
  await shoot(page, 'live-phone-list');
  await page.prefer('dark');
  await page.click('.row.poor');
  await page.until('document.querySelector("#detail .summary") !== null', 'the call');
  await shoot(page, 'live-phone-call');
}

if (!namespacesAllowed() || !browserInstalled('chromium')) {
  console.error('This needs root and chromium.');
  process.exit(2);
}
mkdirSync(folder, { recursive: true });
const namespace = new NetworkNamespace('live-demo');
const daemon = await MediaDaemon.start('rtprelayd', {
  ...{ namespace: namespace.name, controlPort: 2223, portRange: { min: 30_000, max: 30_999 } },
  extra: ['--listen-http=127.0.0.1:8080', '--live-page', '--measure-rtp'],
});
await daemon.process.untilLogged('Startup complete');
const scene = await LiveScene.start(namespace, 2223);
let browser: Browser | null = null;
try {
  const calls = [...Array.from({ length: 20 }, (_, number) => ordinary(number)), ...troubled];
  for (const call of calls) {
    await scene.ask({ op: 'call', call });
    await pause(settleMs / 60);
  }
  console.log(`${calls.length} calls; the page needs a past: waiting`);
  await pause(settleMs);
  browser = await Browser.start('chromium', namespace.name);
  await pictures(browser);
} finally {
  scene.stop();
  await browser?.stop();
  await daemon.stop();
  await namespace.killAll();
  browser?.removeFiles();
  namespace.remove();
}
