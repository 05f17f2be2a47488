/** Carries out sequences against one daemon. */
import { decodeReply, type NgClient } from '../../support/ng-client.js';
import type { MediaDaemon } from '../../support/daemons.js';
import type { NgDictionary } from '../../support/bencode.js';
import { RtpEndpoint, type Destination } from '../../support/rtp-endpoint.js';
import { mediaTarget } from '../../support/sdp.js';
import { pause } from '../../support/wait.js';
import { differences, flattenReply, Masks, shapeOfReply, type Flat } from './masking.js';
import type {
  CommandStep,
  DatagramStep,
  MediaStep,
  Party,
  RawStep,
  Scene,
  Sequence,
  Step,
} from './sequence.js';

let phones = { first: 0, count: 0, next: 0 };

/** Phones have these ports, one pair after the other. */
export function phonesFrom(first: number, count: number): void {
  phones = { first, count, next: 0 };
}

function nextPhonePort(): number {
  const port = phones.first + phones.next;
  phones.next = (phones.next + 2) % phones.count;
  return port;
}

/** One sequence against one daemon. */
class Performance implements Scene {
  readonly callId: string;
  readonly #masks: Masks;
  readonly #phones = new Map<Party, RtpEndpoint>();
  /** Where the last SDP sent to a phone told it to send its RTP. */
  readonly #targets = new Map<Party, Destination>();
  readonly #offered = new Map<Party, string>();
  readonly #callIds = new Set<string>();
  readonly #placed: NonNullable<Side['placed']>;

  constructor(
    sequence: Sequence,
    private readonly client: NgClient,
    daemon: MediaDaemon,
    { anyOf = [], pools = {}, placed = (reply) => reply }: Pick<Side, 'anyOf' | 'pools' | 'placed'>,
    /** Without a packet for so long, all have come. */
    private readonly quietMs: number,
  ) {
    this.callId = sequence.name.replaceAll(' ', '-');
    this.#placed = placed;
    this.#masks = new Masks((port) => daemon.ownsPort(port), anyOf, pools);
  }

  async port(party: Party): Promise<number> {
    return (await this.#phone(party)).port;
  }

  offeredTo(party: Party): string | null {
    const sdp = this.#offered.get(party) ?? null;
    this.#offered.delete(party);
    return sdp;
  }

  async #phone(party: Party): Promise<RtpEndpoint> {
    const open = this.#phones.get(party);
    if (open !== undefined) return open;
    const phone = await RtpEndpoint.open(undefined, undefined, nextPhonePort());
    this.#phones.set(party, phone);
    this.#masks.know(phone.port, `<${party}>`);
    this.#masks.know(phone.port + 1, `<${party}>+1`);
    this.#masks.know(phone.ssrc, `<SSRC of ${party}>`);
    return phone;
  }

  async perform(step: Step): Promise<Flat> {
    switch (step.kind) {
      case 'command':
        return this.#command(step);
      case 'raw':
        return this.#raw(step);
      case 'media':
        return this.#media(step);
      case 'datagrams':
        return this.#datagrams(step);
      case 'pause':
        await pause(step.milliseconds);
        return new Map();
    }
  }

  async #command(step: CommandStep): Promise<Flat> {
    const request = await step.dictionary(this);
    const callId = request['call-id'] ?? request['call id'];
    if (typeof callId === 'string') this.#callIds.add(callId);
    const reply = await this.client.ask(request, { encoding: step.encoding });
    if (step.delivers !== null) this.#deliver(step.delivers, reply);
    return step.shapeOnly ? shapeOfReply(reply) : flattenReply(this.#placed(reply), this.#masks);
  }

