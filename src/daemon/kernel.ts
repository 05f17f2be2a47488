/** Chooses and starts kernel forwarding. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import type { Config } from '../config/config.js';
import { devicesFor } from '../kernel-forward/devices.js';
import { BpfForwarder, type BpfMode } from '../kernel-forward/bpf-forwarder.js';
import { KernelForwardError, type KernelForwarder } from '../kernel-forward/forwarder.js';
import { isForwarding, type SystemFiles } from '../kernel-forward/ip-forwarding.js';
import { defaultTrialPackets, NftForwarder } from '../kernel-forward/nft-forwarder.js';
import { removeLeftTable } from '../kernel-forward/nft-table.js';
import { networkDevices } from '../native/network.js';
import { familyOf, type Family } from '../kernel-forward/nft-ruleset.js';
import { builtFile } from '../native/addon.js';
import type { Log } from '../observe/log.js';
import { mountBpfFor, pinDirectoryOf } from './bpf-pins.js';

const leastFlows = 64;
/** Ports that a call of audio and video has for RTP, on one address. */
const flowsPerCall = 8;

/** Kernel forwarding was demanded (--no-fallback) and is not to be had. */
export class FallbackError extends Error {
  override readonly name = 'FallbackError';
}

const messageOf = (error: unknown): string =>
  error instanceof Error ? error.message : String(error);

/** Where media may come in. */
export interface MediaAddresses {
  readonly addresses: readonly string[];
  /** Number of ports on all of them. */
  readonly ports: number;
}

/** Room for a flow of each port, or of each call when their number is limited. */
function maxFlowsOf(config: Config, ports: number): number {
  const { maxSessions } = config.limits;
  const needed = maxSessions > 0 ? Math.min(ports, maxSessions * flowsPerCall) : ports;
  return Math.max(leastFlows, needed);
}

/** @throws KernelForwardError */
function openBpf(config: Config, mode: BpfMode, ports: number, log: Log): BpfForwarder {
  const pinDirectory = pinDirectoryOf(config);
  if (mountBpfFor(pinDirectory, log) && mode !== 'tc')
    log.warning(
      'core',
      'Kernel forwarding by XDP ends with this process where its BPF file system does: its link is pinned there, and streams pause until the next ' +
        "process has its calls. TC's program stays on the device",
    );
  return new BpfForwarder({
    pinDirectory,
    objectPath: builtFile('bpf', 'forward.bpf.o'),
    mode,
    maxFlows: maxFlowsOf(config, ports),
  });
}

const lockedText = 'in use by another process';
const betweenTriesMs = 20;

/** As `openBpf`; a process that has ended may have its lock until the kernel has taken it apart. @throws KernelForwardError */
async function openBpfSoon(
  patienceMs: number,
  ...options: Parameters<typeof openBpf>
): Promise<BpfForwarder> {
  const until = performance.now() + patienceMs;
  for (;;) {
    try {
      return openBpf(...options);
    } catch (error) {
      if (performance.now() >= until || !messageOf(error).includes(lockedText)) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, betweenTriesMs));
  }
}

const systemFiles: SystemFiles = {
  read(path) {
    try {
      return readFileSync(path, 'latin1');
    } catch {
      return null;
    }
  },
  write(path, text) {
    try {
      writeFileSync(path, text);
      return null;
    } catch (error) {
      return messageOf(error);
    }
  },
};

const familiesOf = (addresses: readonly string[]): readonly Family[] => [
  ...new Set(addresses.map((address) => familyOf({ address, port: 0 }))),
];

/** Programs of a killed process go on forwarding, whatever this one does. */
function removeLeftPrograms(config: Config, log: Log): void {
  const pinDirectory = pinDirectoryOf(config);
  if (!existsSync(pinDirectory)) return;
  let refusal: string | null;
  try {
    refusal = openBpf(config, 'tc', 1, log).removeAll();
  } catch (error) {
    refusal = messageOf(error);
  }
  if (refusal !== null)
    log.warning('core', `BPF programs in ${pinDirectory} may still forward: ${refusal}`);
}

/** The name of the table is after what the pins are for BPF. */
const instanceOf = (config: Config): string =>
  config.media.kernelForwardPins ?? basename(pinDirectoryOf(config)).slice('rtprelay-'.length);

