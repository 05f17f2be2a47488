/** The live page in Chromium, as a test or the demonstration uses it. */
import type { Browser, Page } from './browser.js';
import { until } from '../wait.js';

export interface Viewport {
  readonly width: number;
  readonly height: number;
  /** A telephone: touch, and its own idea of widths. */
  readonly mobile?: boolean;
}

/** Notes what the policy of the page forbids, from its first moment on. */
const watchPolicy =
  "window.violations = []; addEventListener('securitypolicyviolation', (event) => " +
  'window.violations.push(event.violatedDirective + " " + event.blockedURI));';

export class LivePageInBrowser {
  private constructor(private readonly page: Page) {}

  /** @param origin `http://…` of the daemon. */
  static async open(
    browser: Browser,
    origin: string,
    viewport: Viewport,
    path = '/live',
  ): Promise<LivePageInBrowser> {
    const page = new LivePageInBrowser(await browser.openPage('about:blank'));
    await page.command('Page.enable', {});
    await page.command('Page.addScriptToEvaluateOnNewDocument', { source: watchPolicy });
    await page.resize(viewport);
    await page.command('Page.navigate', { url: `${origin}${path}` });
    await page.until('document.querySelector("#link")?.dataset.state === "live"', 'the feed');
    return page;
  }

  async command(method: string, parameters: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.page.command === undefined) throw new Error('Chromium only');
    return this.page.command(method, parameters);
  }

  async resize({ width, height, mobile = false }: Viewport): Promise<void> {
    const scale = { deviceScaleFactor: 1, mobile };
    await this.command('Emulation.setDeviceMetricsOverride', { width, height, ...scale });
  }

  /** What the system of the viewer prefers. */
  async prefer(scheme: 'dark' | 'light'): Promise<void> {
    const features = [
      { name: 'prefers-color-scheme', value: scheme },
      { name: 'prefers-reduced-motion', value: 'reduce' },
    ];
    await this.command('Emulation.setEmulatedMedia', { features });
  }

  async evaluate(expression: string): Promise<unknown> {
    return this.page.evaluate(expression);
  }

  async until(condition: string, what: string, timeoutMs = 20_000): Promise<void> {
    const holds = async (): Promise<boolean> =>
      (await this.page.evaluate(condition).catch(() => false)) === true;
    await until(holds, what, timeoutMs);
  }

  async text(selector: string): Promise<string> {
    return String(
      await this.evaluate(`document.querySelector(${JSON.stringify(selector)})?.innerText ?? ''`),
    );
  }

  async click(selector: string): Promise<void> {
    await this.evaluate(`document.querySelector(${JSON.stringify(selector)}).click()`);
  }

  /** A key, as the keyboard sends it. */
  async press(key: string, code = key): Promise<void> {
    const text = key === 'Enter' ? '\r' : key.length === 1 ? key : undefined;
    const codes: Readonly<Record<string, number>> = {
      Enter: 13,
      Escape: 27,
      ArrowDown: 40,
      ArrowUp: 38,
      Tab: 9,
      End: 35,
      Home: 36,
    };
    const common = { key, code, windowsVirtualKeyCode: codes[key] ?? key.charCodeAt(0) };
    await this.command('Input.dispatchKeyEvent', {
      type: 'keyDown',
      ...common,
      ...(text === undefined ? {} : { text }),
    });
    await this.command('Input.dispatchKeyEvent', { type: 'keyUp', ...common });
  }

  async type(text: string): Promise<void> {
    await this.command('Input.insertText', { text });
  }

  async screenshot(): Promise<Buffer> {
    return this.page.screenshot();
  }
}
