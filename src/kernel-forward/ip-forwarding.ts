/** Whether the machine forwards packets at all, which nftables cannot do without. */
import type { Family } from './nft-ruleset.js';

/** Files of /proc. */
export interface SystemFiles {
  /** null: there is no such file. */
  readonly read: (path: string) => string | null;
  /** Why not, or null. */
  readonly write: (path: string, text: string) => string | null;
}

/** The device's own setting for IPv4; for IPv6 there is one for the machine. */
const settingOf = (device: string, family: Family): readonly string[] =>
  family === 'ipv4'
    ? ['net', 'ipv4', 'conf', device, 'forwarding']
    : ['net', 'ipv6', 'conf', 'all', 'forwarding'];

/** As sysctl writes it: dots of a device's name are slashes there. */
const nameOf = (setting: readonly string[]): string =>
  setting.map((word) => word.replaceAll('.', '/')).join('.');

const fileOf = (setting: readonly string[]): string => `/proc/sys/${setting.join('/')}`;

export function isForwarding(files: SystemFiles, device: string, family: Family): boolean {
  return files.read(fileOf(settingOf(device, family)))?.trim() === '1';
}

/** Flags of /proc/net/ipv6_route (linux/ipv6_route.h): a default route from an advertisement. */
const advertised = 0x0004_0000 | 0x0001_0000;
const flagsColumn = 8;

/** A machine that forwards IPv6 takes no routes from advertisements and loses those it has. */
function routesAreAdvertised(files: SystemFiles): boolean {
  const lines = (files.read('/proc/net/ipv6_route') ?? '').split('\n');
  return lines.some((line) => {
    const flags = Number.parseInt(line.split(/\s+/)[flagsColumn] ?? '0', 16);
    return (flags & advertised) === advertised;
  });
}

/** Switches forwarding on when that is allowed. Why it is off, or null. */
export function ensureForwarding(
  files: SystemFiles,
  device: string,
  family: Family,
  maySet: boolean,
): string | null {
  if (isForwarding(files, device, family)) return null;
  const setting = settingOf(device, family);
  const off = `IP forwarding is off (${nameOf(setting)})`;
  if (!maySet) return `${off}; --kernel-forward-set-forwarding switches it on`;
  if (family === 'ipv6' && routesAreAdvertised(files)) {
    return `${off} and stays off: the routes come from router advertisements and would be lost`;
  }
  const refusal = files.write(fileOf(setting), '1\n');
  return refusal === null ? null : `${off} and cannot be switched on: ${refusal}`;
}
