/** Who may use the control listeners: `--control-allow`. */
import { BlockList } from 'node:net';
import { ipVersion } from './addresses.js';
import { ConfigError } from './errors.js';

/** Tells whether an address (IPv6 without brackets, perhaps with a scope) may use the listeners. */
export type AccessList = (address: string) => boolean;

/** What those are told who are not. */
export const notAllowed = 'not allowed (--control-allow)';

const option = 'control-allow';

function add(list: BlockList, text: string): void {
  const [host = '', prefix, ...rest] = text.split('/');
  const version = ipVersion(host);
  const longest = version === 4 ? 32 : 128;
  const length = prefix === undefined ? longest : /^\d{1,3}$/.test(prefix) ? Number(prefix) : -1;
  if (version === 0 || rest.length > 0 || length < 0 || length > longest) {
    throw new ConfigError('bad-value', option, `Invalid network '${text}' (--${option})`);
  }
  list.addSubnet(host, length, version === 4 ? 'ipv4' : 'ipv6');
}

/**
 * From `ADDR` or `ADDR/PREFIX` each, separated by commas or given several times; none: everybody, as
 * with rtpengine. IPv4 addresses in IPv6 form count as IPv4.
 * @throws ConfigError naming the network that is none.
 */
export function accessList(texts: readonly string[]): AccessList {
  const networks = texts.flatMap((text) => text.split(',')).map((text) => text.trim());
  const given = networks.filter((text) => text !== '');
  if (given.length === 0) return () => true;
  const list = new BlockList();
  for (const network of given) add(list, network);
  return (address) => {
    const [bare = ''] = address.split('%');
    const plain = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(bare)?.[1] ?? bare;
    const version = ipVersion(plain);
    return version !== 0 && list.check(plain, version === 4 ? 'ipv4' : 'ipv6');
  };
}
