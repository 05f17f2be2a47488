/**
 * The outer IPv4 address of a machine behind its cloud's NAT, as the cloud's metadata service tells it. Each service
 * is asked as its documentation says, with a time limit: AWS (IMDSv2), Google Cloud, Azure, OpenStack (EC2-compatible).
 */
import { isIPv4 } from 'node:net';

export const clouds = ['aws', 'gcp', 'azure', 'openstack'] as const;
export type Cloud = (typeof clouds)[number];

interface Asked {
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Asks for a path and returns the text. @throws Error when the answer is none, or not 200 */
type Ask = (asked: Asked) => Promise<string>;

function asker(base: string, limitMs: number): Ask {
  return async ({ path, method = 'GET', headers = {} }) => {
    const signal = AbortSignal.timeout(limitMs);
    // A redirect leads away from the metadata service.
    const answer = await fetch(`${base}${path}`, { method, headers, signal, redirect: 'error' });
    if (answer.status !== 200) {
      await answer.body?.cancel();
      throw new Error(`${path}: status ${answer.status}`);
    }
    return (await answer.text()).trim();
  };
}

const askers: Readonly<Record<Cloud, (ask: Ask) => Promise<string>>> = {
  aws: async (ask) => {
    const token = await ask({
      path: '/latest/api/token',
      method: 'PUT',
      headers: { 'X-aws-ec2-metadata-token-ttl-seconds': '60' },
    });
    const headers = { 'X-aws-ec2-metadata-token': token };
    return await ask({ path: '/latest/meta-data/public-ipv4', headers });
  },
  gcp: async (ask) =>
    await ask({
      path: '/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip',
      headers: { 'Metadata-Flavor': 'Google' },
    }),
  azure: async (ask) => {
    const headers = { Metadata: 'true' };
    const own = await ask({
      path: '/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text',
      headers,
    });
    if (own !== '') return own;
    // Addresses of the standard kind are known to the load balancer's document alone.
    const text = await ask({ path: '/metadata/loadbalancer?api-version=2020-10-01', headers });
    return /"frontendIpAddress"\s*:\s*"([^"]*)"/.exec(text)?.[1] ?? '';
  },
  openstack: async (ask) => await ask({ path: '/latest/meta-data/public-ipv4' }),
};

/** The metadata service of all four clouds. */
export const metadataService = 'http://169.254.169.254';

/**
 * The address that `cloud` tells; of `auto`, the first that any of them tells.
 *
 * @param limitMs time limit of each question
 * @throws Error saying of each cloud that was asked why it gave none
 */
export async function cloudAddress(
  cloud: Cloud | 'auto',
  limitMs = 1000,
  base = metadataService,
): Promise<string> {
  const ask = asker(base, limitMs);
  const attempts = (cloud === 'auto' ? clouds : [cloud]).map(async (each) => {
    try {
      const address = await askers[each](ask);
      if (!isIPv4(address)) throw new Error(`no IPv4 address: '${address.slice(0, 40)}'`);
      return address;
    } catch (error) {
      throw new Error(`${each}: ${reasonOf(error)}`, { cause: error });
    }
  });
  try {
    return await Promise.any(attempts);
  } catch (error) {
    const reasons =
      error instanceof AggregateError ? error.errors.map(reasonOf) : [reasonOf(error)];
    throw new Error(`no outer address from the cloud: ${reasons.join('; ')}`, { cause: error });
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  if (error.name === 'TimeoutError') return 'no answer in time';
  // What fetch says is in the cause.
  return error.message === 'fetch failed' && error.cause instanceof Error
    ? error.cause.message
    : error.message;
}
