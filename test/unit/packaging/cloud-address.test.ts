/** Metadata services that answer as their documentation says, and those that do not. */
import { expect } from 'chai';
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server } from 'node:http';
import { cloudAddress, type Cloud } from '../../../packaging/container/cloud-address.js';

interface Answer {
  readonly status: number;
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
}
type Service = (request: IncomingMessage) => Answer | null;

const token = 'TOKEN==';
const is = (request: IncomingMessage, method: string, url: string): boolean =>
  request.method === method && request.url === url;

/** AWS with IMDSv2 alone: a token by PUT with its life time, and no answer without it. */
const aws: Service = (request) => {
  const { headers } = request;
  if (is(request, 'PUT', '/latest/api/token')) {
    const life = Number(headers['x-aws-ec2-metadata-token-ttl-seconds']);
    return life >= 1 && life <= 21_600 ? { status: 200, body: token } : { status: 400 };
  }
  if (headers['x-aws-ec2-metadata-token'] !== token) return { status: 401 };
  if (is(request, 'GET', '/latest/meta-data/public-ipv4'))
    return { status: 200, body: '203.0.113.1' };
  return { status: 404 };
};
const gcp: Service = (request) => {
  if (request.headers['metadata-flavor'] !== 'Google') return { status: 403 };
  const path = '/computeMetadata/v1/instance/network-interfaces/0/access-configs/0/external-ip';
  if (!is(request, 'GET', path)) return { status: 404 };
  return { status: 200, body: '203.0.113.2', headers: { 'Metadata-Flavor': 'Google' } };
};
const azurePath =
  '/metadata/instance/network/interface/0/ipv4/ipAddress/0/publicIpAddress?api-version=2021-02-01&format=text';
const azureWith =
  (own: string): Service =>
  (request) => {
    if (request.headers['metadata'] !== 'true') return { status: 400 };
    if (is(request, 'GET', azurePath)) return { status: 200, body: own };
    if (!is(request, 'GET', '/metadata/loadbalancer?api-version=2020-10-01'))
      return { status: 404 };
    const addresses = [{ frontendIpAddress: '203.0.113.4', privateIpAddress: '10.1.0.4' }];
    return {
      status: 200,
      body: JSON.stringify({ loadbalancer: { publicIpAddresses: addresses } }),
    };
  };
const openstack: Service = (request) =>
  is(request, 'GET', '/latest/meta-data/public-ipv4')
    ? { status: 200, body: '203.0.113.5\n' }
    : { status: 404 };

describe('the outer address from the cloud', () => {
  let server: Server;
  let service: Service = openstack;
  let base = '';
  before(async () => {
    server = createServer((request, response) => {
      const answer = service(request);
      if (answer === null) return; // silence
      response.writeHead(answer.status, answer.headers ?? {}).end(answer.body ?? '');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const at = server.address();
    base = typeof at === 'object' && at !== null ? `http://127.0.0.1:${at.port}` : '';
  });
  after(() => {
    server?.closeAllConnections();
    server?.close();
  });
  const ask = async (kind: Cloud | 'auto', by: Service, limitMs = 10_000): Promise<string> => {
    service = by;
    return await cloudAddress(kind, limitMs, base);
  };
  const refusal = async (kind: Cloud | 'auto', by: Service, limitMs = 10_000): Promise<string> =>
    await ask(kind, by, limitMs).then(
      (address) => `answered ${address}`,
      (error: unknown) => (error instanceof Error ? error.message : String(error)),
    );

  it('is what each of them tells', async () => {
    expect(await ask('aws', aws)).to.equal('203.0.113.1');
    expect(await ask('gcp', gcp)).to.equal('203.0.113.2');
    expect(await ask('azure', azureWith('203.0.113.3'))).to.equal('203.0.113.3');
    expect(await ask('azure', azureWith(''))).to.equal('203.0.113.4');
    expect(await ask('openstack', openstack)).to.equal('203.0.113.5');
  });

  it('is found without being told which cloud it is', async () => {
    expect(await ask('auto', aws)).to.equal('203.0.113.1');
    expect(await ask('auto', gcp)).to.equal('203.0.113.2');
    expect(await ask('auto', azureWith(''))).to.equal('203.0.113.4');
    expect(await ask('auto', openstack)).to.equal('203.0.113.5');
  });

  it('is refused when nobody answers, with the reason', async () => {
    expect(await refusal('gcp', () => null, 50)).to.match(/gcp: no answer in time/);
    expect(await refusal('auto', () => null, 50)).to.match(/aws: .*gcp: .*azure: .*openstack: /);
    expect(await refusal('aws', () => ({ status: 403 }))).to.match(
      /aws: \/latest\/api\/token: status 403/,
    );
  });

  it('is refused when the answer is no address, or leads elsewhere', async () => {
    expect(await refusal('openstack', () => ({ status: 200, body: '<html>' }))).to.include(
      "'<html>'",
    );
    expect(await refusal('openstack', () => ({ status: 200, body: '' }))).to.include(
      'no IPv4 address',
    );
    const elsewhere = {
      status: 302,
      headers: { Location: `${base}/latest/meta-data/public-ipv4` },
    };
    expect(
      await refusal('gcp', (request) =>
        request.url?.startsWith('/latest') === true ? openstack(request) : elsewhere,
      ),
    ).to.match(/gcp: /);
  });
});
