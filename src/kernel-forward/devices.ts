/** On which network devices packets for the media addresses arrive. Pure. */

/** As `os.networkInterfaces()`. */
export type DeviceAddresses = Readonly<
  Record<string, readonly { readonly address: string; readonly internal: boolean }[] | undefined>
>;

/**
 * The devices that hold the media addresses. For an address that is on a loopback device, or not here
 * (yet), packets may arrive on any device.
 */
export function devicesFor(
  mediaAddresses: readonly string[],
  addresses: DeviceAddresses,
): readonly string[] {
  const outer = Object.entries(addresses).filter(
    ([, list]) => list !== undefined && list.some(({ internal }) => !internal),
  );
  const holders = new Set<string>();
  for (const wanted of mediaAddresses) {
    // Nothing arrives from outside there, and packets on the loopback device are not forwarded.
    if (wanted.startsWith('127.') || wanted === '::1') continue;
    const found = outer.filter(([, list]) => list?.some(({ address }) => address === wanted));
    for (const [device] of found.length > 0 ? found : outer) holders.add(device);
  }
  return [...holders].sort();
}
