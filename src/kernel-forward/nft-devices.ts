/** Devices whose packets the table may rewrite: those on which the machine forwards. */
import { ensureForwarding, isForwarding, type SystemFiles } from './ip-forwarding.js';
import { deviceText, families, type Family, type Table } from './nft-ruleset.js';

export interface NftDevicesOptions {
  readonly table: Table;
  /** Those of the media addresses. */
  readonly families: readonly Family[];
  /** Switch IP forwarding on where it is off. */
  readonly setForwarding: boolean;
  readonly files: SystemFiles;
  /** Why not, or null. One transaction. */
  readonly run: (commands: string) => string | null;
  readonly warn: (message: string) => void;
}

export class NftDevices {
  readonly #options: NftDevicesOptions;
  readonly #attached = new Set<string>();
  /** Those of them that forward packets of the family: only there are any rewritten. */
  readonly #forwarding: { readonly [F in Family]: Set<string> } = {
    ipv4: new Set(),
    ipv6: new Set(),
  };
  /** Why there is no forwarding, by device and family: each is said once. */
  readonly #said = new Map<string, string>();

  constructor(options: NftDevicesOptions) {
    this.#options = options;
  }

  get names(): readonly string[] {
    return [...this.#attached];
  }

  /** Devices that an earlier process has put into the table. */
  adopt(devices: { readonly [F in Family]: readonly string[] }): void {
    for (const family of families) {
      for (const device of devices[family]) {
        this.#attached.add(device);
        this.#forwarding[family].add(device);
      }
    }
  }

  /** Commands that put the devices into a table that is made anew. */
  text(): string {
    const { table } = this.#options;
    return families
      .flatMap((family) =>
        [...this.#forwarding[family]].map((device) => deviceText('add', table, family, device)),
      )
      .join('');
  }

  /** Refused is a device that forwards packets of none of the families. */
  attach(device: string): string | null {
    const { families: wanted } = this.#options;
    const refusals = wanted.flatMap((family) => this.#open(device, family) ?? []);
    if (refusals.length === wanted.length) return [...new Set(refusals)].join('; ');
    this.#attached.add(device);
    for (const family of wanted) this.#checkForwarding(device, family);
    return null;
  }

  detach(device: string): string | null {
    this.#attached.delete(device);
    const refusals = families.flatMap((each) => this.#shut(device, each) ?? []);
    return refusals[0] ?? null;
  }

  /** To be called now and then: forwarding may have been switched on and off. */
  checkForwarding(): void {
    for (const device of this.#attached)
      for (const family of this.#options.families) this.#checkForwarding(device, family);
  }

  /** Lets packets of a family that arrive on the device be forwarded. Why not, or null. */
  #open(device: string, family: Family): string | null {
    const { files, setForwarding } = this.#options;
    const refusal = ensureForwarding(files, device, family, setForwarding);
    if (refusal !== null || this.#forwarding[family].has(device)) return refusal;
    const error = this.#options.run(deviceText('add', this.#options.table, family, device));
    if (error === null) this.#forwarding[family].add(device);
    return error;
  }

  #shut(device: string, family: Family): string | null {
    if (!this.#forwarding[family].delete(device)) return null;
    return this.#options.run(deviceText('delete', this.#options.table, family, device));
  }

  /** It may be switched on and off while we run; what is not forwarded must not be rewritten. */
  #checkForwarding(device: string, family: Family): void {
    const on = isForwarding(this.#options.files, device, family);
    const refusal = on && this.#forwarding[family].has(device) ? null : this.#open(device, family);
    if (refusal !== null) this.#shut(device, family);
    const key = `${device} ${family}`;
    if ((this.#said.get(key) ?? null) === refusal) return;
    if (refusal === null) this.#said.delete(key);
    else this.#said.set(key, refusal);
    this.#options.warn(
      refusal === null
        ? `Kernel forwarding on ${device} again`
        : `No kernel forwarding on ${device}: ${refusal}`,
    );
  }
}
