/** Keeps kernel forwarding on the network devices that media arrives on, as they come and go. */
import { devicesFor, planDevices, type DevicePlan } from '../kernel-forward/devices.js';
import type { KernelForwarder } from '../kernel-forward/forwarder.js';
import { networkDevices, NetworkWatch, type NetworkDevice } from '../native/network.js';
import type { Log } from '../observe/log.js';

export interface KernelDevicesOptions {
  readonly forwarder: KernelForwarder;
  /** Names; empty: the devices that hold the media addresses. */
  readonly wanted: readonly string[];
  readonly mediaAddresses: readonly string[];
  readonly log: Log;
}

/** News of routes and neighbours come in crowds. */
const routesRestMs = 50;

export class KernelDevices {
  readonly #options: KernelDevicesOptions;
  #mediaAddresses: readonly string[];
  /** What was said last of a device that is not attached. */
  readonly #refused = new Map<string, string>();
  /** Index and MAC address that an attached device had. */
  readonly #attached = new Map<string, string>();
  #vlans = '';
  #watch: NetworkWatch | null = null;
  #started = false;
  #updateDue = false;
  #filtersRemoved = false;
  #routesTimer: NodeJS.Timeout | null = null;
  #routesDue = false;

  constructor(options: KernelDevicesOptions) {
    this.#options = options;
    this.#mediaAddresses = options.mediaAddresses;
  }

  /** Media may arrive at these addresses from now on. */
  setAddresses(addresses: readonly string[]): void {
    this.#mediaAddresses = addresses;
    if (this.#started) this.#update();
  }

  /** From now on every change is followed; without netlink, `everySecond` looks. Idempotent. */
  start(): void {
    if (this.#started) return;
    this.#started = true;
    try {
      this.#watch = new NetworkWatch((change) => {
        if (change.routes) this.#routesChanged();
        if (change.devices) this.#updateSoon();
        if (change.filters) this.#filtersRemoved = true;
      });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#options.log.warning('core', `Network changes are seen up to a second late: ${reason}`);
    }
    this.#update();
  }

  /** Devices that carry media and could not be had. */
  get refused(): readonly string[] {
    return [...this.#refused.keys()];
  }

  close(): void {
    this.#watch?.close();
    this.#watch = null;
    if (this.#routesTimer !== null) clearTimeout(this.#routesTimer);
  }

  /** What was refused may be possible now, and ours may be among the filters that somebody removed. */
  everySecond(): void {
    const again = this.#filtersRemoved && this.#options.forwarder.mode === 'tc';
    if (again) this.#attached.clear();
    this.#filtersRemoved = false;
    if (again || this.#watch === null || this.#refused.size > 0) this.#update();
  }

  /** One look after all the news of this turn. */
  #updateSoon(): void {
    if (this.#updateDue) return;
    this.#updateDue = true;
    setImmediate(() => {
      this.#updateDue = false;
      if (this.#watch !== null) this.#update();
    });
  }

  #routesChanged(): void {
    if (this.#routesTimer !== null) {
      this.#routesDue = true;
      return;
    }
    this.#options.forwarder.routesChanged();
    this.#routesTimer = setTimeout(() => {
      this.#routesTimer = null;
      if (!this.#routesDue) return;
      this.#routesDue = false;
      this.#routesChanged();
    }, routesRestMs);
    this.#routesTimer.unref();
  }

  #update(): void {
    const now = networkDevices();
    // Better as it was than by what an incomplete answer says.
    if (now === null) return;
    const plan = this.#plan(now);
    const attached = this.#options.forwarder.devices;
    for (const device of attached) if (!plan.attach.includes(device)) this.#detach(device);
    for (const name of plan.attach) {
      const device = now.find((each) => each.name === name);
      if (device !== undefined) this.#attach(device, attached.includes(name));
    }
    this.#setVlans(plan);
    for (const name of this.#refused.keys()) {
      if (!plan.attach.includes(name) && !plan.left.has(name)) this.#refused.delete(name);
    }
    for (const [name, reason] of plan.left) this.#refuse(name, reason);
  }

  #plan(now: readonly NetworkDevice[]): DevicePlan {
    const { forwarder, wanted } = this.#options;
    const devices =
      wanted.length > 0
        ? now.filter(({ name }) => wanted.includes(name))
        : devicesFor(this.#mediaAddresses, now);
    return planDevices(forwarder.mode, devices, now);
  }

  /** Attaching again reads the MAC address again. */
  #attach({ name, index, mac, kind }: NetworkDevice, attached: boolean): void {
    const identity = `${index} ${mac}`;
    if (attached && this.#attached.get(name) === identity) return;
    const reason = this.#options.forwarder.attach(name);
    if (reason !== null) {
      this.#attached.delete(name);
      this.#refuse(name, reason);
      return;
    }
    this.#attached.set(name, identity);
    this.#refused.delete(name);
    if (attached) return;
    this.#options.log.info('core', `Kernel forwarding on ${name}`);
    if (kind === 'veth' && this.#options.forwarder.mode === 'xdp') this.#warnOfVeth(name);
  }

  #warnOfVeth(name: string): void {
    this.#options.log.warning(
      'core',
      `${name} is a veth device: what XDP sends there is lost unless its other end has an XDP ` +
        'program too (kernel-forward=tc needs nothing of it)',
    );
  }

  #refuse(name: string, reason: string): void {
    if (this.#refused.get(name) === reason) return;
    this.#refused.set(name, reason);
    this.#options.log.warning('core', `No kernel forwarding on ${name}: ${reason}`);
  }

  #detach(device: string): void {
    this.#attached.delete(device);
    if (this.#options.forwarder.detach(device) === null) {
      this.#options.log.info(
        'core',
        `No kernel forwarding on ${device} any more: it carries no media`,
      );
    }
  }

  #setVlans({ vlans }: DevicePlan): void {
    const { forwarder, log } = this.#options;
    const described = JSON.stringify(vlans);
    if (described === this.#vlans || (vlans.length === 0 && this.#vlans === '')) return;
    this.#vlans = described;
    const reason = forwarder.setVlans(vlans);
    if (reason !== null) log.warning('core', `VLANs of kernel forwarding: ${reason}`);
  }
}
