/** Namespaces on one bridge: a hub that holds the bridge, and machines with one link each to it. */
import { execFileSync, spawnSync } from 'node:child_process';
import { NetworkNamespace } from '../../test/support/namespaces.js';
import { hubAddress, hubAddress6, prefixLength, prefixLength6 } from './names.js';

const portUnreachable = 'udp-port-unreachable';
const sysctls = ['net.ipv4.ip_nonlocal_bind=1', 'net.ipv6.conf.all.disable_ipv6=1'];
const killRounds = 20;

/** A namespace whose processes are killed with it. */
export class Machine {
  readonly namespace: NetworkNamespace;

  constructor(readonly role: string) {
    this.namespace = new NetworkNamespace(`bench-${role}`);
    machines.add(this);
    for (const setting of sysctls) this.namespace.run('sysctl', '-qw', setting);
  }

  get name(): string {
    return this.namespace.name;
  }

  /** IPv6 on a device, at once: no duplicates are looked for. */
  addIpv6(device: string, address: string): void {
    const settings = ['conf.all.disable_ipv6=0', `conf.${device}.accept_dad=0`];
    for (const setting of [...settings, 'ip_nonlocal_bind=1'])
      this.namespace.run('sysctl', '-qw', `net.ipv6.${setting}`);
    this.namespace.ip('address', 'add', `${address}/${prefixLength6}`, 'dev', device, 'nodad');
  }

  /**
   * Finds the link address of a neighbour, as the router of a real network is known to both nodes by
   * their own traffic: a lost solicitation is repeated only after a second.
   */
  meet(neighbour: string): void {
    const look = `ip -6 neighbour show ${neighbour} | grep -q lladdr`;
    const send = `echo >/dev/udp/${neighbour}/9`;
    const loop = `for n in $(seq 100); do ${send}; ${look} && exit; sleep 0.1; done; exit 1`;
    this.namespace.run('bash', '-c', loop);
  }

  /** SIGKILL to everything in the namespace, until nothing is left (a service manager may restart). */
  killAll(): void {
    for (let round = 0; round < killRounds; round++) {
      const found = spawnSync('ip', ['netns', 'pids', this.name], { encoding: 'latin1' }).stdout;
      const pids = found.split('\n').filter((line) => line !== '');
      if (pids.length === 0) return;
      for (const pid of pids) {
        try {
          process.kill(Number(pid), 'SIGKILL');
        } catch {
          // It ended in the meantime.
        }
      }
    }
  }

  remove(): void {
    machines.delete(this);
    this.killAll();
    this.namespace.remove();
  }
}

const machines = new Set<Machine>();
process.on('exit', () => {
  for (const machine of machines) machine.remove();
});
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.once(signal, () => process.exit(1));
}

export class Network {
  readonly hub: Machine;
  readonly #machines: Machine[] = [];

  constructor(readonly dualStack: boolean) {
    this.hub = new Machine('hub');
    const { namespace } = this.hub;
    // Without IGMP there is nobody who asks for VRRP's multicast group.
    const bridge = ['type', 'bridge', 'stp_state', '0', 'mcast_snooping', '0'];
    namespace.ip('link', 'add', 'br0', ...bridge);
    namespace.ip('link', 'set', 'br0', 'up');
    namespace.addAddress('br0', `${hubAddress}/${prefixLength}`);
    if (dualStack) this.hub.addIpv6('br0', hubAddress6);
    const rules = `table inet bench {
      counter ${portUnreachable} {}
      chain in {
        type filter hook input priority 0; policy accept;
        icmp type destination-unreachable icmp code port-unreachable counter name ${portUnreachable}
      }
    }`;
    execFileSync('ip', ['netns', 'exec', namespace.name, 'nft', '-f', '-'], { input: rules });
  }

  /** A machine with `eth0`; the other end is called `to-ROLE` in the hub. */
  add(role: string, address: string): Machine {
    const machine = new Machine(role);
    this.#machines.push(machine);
    const port = linkOf(role);
    const hub = this.hub.name;
    const ends = ['name', 'eth0', 'netns', machine.name];
    execFileSync('ip', ['-n', hub, 'link', 'add', port, 'type', 'veth', 'peer', ...ends]);
    this.hub.namespace.ip('link', 'set', port, 'master', 'br0', 'up');
    machine.namespace.addAddress('eth0', `${address}/${prefixLength}`);
    machine.namespace.ip('link', 'set', 'eth0', 'up');
    if (!this.dualStack) return machine;
    machine.addIpv6('eth0', `fd09::${address.split('.').at(-1) ?? ''}`);
    machine.meet(hubAddress6);
    return machine;
  }

  /** ICMP port unreachable that the phones' machine has received. */
  portUnreachable(): number {
    const text = this.hub.namespace.run('nft', 'list', 'counter', 'inet', 'bench', portUnreachable);
    return Number(/packets (\d+)/.exec(text)?.[1] ?? Number.NaN);
  }

  remove(): void {
    for (const machine of this.#machines) machine.remove();
    this.hub.remove();
  }
}

export const linkOf = (role: string): string => `to-${role}`;
