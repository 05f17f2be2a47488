/** On which network devices packets for the media addresses arrive. Pure. */
import type { NetworkDevice } from '../native/network.js';

/** What forwards: BPF programs at three places, or nftables. */
export type KernelMode = 'tc' | 'xdp' | 'xdp-generic' | 'nft';

/** A VLAN device on top of an attached one. */
export interface VlanDevice {
  readonly name: string;
  readonly parent: string;
  readonly id: number;
}

export interface DevicePlan {
  /** Names, sorted. */
  readonly attach: readonly string[];
  /** Those whose frames the program sees with their tag on. */
  readonly vlans: readonly VlanDevice[];
  /** Media arrives there too, but is left to userspace; with the reason. */
  readonly left: ReadonlyMap<string, string>;
}

/** Nothing arrives from outside on a device of these kinds, whatever addresses it has. */
const innerKinds: ReadonlySet<string> = new Set(['dummy', 'ifb']);

const isOuter = (device: NetworkDevice): boolean =>
  !device.loopback && !innerKinds.has(device.kind);

/**
 * The devices that hold the media addresses. For an address that is on an inner device, or not here
 * (yet), packets may arrive on any device that has an address.
 */
export function devicesFor(
  mediaAddresses: readonly string[],
  devices: readonly NetworkDevice[],
): readonly NetworkDevice[] {
  const outer = devices.filter((device) => isOuter(device) && device.addresses.length > 0);
  const holders = new Set<NetworkDevice>();
  for (const wanted of mediaAddresses) {
    // Nothing arrives from outside there, and packets on the loopback device are not forwarded.
    if (wanted.startsWith('127.') || wanted === '::1') continue;
    const found = outer.filter(({ addresses }) => addresses.includes(wanted));
    for (const device of found.length > 0 ? found : outer) holders.add(device);
  }
  return devices.filter((device) => holders.has(device));
}

const sortedNames = (devices: Iterable<NetworkDevice>): readonly string[] =>
  [...new Set([...devices].map(({ name }) => name))].sort();

/** XDP in the driver is asked before tags are taken off: a VLAN's packets are those of its parent. */
function planOfXdp(
  wanted: readonly NetworkDevice[],
  devices: readonly NetworkDevice[],
): DevicePlan {
  const byIndex = new Map(devices.map((device) => [device.index, device]));
  const parents = wanted.map((device) =>
    device.vlanId < 0 ? device : (byIndex.get(device.parent) ?? device),
  );
  const vlans = devices.flatMap((device) => {
    const parent = device.vlanId < 0 ? undefined : byIndex.get(device.parent);
    return parent !== undefined && parents.includes(parent)
      ? [{ name: device.name, parent: parent.name, id: device.vlanId }]
      : [];
  });
  return { attach: sortedNames(parents), vlans, left: new Map() };
}

/**
 * Generic XDP runs on a VLAN device after the tag is off. On its parent the tag is beside the frame,
 * invisible, and would stay with a packet that is sent on.
 */
function planOfGenericXdp(wanted: readonly NetworkDevice[]): DevicePlan {
  const vlans = wanted.filter(({ vlanId }) => vlanId >= 0);
  const parents = new Set(vlans.map(({ parent }) => parent));
  const left = wanted.filter(({ index }) => parents.has(index));
  const reason = 'generic XDP does not see the tags of the VLANs on it; TC does';
  return {
    attach: sortedNames(wanted.filter((device) => !left.includes(device))),
    vlans: [],
    left: new Map(left.map(({ name }) => [name, reason])),
  };
}

/** Where to attach for media on `wanted`, which are some of `devices`. */
export function planDevices(
  mode: KernelMode,
  wanted: readonly NetworkDevice[],
  devices: readonly NetworkDevice[],
): DevicePlan {
  if (mode === 'xdp') return planOfXdp(wanted, devices);
  if (mode === 'xdp-generic') return planOfGenericXdp(wanted);
  return { attach: sortedNames(wanted), vlans: [], left: new Map() };
}
