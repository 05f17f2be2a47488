/**
 * How media ports are opened (`--port-mode`): each as a socket, or all of them steered by a BPF program
 * to one socket of each thread.
 */
import { existsSync } from 'node:fs';
import type { Config } from '../config/config.js';
import type { Endpoint } from '../media/call-state.js';
import { builtFile, messageOf, NativeRelayError } from '../native/addon.js';
import { newSteering, removeLeftSteering, type NativeSteering } from '../native/bpf.js';
import { NativeRelay, type NativeRelayOptions } from '../native/relay.js';
import type { Log } from '../observe/log.js';
import { mountBpfFor, steeringDirectoryOf } from './bpf-pins.js';

/** The part of steering that the daemon looks after. */
export class SteeredPorts {
  #over = false;

  constructor(
    private readonly steering: NativeSteering,
    private readonly relay: Pick<NativeRelay, 'bindPorts' | 'expectPorts' | 'releaseLeftPorts'>,
    private readonly log: Log,
  ) {}

  /** Ports of calls that are about to be restored: packets for them wait from now on. */
  expect(endpoints: readonly Endpoint[]): void {
    if (!this.#over) this.relay.expectPorts(endpoints);
  }

  /** Ports of an earlier process that no call has: whoever binds them may have them. */
  releaseLeft(): number {
    return this.#over ? 0 : this.relay.releaseLeftPorts();
  }

  /** Somebody may have detached the program. Where it cannot come back, ports get sockets. */
  everySecond(): void {
    if (this.#over) return;
    const outcome = this.steering.check();
    if (outcome === true) return;
    if (outcome === false) {
      this.log.warning('core', 'Media ports: the program was detached, and is attached again');
      return;
    }
    this.log.error(
      'core',
      `Media ports: bound from now on, steering has come to an end: ${outcome}`,
    );
    this.#over = true;
    this.relay.bindPorts();
  }

  /** @param keep the next process will have the sockets that are steered to. */
  close(keep: boolean): void {
    if (keep && !this.#over) this.steering.close();
    else this.steering.remove();
  }
}

export interface OpenedPorts {
  readonly relay: NativeRelay;
  /** null: each port has a socket. */
  readonly steered: SteeredPorts | null;
}

interface Opening {
  readonly config: Config;
  readonly log: Log;
  readonly relay: NativeRelayOptions;
  /** Number of ports on all addresses. */
  readonly ports: number;
}

/** @throws NativeRelayError: why ports cannot be steered. */
function openSteered({ config, log, relay: options, ports }: Opening): OpenedPorts {
  const steering = newSteering();
  const directory = steeringDirectoryOf(config);
  mountBpfFor(directory);
  const reason = steering.open(directory, builtFile('bpf', 'steer.bpf.o'), ports);
  if (reason !== null) throw new NativeRelayError('relay-not-startable', reason);
  const { adopted, note, ports: portsMap, sockets } = steering.state();
  try {
    const relay = new NativeRelay({ ...options, steering: { ports: portsMap, sockets } });
    const found = adopted ? ', those of the previous process are here' : '';
    log.info(
      'core',
      `Media ports: steered (--port-mode=${config.media.portMode}); pinned in ${directory}${found}`,
    );
    if (note !== '') log.notice('core', `Media ports: ${note}: replaced`);
    return { relay, steered: new SteeredPorts(steering, relay, log) };
  } catch (error) {
    steering.remove();
    throw error;
  }
}

/** A program that steers to sockets which are gone would only be in the way. */
function removeLeft(config: Config, log: Log): void {
  const directory = steeringDirectoryOf(config);
  if (!existsSync(directory)) return;
  let refusal: string | null;
  try {
    refusal = removeLeftSteering(directory);
  } catch (error) {
    refusal = messageOf(error);
  }
  if (refusal !== null) log.warning('core', `Media ports may still be steered: ${refusal}`);
}

function openBound({ config, log, relay }: Opening, why: string): OpenedPorts {
  removeLeft(config, log);
  log.info('core', `Media ports: bound${why}`);
  return { relay: new NativeRelay(relay), steered: null };
}

/** One log line says which mode it is, and why. @throws NativeRelayError */
export function openPorts(opening: Opening): OpenedPorts {
  const { portMode } = opening.config.media;
  if (portMode === 'bound') return openBound(opening, ' (--port-mode=bound)');
  try {
    return openSteered(opening);
  } catch (error) {
    if (portMode === 'steered') {
      const text = `--port-mode=steered: ${messageOf(error)}`;
      throw new NativeRelayError('relay-not-startable', text, { cause: error });
    }
    return openBound(opening, ` (they cannot be steered: ${messageOf(error)})`);
  }
}
