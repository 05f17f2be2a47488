/** A headless browser with fake camera and microphone, and the pages that are open in it. */
import { spawnSync } from 'node:child_process';
import { TemporaryFolder, TestProcess } from '../child-process.js';
import { chromium } from './chromium.js';
import { firefox } from './firefox.js';
import { RemoteControl } from './remote-control.js';

export type BrowserName = 'chromium' | 'firefox';

/** What the two differ in. */
export interface BrowserKind {
  readonly program: string;
  readonly environment: Readonly<Record<string, string>>;
  /** Makes its profile in `folder`. @returns the words of its command line. */
  readonly prepare: (folder: TemporaryFolder) => readonly string[];
  /** Where it listens, from what it has printed; null: it does not yet. */
  readonly address: (printed: string) => URL | null;
  readonly start: (control: RemoteControl) => Promise<void>;
  readonly openPage: (control: RemoteControl, url: string) => Promise<Page>;
}

/** One window. */
export interface Page {
  /** The value of an expression, its promise awaited, as JSON has it. @throws Error as thrown there. */
  readonly evaluate: (expression: string) => Promise<unknown>;
  /** PNG */
  readonly screenshot: () => Promise<Buffer>;
  /** A command of the DevTools protocol; Chromium's pages alone take any. */
  readonly command?: (
    method: string,
    parameters: Readonly<Record<string, unknown>>,
  ) => Promise<unknown>;
}

const kinds: Readonly<Record<BrowserName, BrowserKind>> = { chromium, firefox };

/** true when it can be started here. */
export const browserInstalled = (name: BrowserName): boolean =>
  spawnSync('sh', ['-c', `command -v ${kinds[name].program}`], { stdio: 'ignore' }).status === 0;

/** Of a machine that is busy. */
const startTimeoutMs = 60_000;

export class Browser {
  private constructor(
    readonly name: BrowserName,
    private readonly process: TestProcess,
    private readonly control: RemoteControl,
    private readonly folder: TemporaryFolder,
  ) {}

  /** @param namespace name of the network namespace that it runs in. */
  static async start(name: BrowserName, namespace: string): Promise<Browser> {
    const kind = kinds[name];
    const folder = new TemporaryFolder(name);
    const env = { ...kind.environment, HOME: folder.path, TMPDIR: folder.path };
    const child = new TestProcess(name, kind.program, kind.prepare(folder), { namespace, env });
    try {
      await child.until(() => kind.address(child.log()) !== null, startTimeoutMs);
      const url = kind.address(child.log());
      if (url === null) throw new Error(`${name} does not say where it listens`);
      const control = await RemoteControl.connect(url, namespace, folder);
      await kind.start(control);
      return new Browser(name, child, control, folder);
    } catch (error) {
      await child.stop('SIGKILL');
      folder.remove();
      throw error;
    }
  }

  async openPage(url: string): Promise<Page> {
    return kinds[this.name].openPage(this.control, url);
  }

  /** Ends its first process; the others are ended with the namespace. */
  async stop(): Promise<void> {
    await this.control.close();
    await this.process.stop('SIGKILL');
  }

  /** Once none of its processes is left. */
  removeFiles(): void {
    this.folder.remove();
  }
}
