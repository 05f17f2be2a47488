/** What is asked of the machine. */
import { cpus, networkInterfaces } from 'node:os';
import type { InterfaceTable } from '../media/interfaces.js';
import { lookupHost, type Machine } from './process/local-addresses.js';

export function thisMachine(): Machine {
  return { networkInterfaces: networkInterfaces(), lookup: lookupHost };
}

/** All media addresses, as they are now. */
export function addressesOf(interfaces: InterfaceTable): readonly string[] {
  return interfaces.all.flatMap((entry) => entry.addresses.map(({ address }) => address));
}

export interface CpuTimes {
  readonly busy: number;
  readonly total: number;
}

/** Of all processors since the machine began, ms. */
export function cpuTimes(): CpuTimes {
  let busy = 0;
  let total = 0;
  for (const { times } of cpus()) {
    const sum = times.user + times.nice + times.sys + times.irq;
    busy += sum;
    total += sum + times.idle;
  }
  return { busy, total };
}
