/**
 * Calls of phones that send RTP and RTCP as real ones do, in a network namespace: what the live page has to
 * show. Loss is made, and reported by whoever misses packets.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { NetworkNamespace } from './namespaces.js';
import { until } from './wait.js';

/** How one phone behaves. */
export interface PhoneManner {
  /** false: it sends nothing. */
  readonly sends: boolean;
  /** Of what it sends, what is lost before the relay, 0 to 1. */
  readonly loses: number;
  /** Of what is sent to it, what is lost behind the relay. */
  readonly misses: number;
  /** Its packets come up to so much late, ms. */
  readonly jitterMs: number;
}

export const wellBehaved: PhoneManner = { sends: true, loses: 0, misses: 0, jitterMs: 2 };

export interface SceneCall {
  readonly id: string;
  readonly tags: readonly [string, string];
  /** `hold`: the second phone answers with a=sendonly; `ringing`: it does not answer. */
  readonly state: 'answered' | 'hold' | 'ringing';
  readonly phones: readonly [PhoneManner, PhoneManner];
}

export type SceneRequest =
  | { readonly op: 'call'; readonly call: SceneCall }
  | {
      readonly op: 'manner';
      readonly id: string;
      readonly side: 0 | 1;
      readonly manner: PhoneManner;
    }
  | { readonly op: 'end'; readonly id: string }
  | { readonly op: 'query'; readonly id: string }
  /** Calls that nobody answers, without phones. */
  | { readonly op: 'offers'; readonly ids: readonly string[] };

const alive = new Set<ChildProcess>();
process.on('exit', () => {
  for (const child of alive) child.kill('SIGKILL');
});

export class LiveScene {
  readonly #child: ChildProcess;
  readonly #waiting: ((line: string) => void)[] = [];
  #ready = false;

  private constructor(namespace: NetworkNamespace, ngPort: number) {
    const program = fileURLToPath(new URL('./live-scene-process.ts', import.meta.url));
    const { NODE_EXTRA_CA_CERTS: _certificates, ...env } = process.env;
    const words = ['netns', 'exec', namespace.name, process.execPath, '--import', 'tsx', program];
    const stdio = ['pipe', 'pipe', 'inherit'] as const;
    this.#child = spawn('ip', [...words, String(ngPort)], { env, stdio: [...stdio] });
    alive.add(this.#child);
    this.#child.on('exit', () => alive.delete(this.#child));
    if (this.#child.stdout === null) throw new Error('no output of the scene');
    createInterface({ input: this.#child.stdout }).on('line', (line) => {
      if (line === 'ready') this.#ready = true;
      else this.#waiting.shift()?.(line);
    });
  }

  /** @param ngPort of a daemon at 127.0.0.1 of the namespace. */
  static async start(namespace: NetworkNamespace, ngPort: number): Promise<LiveScene> {
    const scene = new LiveScene(namespace, ngPort);
    await until(() => scene.#ready, 'the phones of the scene', 30_000);
    return scene;
  }

  /** Resolves when it is done, to the reply of the daemon if there is one. @throws Error with its reason. */
  async ask(request: SceneRequest): Promise<unknown> {
    const line = await new Promise<string>((resolve) => {
      this.#waiting.push(resolve);
      this.#child.stdin?.write(`${JSON.stringify(request)}\n`);
    });
    const { value, error } = JSON.parse(line) as { value?: unknown; error?: string };
    if (error !== undefined) throw new Error(error);
    return value;
  }

  stop(): void {
    this.#child.stdin?.end();
    this.#child.kill('SIGKILL');
  }
}
