/** The relay is told what changes in the plan of a large call, and packets go as the whole plan says. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { MediaPlan, PartChange, StreamPart } from '../../src/media/relay.js';
import { NativeRelay } from '../../src/native/relay.js';
import { freeUdpRange } from '../support/free-ports.js';
import { facingPort, planOfSides, side } from '../support/plans.js';
import { pause } from '../support/wait.js';

const address = '127.0.0.1';
const sides = 40;

const rtp = (sequence: number): Buffer => {
  const packet = Buffer.alloc(172, 0x55);
  packet.set([0x80, 0, 0, sequence & 0xff]);
  return packet;
};

const partOf = ({ transports, streams, routes }: MediaPlan, position: number): StreamPart => {
  const [transport, stream] = [transports[position], streams[position]];
  if (transport === undefined || stream === undefined) return expect.fail('no such part');
  return { transport, stream, routes: routes.filter(({ fromStream }) => fromStream === stream.id) };
};

const changeOf = (
  plan: MediaPlan,
  position: number,
  ports: readonly number[] = [],
): PartChange => ({
  ...{ position, ports },
  part: partOf(plan, position),
  routes: null,
});

describe('a change of the plan of a large call', () => {
  let relay: NativeRelay;
  let phones: Socket[];
  let heard: number[];
  let ports: ReturnType<typeof freeUdpRange>;

  beforeEach(async () => {
    relay = new NativeRelay({ workers: 1 });
    ports = freeUdpRange(sides + 2);
    heard = [];
    phones = Array.from({ length: 3 }, (_, at) =>
      createSocket('udp4').on('message', () => heard.push(at)),
    );
    for (const phone of phones) {
      phone.bind(0, address);
      await once(phone, 'listening');
    }
  });

  afterEach(() => {
    relay.close();
    for (const phone of phones) phone.close();
  });

  /** All are heard by side 0, `other` by side 1; sides 0 to 2 are the phones. */
  function planOf(count: number, other: number, without: number | null = null): MediaPlan {
    const all = Array.from({ length: count }, (_, id) => {
      const phone = phones[id];
      const endpoint = phone === undefined ? null : { address, port: phone.address().port };
      const rest = {
        endpoint,
        signalledEndpoint: endpoint,
        egressPort: id === without ? null : id,
      };
      return side(id, { ...rest, rtpTo: id === other ? [1] : [0] });
    });
    const open = all.filter(({ id }) => id !== without);
    return planOfSides(
      all,
      open.map(({ id }) => facingPort(id, id, address, ports.min + id)),
    );
  }

  /** Who hears the second phone after a packet from it to the port of a side. */
  async function hears(id: number): Promise<number | null> {
    heard = [];
    for (let attempt = 0; attempt < 40 && heard.length === 0; attempt += 1) {
      phones[2]?.send(rtp(attempt), ports.min + id, address);
      await pause(5);
    }
    await pause(20);
    return heard[0] ?? null;
  }

  const version = (): object => ({});
  const whole = (plan: MediaPlan, mine: object): MediaPlan => ({
    ...plan,
    change: { version: mine, since: null, closed: [], ports: [], parts: [] },
  });

  it('replaces, adds and closes what it names, and leaves the rest', async () => {
    const [first, second, third] = [version(), version(), version()];
    expect(relay.reconcile(whole(planOf(sides, 3), first))).to.deep.equal({ ok: true });
    expect([await hears(3), await hears(4)]).to.deep.equal([1, 0]);

    const grown = planOf(sides + 1, 4);
    const added = grown.ports.filter(({ id }) => id === sides);
    const parts = [3, 4, sides].map((position) =>
      changeOf(grown, position, position === sides ? [sides] : []),
    );
    const change = { version: second, since: first, closed: [], ports: added, parts };
    // Whatever is not in the change must not be looked at.
    const told = { ...grown, transports: [], streams: [], routes: [], ports: [], change };
    expect(relay.reconcile(told)).to.deep.equal({ ok: true });
    expect([await hears(3), await hears(4), await hears(sides)]).to.deep.equal([0, 1, 0]);
    expect(relay.statistics('call')?.streams).to.have.length(sides + 1);

    const closed = planOf(sides + 1, 4, 5);
    const part = changeOf(closed, 5);
    const without = { version: third, since: second, closed: [5], ports: [], parts: [part] };
    expect(relay.reconcile({ ...closed, change: without })).to.deep.equal({ ok: true });
    expect([await hears(5), await hears(6)]).to.deep.equal([null, 0]);
  });

  it('of a plan that is not known is not obeyed: the plan is, and what it lacks changes nothing', async () => {
    const [first, second] = [version(), version()];
    relay.reconcile(whole(planOf(sides, 3), first));
    const plan = planOf(sides, 4);
    const nothing = { version: second, since: version(), closed: [], ports: [], parts: [] };
    expect(relay.reconcile({ ...plan, change: nothing })).to.deep.equal({ ok: true });
    expect([await hears(3), await hears(4)]).to.deep.equal([0, 1]);

    // A port that cannot be opened: nothing changes, and the next plan is a whole one.
    const taken = {
      ...(plan.ports[0] ?? expect.fail()),
      id: sides,
      localPort: phones[0]?.address().port ?? 0,
    };
    const grown = planOf(sides + 1, 5);
    const parts = [4, 5, sides].map((position) =>
      changeOf(grown, position, position === sides ? [sides] : []),
    );
    const change = { version: version(), since: second, closed: [], ports: [taken], parts };
    expect(relay.reconcile({ ...grown, change }).ok).to.equal(false);
    expect([await hears(4), await hears(5)]).to.deep.equal([1, 0]);
    const last = { version: version(), since: change.version, closed: [], ports: [], parts: [] };
    expect(relay.reconcile({ ...grown, change: last })).to.deep.equal({ ok: true });
    expect([await hears(4), await hears(5)]).to.deep.equal([0, 1]);
  });
});
