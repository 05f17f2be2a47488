/** What tests of kernel forwarding need: rights, and a BPF file system of their own. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder } from './child-process.js';
import { namespacesAllowed } from './namespaces.js';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** A mounted BPF file system; what is pinned in it goes when it is unmounted. */
export class BpfFileSystem {
  readonly #folder = new TemporaryFolder('bpf');

  /** @throws Error when this machine does not let the test mount one. */
  constructor() {
    execFileSync('mount', ['-t', 'bpf', 'bpf', this.#folder.path], { stdio: 'ignore' });
  }

  file(name: string): string {
    return this.#folder.file(name);
  }

  remove(): void {
    spawnSync('umount', [this.#folder.path]);
    this.#folder.remove();
  }
}

function canMount(): boolean {
  try {
    new BpfFileSystem().remove();
    return true;
  } catch {
    return false;
  }
}

/** Why BPF cannot be tested here, or null. */
export function obstacleToKernelForwarding(): string | null {
  if (!namespacesAllowed()) return 'needs root';
  if (!existsSync(`${root}build/Release/rtprelay-kernel.node`)) return 'needs libbpf';
  if (!canMount()) return 'needs a kernel with a BPF file system, and the right to mount it';
  spawnSync(`${root}scripts/build-bpf`);
  return existsSync(`${root}build/bpf/forward.bpf.o`) ? null : 'needs clang';
}

/** Why nftables cannot be tested here, or null. */
export function obstacleToNft(): string | null {
  if (!namespacesAllowed()) return 'needs root';
  if (!existsSync(`${root}build/Release/rtprelay-nft.node`)) return 'needs libnftables-dev';
  return spawnSync('nft', ['list', 'tables']).status === 0 ? null : 'needs nftables';
}
