/** keepalived on both nodes: VRRPv3 with advertisements every few milliseconds. */
import { spawn, type ChildProcess } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { monotonicMicros, until } from './clock.js';
import { virtualAddress } from './names.js';
import type { Machine } from './network.js';

/** A track file with this value puts its instance into the fault state. */
const fault = -254;

export interface KeepalivedSetup {
  readonly machine: Machine;
  readonly address: string;
  readonly peer: string;
  readonly priority: number;
  readonly advertMs: number;
  /** Own folder for configuration, track file and pid files: a stale pid file stops keepalived. */
  readonly folder: string;
}

function configuration(setup: KeepalivedSetup, trackFile: string): string {
  const interval = (setup.advertMs / 1000).toFixed(2);
  return `global_defs {
  router_id ${setup.machine.role}
  vrrp_version 3
  vrrp_garp_master_repeat 3
  vrrp_garp_master_delay 1
  vrrp_rlimit_rttime 1000000
  vrrp_rt_priority 50
  vrrp_no_swap
}
vrrp_track_file leave {
  file "${trackFile}"
  weight 1
}
vrrp_instance media {
  state BACKUP
  nopreempt
  interface eth0
  virtual_router_id 51
  priority ${setup.priority}
  advert_int ${interval}
  unicast_src_ip ${setup.address}
  unicast_peer {
    ${setup.peer}
  }
  virtual_ipaddress {
    ${virtualAddress}/32 dev eth0
  }
  track_file {
    leave
  }
}
`;
}

export class Keepalived {
  readonly #child: ChildProcess;
  readonly #trackFile: string;
  #log = '';

  constructor(setup: KeepalivedSetup) {
    mkdirSync(setup.folder, { recursive: true });
    this.#trackFile = `${setup.folder}/leave`;
    const file = `${setup.folder}/keepalived.conf`;
    writeFileSync(this.#trackFile, '0\n');
    writeFileSync(file, configuration(setup, this.#trackFile), { mode: 0o600 });
    const words = ['keepalived', '-n', '-l', '-D', '-P', '-f', file];
    words.push('-p', `${setup.folder}/pid`, '-r', `${setup.folder}/vrrp-pid`);
    this.#child = spawn('ip', ['netns', 'exec', setup.machine.name, ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (bytes: Buffer) => (this.#log += bytes.toString('latin1')));
    }
  }

  get log(): string {
    return this.#log;
  }

  async state(wanted: 'MASTER' | 'BACKUP'): Promise<void> {
    const entered = new RegExp(`Entering ${wanted} STATE`);
    await until(() => {
      if (this.#child.exitCode !== null) throw new Error(`keepalived ended: ${this.#log}`);
      return entered.test(this.#log);
    }, `keepalived in state ${wanted}`);
  }

  /** Gives the address away, or competes for it again. Returns when that was said. */
  setLeaving(leaving: boolean): number {
    const at = monotonicMicros();
    writeFileSync(this.#trackFile, `${leaving ? fault : 0}\n`);
    return at;
  }
}
