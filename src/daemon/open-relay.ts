/** The relay in userspace, with the kernel before it where it is wanted and to be had. */
import type { Config, SchedulingConfig } from '../config/config.js';
import type { KernelRelay } from '../kernel-forward/kernel-relay.js';
import type { InterfaceTable } from '../media/interfaces.js';
import type { MediaRelay } from '../media/relay.js';
import {
  processorRefusal,
  schedulingPolicyNamed,
  schedulingRefusal,
  type NativeRelay,
  type ThreadScheduling,
} from '../native/relay.js';
import type { Log } from '../observe/log.js';
import type { SteadyClock } from './clocks.js';
import type { KernelDevices } from './kernel-devices.js';
import { addressesOf, portCount } from './machine.js';
import { openPorts, type SteeredPorts } from './steered-ports.js';

export interface OpenRelayOptions {
  readonly config: Config;
  readonly log: Log;
  readonly clock: SteadyClock;
  readonly interfaces: InterfaceTable;
  /** Bind addresses that the machine does not have (yet). */
  readonly freeBind: boolean;
  /** The calls are another process'; the kernel's flows, too. */
  readonly dormant: boolean;
  /** It is told when the calls are its own (`NativeRelay.activate`), even if there are none yet. */
  readonly isOneOfPair: boolean;
}

export interface OpenedRelay {
  readonly relay: MediaRelay;
  /** That in userspace. */
  readonly inner: NativeRelay;
  /** null: nothing is forwarded in the kernel. */
  readonly kernelRelay: KernelRelay | null;
  readonly kernelDevices: KernelDevices | null;
  /** null: each port has a socket. */
  readonly steered: SteeredPorts | null;
}

type InKernel = Omit<OpenedRelay, 'steered' | 'inner'>;

/** What of it is permitted; the rest is said where the operator has asked for it. */
function threadScheduling(
  option: string,
  { policy: word, priority, asked }: SchedulingConfig,
  log: Log,
): ThreadScheduling {
  const policy = schedulingPolicyNamed(word);
  if (policy === null)
    log.warning('core', `${option}=${word}: there is no such policy, it has no effect`);
  const wanted = { policy: policy ?? 'default', priority };
  const refused = schedulingRefusal(wanted);
  if (refused === null) return wanted;
  const told = `${option}=${word}, priority ${priority ?? 'not given'}: ${refused}; the threads run as the process does`;
  log[asked ? 'warning' : 'debug']('core', told);
  return { policy: 'default', priority: null };
}

/** Says which threads will not run where the operator wants them. */
function sayRefusedCpus(cpus: readonly number[], threads: number, log: Log): void {
  for (const cpu of cpus.slice(0, threads)) {
    const refused = processorRefusal(cpu);
    if (refused !== null)
      log.warning('core', `media-cpus: ${cpu}: ${refused}; its threads run where the process may`);
  }
  if (cpus.length > threads)
    log.warning(
      'core',
      `media-cpus: ${cpus.length} CPUs for ${threads} threads, the first are used`,
    );
}

/** @throws NativeRelayError; FallbackError when the kernel must do it and cannot. */
export async function openRelay(options: OpenRelayOptions): Promise<OpenedRelay> {
  const { config, clock, freeBind, log, interfaces, dormant, isOneOfPair } = options;
  const { epochMicros } = clock;
  const { numThreads: workers, mediaCpus, mos, dtlsMtu: mtu, dtlsCiphers: ciphers } = config.media;
  sayRefusedCpus(mediaCpus, workers, log);
  const { relay: inner, steered } = openPorts({
    ...{ config, log, isOneOfPair, ports: portCount(interfaces, config.media) },
    relay: {
      ...{ workers, mediaCpus, freeBind, epochMicros, mos, dormant, dtls: { mtu, ciphers } },
      coalesceMicros: config.media.coalesceMicros,
      replays: config.media.replay !== null,
      scheduling: {
        media: threadScheduling('scheduling', config.media.scheduling, log),
        idle: threadScheduling('idle-scheduling', config.media.idleScheduling, log),
      },
    },
  });
  const alone = { relay: inner, inner, kernelRelay: null, kernelDevices: null, steered };
  if (config.media.kernelForward === 'none' || dormant) return alone;
  try {
    const inKernel = await openInKernel(options, inner);
    return inKernel === null ? alone : { ...inKernel, inner, steered };
  } catch (error) {
    inner.close();
    steered?.close(false);
    throw error;
  }
}

/**
 * Puts the kernel before a relay; null: it is not to be had. `patienceMs`: so long it waits for a process that has just
 * ended. @throws FallbackError
 */
export async function openInKernel(
  {
    config,
    log,
    clock,
    interfaces,
  }: Omit<OpenRelayOptions, 'freeBind' | 'dormant' | 'isOneOfPair'>,
  inner: MediaRelay,
  patienceMs = 0,
): Promise<InKernel | null> {
  const [
    { FallbackError, openKernelForwarding },
    { KernelDevices },
    { KernelRelay, inheritedFlows },
  ] = await Promise.all([
    import('./kernel.js'),
    import('./kernel-devices.js'),
    import('../kernel-forward/kernel-relay.js'),
  ]);
  const addresses = addressesOf(interfaces);
  const ports = portCount(interfaces, config.media);
  const forwarder = await openKernelForwarding(config, { addresses, ports }, log, patienceMs);
  if (forwarder === null) return null;
  const kernelRelay = new KernelRelay({
    ...{ inner, forwarder, nowMicros: clock.nowMicros },
    inherited: await inheritedFlows(forwarder),
    monotonicMicros: () => Number(process.hrtime.bigint()) / 1000,
    warn: (message) => log.warning('core', message),
    error: (message) => log.error('core', message),
  });
  const kernelDevices = new KernelDevices({
    ...{ forwarder, log, mediaAddresses: addresses },
    wanted: config.media.kernelForwardInterfaces,
  });
  if (!forwarder.replaces) kernelDevices.start();
  const { refused } = kernelDevices;
  if (config.media.noFallback && refused.length > 0 && forwarder.devices.length === 0) {
    // What an earlier process has left goes on.
    if (forwarder.adopted) forwarder.close();
    else forwarder.removeAll();
    throw new FallbackError(
      `Userspace fallback disallowed (--no-fallback): no kernel forwarding on ${refused.join(', ')}`,
    );
  }
  return { relay: kernelRelay, kernelRelay, kernelDevices };
}