/** @throws KernelForwardError, NativeRelayError */
function openNft(
  config: Config,
  { addresses, ports }: MediaAddresses,
  log: Log,
): Promise<NftForwarder> {
  return NftForwarder.open({
    instance: instanceOf(config),
    maxFlows: maxFlowsOf(config, ports),
    families: familiesOf(addresses),
    setForwarding: config.media.kernelForwardSetForwarding,
    trialPackets: defaultTrialPackets,
    files: systemFiles,
    monotonicMicros: () => Number(process.hrtime.bigint()) / 1000,
    warn: (message) => log.warning('core', message),
  });
}

/** What turns forwarding on for itself is not chosen without being asked for. */
function nftWouldForward(config: Config, addresses: readonly string[]): boolean {
  const { kernelForwardInterfaces: wanted, kernelForwardSetForwarding } = config.media;
  if (kernelForwardSetForwarding) return true;
  const holders = devicesFor(addresses, networkDevices() ?? []).map(({ name }) => name);
  const devices = wanted.length > 0 ? wanted : holders;
  return devices.some((device) =>
    familiesOf(addresses).some((family) => isForwarding(systemFiles, device, family)),
  );
}

/** What a killed process has left in the kernel when this one is to forward nothing there. */
export function removeLeftForwarding(config: Config, log: Log): void {
  removeLeftPrograms(config, log);
  removeLeftTable(instanceOf(config));
}

interface Opened {
  readonly forwarder: KernelForwarder;
  /** For the log: why this one, and where it keeps its flows. */
  readonly why: string;
  readonly place: string;
}

/** @throws KernelForwardError, NativeRelayError */
async function openBackEnd(
  config: Config,
  media: MediaAddresses,
  log: Log,
  patienceMs: number,
): Promise<Opened> {
  const { kernelForward } = config.media;
  const nft = async (why: string): Promise<Opened> => {
    const forwarder = await openNft(config, media, log);
    removeLeftPrograms(config, log);
    return { forwarder, why, place: `in table inet ${forwarder.table}` };
  };
  const bpf = async (mode: BpfMode, why: string): Promise<Opened> => {
    const forwarder = await openBpfSoon(patienceMs, config, mode, media.ports, log);
    removeLeftTable(instanceOf(config));
    return { forwarder, why, place: `pinned in ${pinDirectoryOf(config)}` };
  };
  if (kernelForward === 'nft') return nft('');
  if (kernelForward !== 'auto' && kernelForward !== 'none') return bpf(kernelForward, '');
  try {
    return await bpf('tc', ' (XDP only when asked for)');
  } catch (error) {
    const reason = messageOf(error).trim();
    const [first = ''] = reason.split('\n');
    if (!nftWouldForward(config, media.addresses)) {
      throw new KernelForwardError(
        reason.replace(first, () => `${first}; nft would need IP forwarding, which is off`),
      );
    }
    try {
      return await nft(` (not tc: ${first})`);
    } catch (second) {
      throw new KernelForwardError(
        reason.replace(first, () => `tc: ${first}; nft: ${messageOf(second)}`),
      );
    }
  }
}

/**
 * Starts kernel forwarding if the configuration has it. One log line says what was chosen, and why
 * nothing was. `patienceMs`: so long it waits for a process that has just ended. @throws FallbackError
 */
export async function openKernelForwarding(
  config: Config,
  media: MediaAddresses,
  log: Log,
  patienceMs = 0,
): Promise<KernelForwarder | null> {
  if (config.media.kernelForward === 'none') return null;
  try {
    const { forwarder, why, place } = await openBackEnd(config, media, log, patienceMs);
    const found = forwarder.adopted ? `, ${forwarder.size} flows found there` : '';
    log.info('core', `Kernel forwarding: ${forwarder.mode}${why}; ${place}${found}`);
    for (const note of forwarder.notes) log.notice('core', `Kernel forwarding: ${note}`);
    return forwarder;
  } catch (error) {
    const [reason = '', ...details] = messageOf(error).trim().split('\n');
    // What the kernel's verifier says is long.
    for (const line of details) log.debug('core', `Kernel forwarding: ${line}`);
    if (config.media.noFallback) {
      throw new FallbackError(`Userspace fallback disallowed (--no-fallback): ${reason}`);
    }
    log.warning('core', `No kernel forwarding, media is relayed in user space: ${reason}`);
    return null;
  }
}
