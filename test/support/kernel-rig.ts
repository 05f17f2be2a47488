/**
 * Kernel forwarding as the phones see it: a relay node with two cables to the machine of the phones, a
 * BPF file system of the test's own, and calls whose every packet is accounted for.
 */
import { expect } from 'chai';
import type { TestProcess } from './child-process.js';
import type { NgDictionary, NgValue } from './bencode.js';
import { BpfFileSystem } from './kernel-forwarding.js';
import { connectNamespaces } from './namespaces.js';
import type { Reply } from './ng-client.js';
import { Pair } from './pair.js';
import {
  Phones,
  type Address,
  type Marks,
  type PacketKind,
  type PhonesReport,
  type StreamReport,
} from './phones.js';
import { buildSdp, mediaTarget, type MediaSection } from './sdp.js';
import { until } from './wait.js';

export type RigMode = 'none' | 'tc' | 'xdp-generic';

/** A flow as `rtprelayctl kernel` lists it. */
export interface ListedFlow {
  readonly from: string;
  readonly local: string;
  readonly source: string;
  readonly to: string;
  readonly packets: number;
}

/** The phones' addresses. The last one is on the second cable. */
const phoneAddresses = ['10.0.0.1', '10.0.0.2', '10.0.0.3', '10.0.1.1'] as const;
export const phoneAddress6 = 'fd00::1';
export const relayAddress = '10.0.0.11';
export const relayAddress6 = 'fd00::11';
export const secondRelayAddress = '10.0.1.11';

export interface StartOptions {
  readonly mode: RigMode;
  /** Several daemons on the node differ in it: ports, pins, Redis database. Default 1. */
  readonly number?: number;
  readonly interfaces?: readonly string[];
  readonly extra?: readonly string[];
}

export class KernelRig {
  readonly pair = new Pair();
  readonly folder = new BpfFileSystem();
  #phones: Phones | null = null;
  #nextPort = 20_000;

  async start(): Promise<void> {
    const { hub, one } = this.pair;
    connectNamespaces(
      { namespace: hub, device: 'cable2', address: '10.0.1.1/24' },
      { namespace: one.namespace, device: 'eth1', address: `${secondRelayAddress}/24` },
    );
    for (const address of phoneAddresses.slice(1, 3)) hub.addAddress('bridge0', `${address}/24`);
    const [bridge, eth0] = [`${phoneAddress6}/64`, `${relayAddress6}/64`];
    hub.ip('address', 'add', bridge, 'dev', 'bridge0', 'nodad');
    one.namespace.ip('address', 'add', eth0, 'dev', 'eth0', 'nodad');
    await this.pair.startRedis();
    this.#phones = await Phones.start(hub);
  }

