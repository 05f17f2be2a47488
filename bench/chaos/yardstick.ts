/** How slow the machine is from moment to moment: what a process waits for that wants a processor as those under test do. */
import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const program = fileURLToPath(new URL('yardstick-process.ts', import.meta.url));

interface Sample {
  readonly from: number;
  readonly to: number;
  readonly times: number;
}

/** Between two samples nothing is known: the neighbours count. */
const reachMicros = 1_500_000;
/** Whoever is slower than that is not measured any more. */
const most = 10;

/** The worst of the samples around that time; at least 1, at most 10. */
export function slownessOf(samples: readonly Sample[], from: number, to: number): number {
  const near = samples.filter(
    (sample) => sample.to >= from - reachMicros && sample.from <= to + reachMicros,
  );
  return Math.min(most, Math.max(1, ...near.map(({ times }) => times)));
}

export class Yardstick {
  readonly #samples: Sample[] = [];
  readonly #child: ChildProcess;
  #rest = '';

  constructor() {
    this.#child = spawn(process.execPath, ['--import', 'tsx', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    this.#child.stdout?.on('data', (bytes: Buffer) => this.#told(bytes.toString('latin1')));
  }

  #told(text: string): void {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop() ?? '';
    for (const line of lines) {
      const [from = 0, to = 0, used = 1] = line.split(' ').map(Number);
      this.#samples.push({ from, to, times: (to - from) / used });
    }
  }

  /** Of CLOCK_MONOTONIC, µs. */
  slowness(from: number, to: number): number {
    return slownessOf(this.#samples, from, to);
  }

  stop(): void {
    this.#child.kill('SIGKILL');
  }
}
