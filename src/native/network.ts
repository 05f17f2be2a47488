/** The machine's network devices, and news of them (rtnetlink, by the addon). */
import { loadRelayAddon } from './addon.js';

/** native/core/netlink.h */
export interface NetworkDevice {
  readonly index: number;
  readonly name: string;
  /** `vlan`, `bond`, `dummy`, …; empty for a card. */
  readonly kind: string;
  /** Index of the device it lies on, 0 none. */
  readonly parent: number;
  /** 802.1Q tag, -1: it is no VLAN device. */
  readonly vlanId: number;
  readonly loopback: boolean;
  /** Empty when it is not Ethernet. */
  readonly mac: string;
  readonly addresses: readonly string[];
}

export interface NetworkChange {
  /** Devices or their addresses have changed. */
  readonly devices: boolean;
  /** Routes or neighbours have changed. */
  readonly routes: boolean;
  /** A queueing discipline or a filter was removed from some device. */
  readonly filters: boolean;
}

interface AddonNetworkWatch {
  close(): void;
}

interface Addon {
  readonly NetworkWatch: new (
    onChange: (changes: number) => void,
    wanted: number,
  ) => AddonNetworkWatch;
  heldAddresses(addresses: readonly string[]): readonly boolean[] | null;
  networkDevices(): readonly NetworkDevice[] | null;
}

const devicesChanged = 1;
const routesChanged = 2;
const filtersRemoved = 4;

const addon = (): Addon => loadRelayAddon() as Addon;

/** All devices; null when the kernel does not say. */
export function networkDevices(): readonly NetworkDevice[] | null {
  return addon().networkDevices();
}

/**
 * For each address whether packets to it are delivered on this machine: it is on a device (IPv6: its
 * duplicate address detection is over), a local route has it, or it is loopback or the wildcard. null
 * when the kernel does not say.
 */
export function heldAddresses(addresses: readonly string[]): readonly boolean[] | null {
  return addon().heldAddresses(addresses);
}

/** Hears of changes until it is closed; does not keep the process alive. @throws Error without netlink */
export class NetworkWatch {
  readonly #native: AddonNetworkWatch;

  constructor(
    listener: (change: NetworkChange) => void,
    /** Whoever needs no news of routes is not woken for those. */
    wanted: 'devices' | 'everything' = 'everything',
  ) {
    const { NetworkWatch: Native } = addon();
    const everything = devicesChanged | routesChanged | filtersRemoved;
    this.#native = new Native(
      (changes) => {
        listener({
          devices: (changes & devicesChanged) !== 0,
          routes: (changes & routesChanged) !== 0,
          filters: (changes & filtersRemoved) !== 0,
        });
      },
      wanted === 'devices' ? devicesChanged : everything,
    );
  }

  close(): void {
    this.#native.close();
  }
}
