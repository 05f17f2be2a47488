/** The options of the replay at takeover. */
import { ipVersion, splitHostPort } from './addresses.js';
import { ConfigError } from './errors.js';

/** An IP address and a port. */
export interface ReplayEndpoint {
  readonly address: string;
  readonly port: number;
}

/** A standby hears what the other node is sent, and sends on at a takeover what that one did not. */
export interface ReplayConfig {
  /** Devices that it is heard on. */
  readonly devices: readonly string[];
  /** The ways of heartbeats, from here to the other node. */
  readonly paths: readonly { readonly local: ReplayEndpoint; readonly peer: ReplayEndpoint }[];
  readonly keyFile: string;
  /** So long packets are kept. */
  readonly windowMs: number;
}

export const replayOptions = [
  'replay-interface',
  'replay-listen',
  'replay-peer',
  'replay-key-file',
] as const;

/** More are of no use, and the thread waits for so many. */
const maxPaths = 4;
const maxDevices = 4;

interface Texts {
  texts(name: string): readonly string[];
  text(name: string): string | null;
  number(name: string): number;
}

const fail = (option: string, message: string): never => {
  throw new ConfigError('bad-value', option, message);
};

function endpoint(option: string, text: string): ReplayEndpoint {
  const parts = splitHostPort(text);
  if (parts === null || ipVersion(parts.host) === 0)
    return fail(option, `Invalid IP or port '${text}' (--${option})`);
  return { address: parts.host, port: parts.port };
}

/** null: none of the options is given. @throws ConfigError */
export function replayConfig(options: Texts, kernelForward: string): ReplayConfig | null {
  const devices = options.texts('replay-interface');
  const locals = options.texts('replay-listen');
  const peers = options.texts('replay-peer');
  const keyFile = options.text('replay-key-file') ?? '';
  const given = [devices.length > 0, locals.length > 0, peers.length > 0, keyFile !== ''];
  const missing = given.indexOf(false);
  if (!given.includes(true)) return null;
  if (missing >= 0) {
    const name = replayOptions[missing] ?? '';
    return fail(name, `--${name} is missing: replay takes all of --${replayOptions.join(', --')}`);
  }
  if (kernelForward !== 'none') {
    fail(
      'replay-interface',
      'Replay takes media in user space: --table=-1, or --kernel-forward=none (what the kernel forwards it does not tell of)',
    );
  }
  if (locals.length !== peers.length)
    fail('replay-peer', '--replay-listen and --replay-peer: one of each for each path');
  if (locals.length > maxPaths) fail('replay-listen', `More than ${maxPaths} paths`);
  if (devices.length > maxDevices) fail('replay-interface', `More than ${maxDevices} devices`);
  const paths = locals.map((text, at) => {
    const local = endpoint('replay-listen', text);
    const peer = endpoint('replay-peer', peers[at] ?? '');
    if (ipVersion(local.address) !== ipVersion(peer.address))
      fail('replay-peer', `${text} cannot reach ${peers[at] ?? ''}: IPv4 and IPv6`);
    return { local, peer };
  });
  return { devices, paths, keyFile, windowMs: options.number('replay-window') };
}
