/** What is asked of the machine. */
import { cpus, networkInterfaces } from 'node:os';
import type { MediaConfig } from '../config/config.js';
import type { InterfaceTable } from '../media/interfaces.js';
import { lookupHost, type Machine } from './process/local-addresses.js';

export function thisMachine(): Machine {
  return { networkInterfaces: networkInterfaces(), lookup: lookupHost };
}

/** All media addresses, as they are now. */
export function addressesOf(interfaces: InterfaceTable): readonly string[] {
  return interfaces.all.flatMap((entry) => entry.addresses.map(({ address }) => address));
}

/** How many ports there are on all addresses. */
export function portCount(
  interfaces: InterfaceTable,
  { portMin, portMax }: Pick<MediaConfig, 'portMin' | 'portMax'>,
): number {
  let count = 0;
  for (const address of new Set(addressesOf(interfaces))) {
    const limits = interfaces.portLimitsOf(address);
    count += (limits?.max ?? portMax) - (limits?.min ?? portMin) + 1;
  }
  return count;
}

/** The same for who asks often: counted anew when the interfaces are others. */
export function portCounter(
  interfaces: InterfaceTable,
  media: Pick<MediaConfig, 'portMin' | 'portMax'>,
): () => number {
  let counted = interfaces.all;
  let count = portCount(interfaces, media);
  return () => {
    if (interfaces.all !== counted) {
      counted = interfaces.all;
      count = portCount(interfaces, media);
    }
    return count;
  };
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
