/** Chooses and starts kernel forwarding, and keeps it on the right devices. */
import { spawnSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import type { Config } from '../config/config.js';
import { devicesFor } from '../kernel-forward/devices.js';
import { BpfForwarder } from '../kernel-forward/bpf-forwarder.js';
import type { KernelForwarder, KernelMode } from '../kernel-forward/forwarder.js';
import { builtFile } from '../media/native-relay.js';
import type { Log } from '../observe/log.js';

const bpfFileSystem = '/sys/fs/bpf';
const leastFlows = 64;
/** Ports that a call of audio and video has for RTP, on one address. */
const flowsPerCall = 8;

/** Kernel forwarding was demanded (--no-fallback) and is not to be had. */
export class FallbackError extends Error {
  override readonly name = 'FallbackError';
}

/** One directory for each instance: several may run on a machine. */
function pinDirectoryOf(config: Config): string {
  if (config.media.kernelForwardPins !== null) return config.media.kernelForwardPins;
  const [first] = config.control.listenNg;
  const address = first?.host ?? 'any';
  const name = `${address}_${first?.port ?? 0}`.replace(/[^A-Za-z0-9_-]/g, '-');
  return `${bpfFileSystem}/rtprelay-${name}`;
}

/** Mounts the kernel's own BPF file system where a machine without systemd has none. */
function mountBpf(): void {
  // Its failure shows when the directory is opened, with a better reason.
  const mounted = spawnSync('mountpoint', ['-q', bpfFileSystem]).status === 0;
  if (mounted || process.getuid?.() !== 0) return;
  try {
    mkdirSync(bpfFileSystem, { recursive: true });
  } catch {
    return;
  }
  spawnSync('mount', ['-t', 'bpf', 'bpf', bpfFileSystem], { stdio: 'ignore' });
}

/**
 * Starts kernel forwarding if the configuration has it. One log line says what was chosen, and why
 * nothing was. @throws FallbackError
 */
export function openKernelForwarding(
  config: Config,
  addressCount: number,
  log: Log,
): KernelForwarder | null {
  const { kernelForward, portMin, portMax } = config.media;
  if (kernelForward === 'none') return null;
  const mode: KernelMode = kernelForward === 'auto' ? 'tc' : kernelForward;
  const pinDirectory = pinDirectoryOf(config);
  if (pinDirectory.startsWith(`${bpfFileSystem}/`)) mountBpf();
  const ports = (portMax - portMin + 1) * Math.max(1, addressCount);
  const { maxSessions } = config.limits;
  const needed = maxSessions > 0 ? Math.min(ports, maxSessions * flowsPerCall) : ports;
  try {
    const forwarder = new BpfForwarder({
      pinDirectory,
      objectPath: builtFile('bpf', 'forward.bpf.o'),
      mode,
      maxFlows: Math.max(leastFlows, needed),
    });
    const why = kernelForward === 'auto' ? '; XDP only when asked for' : '';
    const found = forwarder.adopted ? `, ${forwarder.flows().length} flows found there` : '';
    log.info('core', `Kernel forwarding: ${mode}${why}; pinned in ${pinDirectory}${found}`);
    for (const note of forwarder.notes) log.notice('core', `Kernel forwarding: ${note}`);
    return forwarder;
  } catch (error) {
    const [reason = '', ...details] = (error instanceof Error ? error.message : String(error))
      .trim()
      .split('\n');
    // What the kernel's verifier says is long.
    for (const line of details) log.debug('core', `Kernel forwarding: ${line}`);
    if (config.media.noFallback) {
      throw new FallbackError(`Userspace fallback disallowed (--no-fallback): ${reason}`);
    }
    log.warning('core', `No kernel forwarding, media is relayed in user space: ${reason}`);
    return null;
  }
}

/** Attaches to the devices on which media arrives, as they come and go. */
export class KernelDevices {
  readonly #refused = new Set<string>();

  constructor(
    private readonly forwarder: KernelForwarder,
    private readonly wanted: readonly string[],
    private readonly mediaAddresses: readonly string[],
    private readonly log: Log,
  ) {}

  /** Devices that carry media and could not be had. */
  get refused(): readonly string[] {
    return [...this.#refused];
  }

  /** To be called every second. */
  update(): void {
    const now = networkInterfaces();
    const devices = new Set(
      this.wanted.length > 0
        ? this.wanted.filter((device) => now[device] !== undefined)
        : devicesFor(this.mediaAddresses, now),
    );
    const attached = this.forwarder.devices;
    for (const device of attached) if (!devices.has(device)) this.#detach(device);
    for (const device of devices) if (!attached.includes(device)) this.#attach(device);
  }

  #attach(device: string): void {
    const reason = this.forwarder.attach(device);
    if (reason === null) {
      this.#refused.delete(device);
      this.log.info('core', `Kernel forwarding on ${device}`);
    } else if (!this.#refused.has(device)) {
      this.#refused.add(device);
      this.log.warning('core', `No kernel forwarding on ${device}: ${reason}`);
    }
  }

  #detach(device: string): void {
    if (this.forwarder.detach(device) === null) {
      this.log.info('core', `No kernel forwarding on ${device} any more: it carries no media`);
    }
  }
}
