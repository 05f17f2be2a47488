/**
 * How media ports are opened (`--port-mode`): each as a socket, or all of them steered by a BPF program
 * to one socket of each thread.
 */
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Config } from '../config/config.js';
import type { Endpoint } from '../media/call-state.js';
import { builtFile, messageOf, NativeRelayError } from '../native/addon.js';
import {
  newSteering,
  removeAbandonedSteering,
  removeLeftSteering,
  type NativeSteering,
} from '../native/bpf.js';
import { NativeRelay, type NativeRelayOptions } from '../native/relay.js';
import type { Log } from '../observe/log.js';
import { isSteeringDirectory, mountBpfFor, steeringDirectoryOf } from './bpf-pins.js';

/** The program and its tables in the kernel. */
interface Program {
  readonly steering: NativeSteering;
  readonly directory: string;
  /** Ports that may be open at a time. */
  readonly ports: number;
}

/** As `NativeSteering.open`. */
const openProgram = ({ steering, directory, ports }: Program, onlyAdopt: boolean): string | null =>
  steering.open(directory, builtFile('bpf', 'steer.bpf.o'), ports, onlyAdopt);

/** The part of steering that the daemon looks after. */
export class SteeredPorts {
  #over = false;
  /** Another process of the pair looks after the program. */
  #standsBy: boolean;
  #saidWhy = '';

  constructor(
    private readonly program: Program,
    private readonly relay: Pick<NativeRelay, 'bindPorts' | 'expectPorts' | 'releaseLeftPorts'>,
    private readonly log: Log,
    standsBy: boolean,
  ) {
    this.#standsBy = standsBy;
  }

  /** Where its maps are pinned. */
  get directory(): string {
    return this.program.directory;
  }

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
    if (this.#over || (this.#standsBy && !this.#takeOver())) return;
    const outcome = this.program.steering.check();
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

  /** The process before has ended: what it looked after goes on by itself meanwhile. false: not yet. */
  #takeOver(): boolean {
    const why = openProgram(this.program, true);
    this.#standsBy = why !== null;
    // Its lock is held until the kernel has taken the process apart.
    if (why !== null && why !== this.#saidWhy)
      this.log.warning('core', `Media ports: steered as before, but nobody looks after it: ${why}`);
    this.#saidWhy = why ?? '';
    return why === null;
  }

  /** @param keep the next process will have the sockets that are steered to. */
  close(keep: boolean): void {
    if (this.#standsBy || (keep && !this.#over)) this.program.steering.close();
    else this.program.steering.remove();
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
  /** `NativeRelay.activate` will be called. */
  readonly isOneOfPair: boolean;
}

/**
 * Instances that were killed and never came back have left programs that steer to nothing; the kernel takes 64 in all.
 */
function removeAbandoned(directory: string, log: Log): void {
  const parent = dirname(directory);
  const names = existsSync(parent) ? readdirSync(parent) : [];
  const others = names.filter(
    (name) => isSteeringDirectory(name) && join(parent, name) !== directory,
  );
  const removed = others.filter((name) => removeAbandonedSteering(join(parent, name)));
  if (removed.length === 0) return;
  log.notice(
    'core',
    `Media ports: removed what ended instances had pinned for steering: ${removed.join(', ')}`,
  );
}

/** @throws NativeRelayError: why ports cannot be steered. */
function openSteered({ config, log, relay: options, ports, isOneOfPair }: Opening): OpenedPorts {
  const directory = steeringDirectoryOf(config);
  const program = { steering: newSteering(), directory, ports };
  const { steering } = program;
  const standsBy = options.dormant === true;
  mountBpfFor(directory, log);
  if (!standsBy) removeAbandoned(directory, log);
  const reason = standsBy ? steering.look(directory) : openProgram(program, false);
  if (reason !== null) throw new NativeRelayError('relay-not-startable', reason);
  const { adopted, note, ports: portsMap, sockets, blocks } = steering.state();
  try {
    // As one of a pair it has the sockets of the process before when it is told to be active.
    const relay = new NativeRelay({
      ...options,
      dormant: standsBy || isOneOfPair,
      steering: { ports: portsMap, sockets, blocks },
    });
    const found = standsBy
      ? ', as the active process has them'
      : adopted
        ? ', those of the previous process are here'
        : '';
    log.info(
      'core',
      `Media ports: steered (--port-mode=${config.media.portMode}); pinned in ${directory}${found}`,
    );
    if (note !== '') log.notice('core', `Media ports: ${note}: replaced`);
    return { relay, steered: new SteeredPorts(program, relay, log, standsBy) };
  } catch (error) {
    if (standsBy) steering.close();
    else steering.remove();
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
  // While it stands by, what is pinned is the active process'.
  if (relay.dormant !== true) removeLeft(config, log);
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