  #deliver(party: Party, reply: NgDictionary): void {
    const { sdp } = reply;
    if (typeof sdp !== 'string' || !sdp.includes('m=')) return;
    this.#offered.set(party, sdp);
    this.#targets.set(party, { address: '127.0.0.1', port: mediaTarget(sdp).port });
  }

  async #raw(step: RawStep): Promise<Flat> {
    const cookie = step.cookie ?? this.client.nextCookie();
    const waiting = this.client.replyWithin(cookie, 60_000);
    this.client.sendDatagram(Buffer.from(`${cookie} ${step.body}`, 'latin1'));
    const body = await Promise.race([waiting, this.#later()]);
    if (body === null) return new Map([['reply', 'none']]);
    const encoding = body[0] === 0x7b ? 'JSON' : 'bencode';
    const flat = new Map(flattenReply(decodeReply(body), this.#masks));
    return flat.set('encoding', encoding);
  }

  /** A later command has been answered, and some time has passed: what has no reply by now has none. */
  async #later(): Promise<null> {
    await this.client.ask({ command: 'ping' });
    await pause(4 * this.quietMs);
    return null;
  }

  async #datagrams(step: DatagramStep): Promise<Flat> {
    const sender = await this.#phone(step.from);
    const target = this.#targets.get(step.usingSdpOf);
    if (target === undefined) throw new Error(`${step.usingSdpOf} has no SDP yet`);
    for (const endpoint of this.#phones.values()) endpoint.clear();
    for (const datagram of step.datagrams) {
      sender.rtpSocket.send(datagram, target.port, target.address);
      await pause(2);
    }
    const received = new Map<string, string>();
    for (const [party, endpoint] of this.#phones) {
      await endpoint.settled(this.quietMs);
      // Not their order: rtpengine holds packets of different payload types back for each other.
      for (const { bytes } of endpoint.rtp) {
        const name = `${party} received ${bytes.toString('hex')}`;
        received.set(name, `${Number(received.get(name) ?? 0) + 1}`);
      }
    }
    return received;
  }

  async #media(step: MediaStep): Promise<Flat> {
    const sender = await this.#phone(step.from);
    const target = this.#targets.get(step.usingSdpOf);
    if (step.ifTold === true && (target?.port ?? 0) === 0) return new Map();
    if (target === undefined) throw new Error(`${step.usingSdpOf} has no SDP yet`);
    for (const endpoint of this.#phones.values()) endpoint.clear();
    if (step.rtcp) sender.sendReport({ ...target, port: target.port + 1 });
    else await sender.sendRtp(target, step.packets);
    const received = new Map<string, string>();
    for (const [party, endpoint] of this.#phones) {
      await endpoint.settled(this.quietMs);
      const sources = new Set([...endpoint.rtp, ...endpoint.rtcp].map((each) => each.from.port));
      const names = [...sources].map((port) => this.#masks.port(port));
      received.set(`${party} received RTP`, String(endpoint.rtp.length));
      received.set(`${party} received RTCP`, String(endpoint.rtcp.length));
      received.set(`${party} received from`, `[${names.join(', ')}]`);
    }
    return received;
  }

  /** Frees the ports of the calls that the sequence has left behind. */
  async close(): Promise<void> {
    for (const endpoint of this.#phones.values()) endpoint.close();
    for (const callId of this.#callIds) {
      await this.client.ask({ command: 'delete', 'call-id': callId, 'delete-delay': 0 });
    }
  }
}

/** What each step of a sequence came to. */
export async function performOn(
  sequence: Sequence,
  { daemon, client, ...shown }: Side,
  quietMs: number,
): Promise<readonly Flat[]> {
  const performance = new Performance(sequence, client, daemon, shown, quietMs);
  try {
    const results: Flat[] = [];
    for (const step of sequence.steps) results.push(await performance.perform(step));
    return results;
  } finally {
    await performance.close();
  }
}

/** A daemon with the client that talks to it. */
export interface Side {
  readonly daemon: MediaDaemon;
  readonly client: NgClient;
  /** Local addresses of which the daemon takes any (round robin). */
  readonly anyOf?: readonly string[];
  /** Addresses that have port numbers of their own (`Masks`). */
  readonly pools?: Readonly<Record<string, string>>;
  /** Puts what a daemon tells elsewhere into its place before it is compared. */
  readonly placed?: (reply: NgDictionary) => NgDictionary;
}

/** Sends a sequence to all daemons and names every difference from each reference, with the number of its step. */
export async function compareWithEach(
  sequence: Sequence,
  references: readonly Side[],
  subject: Side,
  quietMs = 60,
): Promise<readonly (readonly string[])[]> {
  const all = await Promise.all(
    [subject, ...references].map((side) => performOn(sequence, side, quietMs)),
  );
  const [ours = [], ...others] = all;
  return others.map((theirs) =>
    sequence.steps.flatMap((step, index) => {
      const found = differences(theirs[index] ?? new Map(), ours[index] ?? new Map());
      return found.map((difference) => `${index + 1} ${step.name}: ${difference}`);
    }),
  );
}

/** As `compareWithEach`, with one. */
export async function compareSides(
  sequence: Sequence,
  reference: Side,
  subject: Side,
  quietMs?: number,
): Promise<readonly string[]> {
  const [found = []] = await compareWithEach(sequence, [reference], subject, quietMs);
  return found;
}
