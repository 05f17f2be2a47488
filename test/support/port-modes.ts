/** A relay for each way to open media ports. */
import { existsSync } from 'node:fs';
import { builtFile } from '../../src/native/addon.js';
import { newSteering } from '../../src/native/bpf.js';
import { NativeRelay, type NativeRelayOptions } from '../../src/native/relay.js';

export const portModes = ['bound', 'steered'] as const;
export type PortMode = (typeof portModes)[number];

/** That of RTPRELAY_PORT_MODE. */
export const givenMode: PortMode =
  portModes.find((mode) => mode === process.env['RTPRELAY_PORT_MODE']) ?? 'bound';

let count = 0;

const pinDirectory = (): string => `/sys/fs/bpf/rtprelay-test-${process.pid}-${(count += 1)}-ports`;

const openSteering = (): ReturnType<typeof newSteering> => {
  const steering = newSteering();
  const reason = steering.open(pinDirectory(), builtFile('bpf', 'steer.bpf.o'), 1000, false);
  if (reason !== null) throw new Error(reason);
  return steering;
};

/** Why ports cannot be steered here; null: they can. */
export function steeringMissing(): string | null {
  if (!existsSync(builtFile('bpf', 'steer.bpf.o'))) return 'needs clang';
  try {
    openSteering().remove();
    return null;
  } catch (error) {
    return String(error);
  }
}

export interface TestRelay {
  readonly relay: NativeRelay;
  /** The program is detached, as far as there is one. */
  readonly detach: () => void;
  readonly close: () => void;
}

export function openTestRelay(mode: PortMode, options: NativeRelayOptions): TestRelay {
  if (mode === 'bound') {
    const relay = new NativeRelay(options);
    return { relay, detach: () => undefined, close: () => relay.close() };
  }
  const steering = openSteering();
  const { ports, sockets, blocks } = steering.state();
  const relay = new NativeRelay({ ...options, steering: { ports, sockets, blocks } });
  const detach = (): void => void steering.remove();
  return {
    relay,
    detach,
    close: () => {
      relay.close();
      detach();
    },
  };
}
