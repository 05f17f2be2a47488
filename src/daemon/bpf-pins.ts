/** Where the kernel keeps what outlives the process. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, statfsSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { Log } from '../observe/log.js';

const bpfFileSystem = '/sys/fs/bpf';
/** BPF_FS_MAGIC of linux/magic.h. */
const bpfType = 0xcafe4a11;

/** One directory for each instance: several may run on a machine. */
export function pinDirectoryOf(config: Config): string {
  if (config.media.kernelForwardPins !== null) return config.media.kernelForwardPins;
  const { listenNg, listenTcpNg, listenHttp, listenHttps } = config.control;
  const [first] = [...listenNg, ...listenTcpNg, ...listenHttp, ...listenHttps];
  const address = first?.host ?? 'any';
  const name = `${address}_${first?.port ?? 0}`.replace(/[^A-Za-z0-9_-]/g, '-');
  return `${bpfFileSystem}/rtprelay-${name}`;
}

/**
 * Mounts the kernel's own BPF file system where a machine without systemd has none. In a container it goes
 * with the container, and so does what is pinned there; TC's flows are found by the program that is attached.
 * true: it was mounted now.
 */
export function mountBpfFor(pinDirectory: string, log: Log): boolean {
  if (!pinDirectory.startsWith(`${bpfFileSystem}/`)) return false;
  if (process.getuid?.() !== 0) return false;
  // A failure shows when the directory is opened, with a better reason.
  try {
    mkdirSync(bpfFileSystem, { recursive: true });
    if (statfsSync(bpfFileSystem).type === bpfType) return false;
  } catch {
    return false;
  }
  const mount = spawnSync('mount', ['-t', 'bpf', 'bpf', bpfFileSystem], { stdio: 'ignore' });
  if (mount.status !== 0) return false;
  log.notice(
    'core',
    `There was no BPF file system on ${bpfFileSystem}, it is mounted now. In a container it ends with it: the next one finds TC's flows only ` +
      `in the same network and with CAP_SYS_ADMIN, and XDP's end. Give it the machine's (--volume=${bpfFileSystem}:${bpfFileSystem})`,
  );
  return true;
}

/** Steered ports have a directory beside that of the flows: each is locked and cleared by itself. */
export const steeringDirectoryOf = (config: Config): string => `${pinDirectoryOf(config)}-ports`;

/** Whether a directory with this name may be that of an instance's steered ports. */
export const isSteeringDirectory = (name: string): boolean => /^rtprelay-.*-ports$/.test(name);
