/** Pacemaker and Corosync on a node of a test's pair, with the configuration of deploy/pacemaker. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled } from './child-process.js';
import type { PairNode } from './pair.js';
import type { IsolatedSystemd } from './systemd.js';

const deploy = fileURLToPath(new URL('../../deploy/', import.meta.url));

export function clusterSoftwareInstalled(): boolean {
  return ['corosync', 'pacemakerd', 'crm_mon', 'redis-server'].every(isInstalled);
}

/** To measure what it costs: COROSYNC_TOKEN=1000 npx mocha test/scenario/pacemaker.test.ts */
const token = process.env['COROSYNC_TOKEN'];

/**
 * Boots a node with systemd, Debian's units of Corosync and Pacemaker, and our files in place.
 * @param relay its /etc/rtprelay/rtprelay.conf.
 */
export async function startClusterNode(
  node: PairNode,
  secret: Buffer,
  relay: string,
): Promise<IsolatedSystemd> {
  const machine = await node.boot();
  machine.succeed('hostname', `node${node.number}`);
  machine.write('/etc/hosts', '127.0.0.1 localhost\n10.0.0.11 node1\n10.0.0.12 node2\n');
  let corosync = readFileSync(`${deploy}pacemaker/corosync.conf`, 'latin1');
  if (token !== undefined)
    corosync = corosync
      .replace(/^ *token: .*$/m, `token: ${token}`)
      .replace(/^ *consensus: .*$/m, `consensus: ${Math.round(Number(token) * 1.2)}`);
  machine.write('/etc/corosync/corosync.conf', corosync);
  machine.write('/etc/corosync/key.hex', secret.toString('hex'));
  // The key is binary, which an argument cannot be.
  machine.succeed(
    'sh',
    '-c',
    'perl -e \'print pack("H*", <>)\' /etc/corosync/key.hex >/etc/corosync/authkey',
  );
  machine.write('/etc/redis/redis-relay.conf', readFileSync(`${deploy}redis/relay.conf`, 'latin1'));
  machine.write('/etc/rtprelay/rtprelay.conf', relay);
  const folders = ['blackbox', 'cib', 'cores', 'pengine'].map(
    (name) => `/var/lib/pacemaker/${name}`,
  );
  folders.push('/var/log/pacemaker');
  machine.succeed('install', '-d', '-m750', '-ohacluster', '-ghaclient', ...folders);
  machine.succeed('install', '-d', '-m770', '-oredis', '-gredis', '/var/lib/redis', '/run/redis');
  machine.succeed('mkdir', '-p', '/var/lib/corosync', '/var/log/corosync');
  // The agent of Redis becomes its user by su.
  const rules = ['auth sufficient pam_rootok.so', 'account required pam_permit.so'];
  machine.write('/etc/pam.d/su', [...rules, 'session required pam_permit.so', ''].join('\n'));
  machine.succeed('mkdir', '-p', '/usr/lib/ocf/resource.d/rtprelay');
  machine.succeed(
    ...['cp', '/usr/lib/rtprelay/deploy/ocf/rtprelay', '/usr/lib/ocf/resource.d/rtprelay/'],
  );
  machine.succeed('systemctl', 'start', 'corosync');
  machine.succeed('systemctl', 'start', 'pacemaker');
  return machine;
}

/** A key that both nodes have. */
export function clusterSecret(): Buffer {
  return execFileSync('head', ['-c', '256', '/dev/urandom']);
}

/** Loads deploy/pacemaker/cib.xml with `changes`, the operator's addresses. */
export function loadResources(
  machine: IsolatedSystemd,
  changes: readonly (readonly [string, string])[],
): void {
  let xml = readFileSync(`${deploy}pacemaker/cib.xml`, 'latin1');
  for (const [from, to] of changes) xml = xml.replaceAll(from, to);
  machine.write('/root/cib.xml', xml);
  machine.succeed('cibadmin', '--modify', '--allow-create', '--xml-file', '/root/cib.xml');
}

/** What the cluster thinks of itself. */
export function clusterStatus(machine: IsolatedSystemd): string {
  return machine.run('crm_mon', '-1', '-r', '-f').output;
}