  get phones(): Phones {
    if (this.#phones === null) throw new Error('not started');
    return this.#phones;
  }

  ng(number = 1): Address {
    return { address: relayAddress, port: 2221 + number * 10 };
  }

  cli(number = 1): Address {
    return { address: relayAddress, port: 2222 + number * 10 };
  }

  /** Learning ends with the first packet unless `extra` says otherwise. */
  optionsOf({ mode, number = 1, interfaces = [relayAddress], extra = [] }: StartOptions): string[] {
    const firstPort = 30_000 + (number - 1) * 1000;
    const kernel = [
      ...[`--kernel-forward-pins=${this.folder.file(`relay${number}`)}`, '--no-fallback'],
    ];
    return [
      ...interfaces.map((each) => `--interface=${each}`),
      ...[`--listen-ng=${relayAddress}:${this.ng(number).port}`],
      ...[`--listen-cli=${relayAddress}:${this.cli(number).port}`],
      ...[`--redis=10.0.0.1:6379/${number}`, `--kernel-forward=${mode}`],
      ...(mode === 'none' ? [] : kernel),
      ...[`--port-min=${firstPort}`, `--port-max=${firstPort + 999}`],
      ...['--endpoint-learning=immediate', '--delete-delay=0'],
      ...extra,
    ];
  }

  async startRelay(options: StartOptions): Promise<TestProcess> {
    return this.pair.one.startRelay(this.optionsOf(options));
  }

  async flows(number = 1): Promise<readonly ListedFlow[]> {
    const text = await this.phones.command(this.cli(number), 'kernel');
    const pattern = /^ {2}(\S+) > (\S+) \| (\S+) > (\S+) \| (\d+) p,/gm;
    return [...text.matchAll(pattern)].map(
      ([, from = '', local = '', source = '', to = '', p]) => ({
        ...{ from, local, source, to, packets: Number(p) },
      }),
    );
  }

  async flowCount(number = 1): Promise<number> {
    return (await this.flows(number)).length;
  }

  /** Two neighbouring ports that no phone has yet. */
  nextPort(): number {
    return (this.#nextPort += 2);
  }

  async remove(): Promise<void> {
    await this.#phones?.stop();
    await this.pair.remove();
    this.folder.remove();
  }
}

export interface CallOptions {
  readonly number?: number;
  /** Addresses of the phones. */
  readonly addresses?: readonly [string, string];
  /** Flags of both offer and answer. */
  readonly flags?: readonly string[];
  /** Further keys of the offer. */
  readonly offer?: NgDictionary;
  /** Sections from their ports; default one of audio. */
  readonly media?: (port: number) => readonly MediaSection[];
  readonly kind?: PacketKind;
}

const audioOnly = (port: number): readonly MediaSection[] => [{ port, formats: '8' }];

type Side = 'a' | 'b';

/** A call between phones `<id>a` and `<id>b`; its streams are `<id>>` and `<id><`. */
export class RigCall {
  readonly ports: Record<Side, number>;
  readonly addresses: Record<Side, string>;
  /** Where each phone sends to. */
  readonly targets: Record<Side, Address> = {
    a: { address: '', port: 0 },
    b: { address: '', port: 0 },
  };
  /** The last SDP that each phone got. */
  readonly bodies: Record<Side, string> = { a: '', b: '' };

  constructor(
    readonly rig: KernelRig,
    readonly id: string,
    readonly options: CallOptions = {},
  ) {
    const [a, b] = options.addresses ?? ['10.0.0.1', '10.0.0.1'];
    this.addresses = { a, b };
    this.ports = { a: rig.nextPort(), b: rig.nextPort() };
  }

  get forth(): string {
    return `${this.id}>`;
  }

  get back(): string {
    return `${this.id}<`;
  }

  sdp(side: Side, lines: readonly string[] = [], change: Partial<Address> = {}): string {
    const port = change.port ?? this.ports[side];
    const address = change.address ?? this.addresses[side];
    const media = (this.options.media ?? audioOnly)(port).map((section) => ({
      ...section,
      lines: [...(section.lines ?? []), ...lines],
    }));
    return buildSdp({ origin: this.addresses[side], address, media });
  }

  /** A command about this call; commands from `b` have the tags turned round. */
  async ask(
    command: string,
    keys: NgDictionary = {},
    tries?: number,
  ): Promise<{ readonly reply: Reply; readonly sent: Marks }> {
    const at = this.rig.ng(this.options.number);
    const dictionary = { command, 'call-id': this.id, ...keys };
    return this.rig.phones.ng(at, dictionary, tries);
  }

  async #signal(
    command: 'offer' | 'answer',
    from: Side,
    sdp: string,
    keys: NgDictionary,
    tries?: number,
  ): Promise<Marks> {
    // The from-tag is that of whoever made the offer.
    const offerer = command === 'offer' ? from : other(from);
    const tags: Record<string, NgValue> = { 'from-tag': `tag-${offerer}` };
    if (command === 'answer' || this.#answered) tags['to-tag'] = `tag-${other(offerer)}`;
    const flags: NgValue = ['trust-address', ...(this.options.flags ?? [])];
    const replace: NgValue = ['origin', 'session-connection'];
    const all = { ...tags, sdp, flags, replace, ICE: 'remove', ...keys };
    const { reply, sent } = await this.ask(command, all, tries);
    expect(reply['result'], JSON.stringify(reply)).to.equal('ok');
    const body = String(reply['sdp']);
    this.bodies[other(from)] = body;
    this.targets[other(from)] = mediaTarget(body);
    if (command === 'answer') this.#answered = true;
    return sent;
  }

  #answered = false;

  async offer(from: Side, sdp: string, keys: NgDictionary = {}, tries?: number): Promise<Marks> {
    return this.#signal('offer', from, sdp, { ...this.options.offer, ...keys }, tries);
  }

  async answer(from: Side, sdp: string, keys: NgDictionary = {}, tries?: number): Promise<Marks> {
    return this.#signal('answer', from, sdp, keys, tries);
  }

  /** Signalling alone. */
  async setUp(): Promise<void> {
    await this.offer('a', this.sdp('a'));
    await this.answer('b', this.sdp('b'));
  }

  /** A socket of a phone, by default where its SDP says. */
  async open(side: Side, name = `${this.id}${side}`, at: Partial<Address> = {}): Promise<void> {
    const own = { address: this.addresses[side], port: this.ports[side] };
    await this.rig.phones.open(name, { ...own, ...at });
  }

  /** One phone talks, from `name`, to where it has been told to. */
  async talk(side: Side, name = `${this.id}${side}`): Promise<void> {
    const label = side === 'a' ? this.forth : this.back;
    await this.rig.phones.talk(label, name, this.targets[side], this.options.kind);
  }

  /** Set up, both phones talk. */
  async begin(): Promise<this> {
    await this.setUp();
    await this.open('a');
    await this.open('b');
    await this.talk('a');
    await this.talk('b');
    return this;
  }

  /** Those of the ports that the phones have been told of. */
  async flows(): Promise<readonly ListedFlow[]> {
    const locals = new Set(
      Object.values(this.bodies).flatMap((body) => {
        const { address } = mediaTarget(body);
        const host = address.includes(':') ? `[${address}]` : address;
        return [...body.matchAll(/^m=\S+ (\d+)/gm)].map(([, port]) => `${host}:${port}`);
      }),
    );
    const all = await this.rig.flows(this.options.number);
    return all.filter(({ local }) => locals.has(local));
  }

  /** Waits until the kernel forwards `count` streams of the call. */
  async inKernel(count = 2): Promise<void> {
    let seen: readonly ListedFlow[] = [];
    await until(async () => {
      seen = await this.flows();
      return seen.length === count && seen.every(({ packets }) => packets > 2);
    }, `${count} flows of ${this.id} that forward`).catch((error: unknown) => {
      throw new Error(`${String(error)}, but ${JSON.stringify(seen)}`, { cause: error });
    });
  }

  /** Ends its streams and gives their report. */
  async hush(): Promise<{ readonly forth: StreamReport; readonly back: StreamReport }> {
    await this.rig.phones.hush(this.id);
    return this.reportIn(await this.rig.phones.settledReport(this.id));
  }

  reportIn(report: PhonesReport): { readonly forth: StreamReport; readonly back: StreamReport } {
    const forth = report.streams[this.forth];
    const back = report.streams[this.back];
    if (forth === undefined || back === undefined) throw new Error(`${this.id} has not talked`);
    return { forth, back };
  }
}

const other = (side: Side): Side => (side === 'a' ? 'b' : 'a');

/** Every packet arrived once, at one of these sockets. */
export function expectWhole(report: StreamReport, ...places: readonly string[]): void {
  expect(report.lost, 'lost').to.deep.equal([]);
  expect(report.duplicates, 'duplicates').to.equal(0);
  expect(Object.keys(report.places), 'where packets arrived').to.have.members(places);
}
