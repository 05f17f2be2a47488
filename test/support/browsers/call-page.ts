/** A page of `call-page.html`: one end of a call, as a test drives it. */
import { fileURLToPath, pathToFileURL } from 'node:url';
import type { Browser, Page } from './browser.js';

const document = pathToFileURL(fileURLToPath(new URL('./call-page.html', import.meta.url))).href;

export interface CallOptions {
  readonly audio?: boolean;
  readonly video?: boolean;
  /** RTCConfiguration. */
  readonly configuration?: Readonly<Record<string, unknown>>;
  /** Audio codecs by their MIME types in lower case; null: as the browser likes. */
  readonly prefer?: readonly string[] | null;
}

/** A change of `connectionState`, `iceConnectionState` or `signalingState`. */
export interface StateChange {
  readonly what: 'connectionState' | 'iceConnectionState' | 'signalingState';
  readonly value: string;
  /** Since the page was opened. */
  readonly atMs: number;
}

/** Of what comes: packets of audio, decoded frames of video. */
export interface Progress {
  readonly advanced: number;
  /** The longest time without any, looked at every 50 ms. */
  readonly longestMs: number;
}

export interface MediaProgress {
  readonly audio?: Progress;
  readonly video?: Progress;
}

/** An entry of getStats(). */
export type StatsEntry = Readonly<Record<string, unknown>>;

export class CallPage {
  private constructor(private readonly page: Page) {}

  static async open(browser: Browser, options: CallOptions = {}): Promise<CallPage> {
    const { audio = true, video = true, configuration = {}, prefer = null } = options;
    const page = new CallPage(await browser.openPage(document));
    await page.#until('typeof page === "object"');
    await page.#run('open', { audio, video, configuration, prefer });
    return page;
  }

  async #until(condition: string): Promise<void> {
    for (let attempt = 0; attempt < 500; attempt += 1) {
      // Before the document is there, it throws.
      const is = await this.page.evaluate(condition).catch(() => false);
      if (is === true) return;
    }
    throw new Error(`never true in the page: ${condition}`);
  }

  async #run(name: string, ...given: readonly unknown[]): Promise<unknown> {
    return this.page.evaluate(
      `page.${name}(${given.map((one) => JSON.stringify(one)).join(', ')})`,
    );
  }

  /** What the next offer or answer is to have: another direction of all that there is, video (more). */
  async change(what: {
    readonly direction?: 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';
    readonly video?: true;
  }): Promise<void> {
    await this.#run('change', what);
  }

  /** The body, with all its candidates. */
  async offer(options: { readonly iceRestart?: boolean } = {}): Promise<string> {
    return String(await this.#run('offer', options));
  }

  async answer(sdp: string): Promise<string> {
    return String(await this.#run('answer', sdp));
  }

  async accept(sdp: string): Promise<void> {
    await this.#run('accept', sdp);
  }

  /** Calls by SIP over WebSocket, by way of a proxy. @returns the status of the final response. */
  async invite(proxy: string, uri: string): Promise<number> {
    return Number(await this.#run('invite', proxy, uri));
  }

  /** Ends what `invite` began. */
  async hangUp(): Promise<void> {
    await this.#run('hangUp');
  }

  async connectionState(): Promise<string> {
    return String(await this.#run('state'));
  }

  async changes(): Promise<readonly StateChange[]> {
    return (await this.#run('changes')) as readonly StateChange[];
  }

  /** What `connectionState` has been, in order. */
  async connectionStates(): Promise<readonly string[]> {
    const changes = await this.changes();
    return changes.filter(({ what }) => what === 'connectionState').map(({ value }) => value);
  }

  /** What has come since it was asked last. */
  async takeProgress(): Promise<MediaProgress> {
    return (await this.#run('takeProgress')) as MediaProgress;
  }

  async stats(type: string): Promise<readonly StatsEntry[]> {
    const all = (await this.#run('stats')) as readonly StatsEntry[];
    return all.filter((entry) => entry['type'] === type);
  }

  /** Ends its call; it has no further use. */
  async close(): Promise<void> {
    await this.#run('close');
  }

  async screenshot(): Promise<Buffer> {
    return this.page.screenshot();
  }
}
