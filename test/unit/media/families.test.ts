/**
 * Which family and address a call's ports have: of c=, whatever SIP came by (ng-protocol.md §4.8). The
 * rules are written down once more here and tried in all combinations.
 */
import { expect } from 'chai';
import { InterfaceTable } from '../../../src/media/interfaces.js';
import type { AddressFamily } from '../../../src/media/call-state.js';
import type { SignallingFlag } from '../../../src/media/signalling.js';
import { body, ModelCall, portOf, type Keys } from '../../support/unit/media.js';

const four = { family: 'IP4', address: '127.0.0.1', advertised: '203.0.113.4' } as const;
const six = { family: 'IP6', address: '::1', advertised: '2001:db8:ffff::6' } as const;
const interfaces = new InterfaceTable([
  { name: 'dual', addresses: [four, six] },
  { name: 'six-first', addresses: [six, four] },
  { name: 'four', addresses: [four] },
  { name: 'six', addresses: [six] },
  { name: 'rr:1', addresses: [four] },
  { name: 'rr:2', addresses: [four] },
  { name: 'rr:3', addresses: [four] },
]);

const familyOf = (address: string): AddressFamily => (address.includes(':') ? 'IP6' : 'IP4');

function bodyAt(address: string, port = 6000): string {
  return body(port, [], '192.0.2.99').replace(
    'c=IN IP4 192.0.2.99',
    `c=IN ${familyOf(address)} ${address}`,
  );
}

/** The family a logical interface has for a wish. */
function had(name: string, wanted: AddressFamily): AddressFamily {
  const addresses = interfaces.all.find((each) => each.name === name)?.addresses ?? [];
  const [first] = addresses;
  if (first === undefined) throw new Error(`no interface ${name}`);
  return addresses.find(({ family }) => family === wanted)?.family ?? first.family;
}

const connectionOf = (sdp: string): string => /c=IN IP[46] (\S+)/.exec(sdp)?.[1] ?? '';

const written = ['192.0.2.10', '2001:db8::10', '0.0.0.0', '::'];
const sources = [null, '192.0.2.55', '2001:db8::55'];
/** Flags of the request, and whether the option sip-source is on. */
const trust: readonly (readonly [readonly SignallingFlag[], boolean])[] = [
  [[], false],
  [[], true],
  [['trust-address'], true],
  [['sip-source-address'], false],
];
const wishes: readonly (AddressFamily | null)[] = [null, 'IP4', 'IP6'];
const mediaAddresses = [null, '2001:db8:9::9'];
const directions = [
  ['dual', 'dual'],
  ['six-first', 'four'],
  ['four', 'dual'],
  ['six', 'dual'],
  ['dual', 'six'],
] as const;

interface Row {
  readonly address: string;
  readonly source: string | null;
  readonly flags: readonly SignallingFlag[];
  readonly sipSource: boolean;
  readonly wish: AddressFamily | null;
  readonly mediaAddress: string | null;
  readonly direction: readonly [string, string];
}

const rows: readonly Row[] = written.flatMap((address) =>
  sources.flatMap((source) =>
    trust.flatMap(([flags, sipSource]) =>
      wishes.flatMap((wish) =>
        mediaAddresses.flatMap((mediaAddress) =>
          directions.map((direction) => ({
            ...{ address, source, flags, sipSource, wish, mediaAddress, direction },
          })),
        ),
      ),
    ),
  ),
);

/** Where the caller gets its media; null: the request cannot be carried out. */
function placeOf({ address, source, flags, sipSource, direction }: Row): string | null {
  const bySource =
    flags.includes('sip-source-address') || (sipSource && !flags.includes('trust-address'));
  if (!bySource) return address;
  if (source === null) return null;
  const family = familyOf(address);
  return familyOf(source) === family || had(direction[0], family) !== family ? source : address;
}

function check(row: Row): void {
  const call = new ModelCall({ interfaces, sipSource: row.sipSource });
  const [fromInterface, toInterface] = row.direction;
  const keys: Keys = {
    ...{ fromInterface, toInterface, receivedFrom: row.source, addressFamily: row.wish },
    ...{ mediaAddress: row.mediaAddress, flags: new Set(row.flags) },
  };
  const place = placeOf(row);
  if (place === null) {
    expect(() => call.offer(bodyAt(row.address), keys)).to.throw('Incomplete SDP');
    return;
  }
  const sdp = call.offer(bodyAt(row.address), keys);
  const family = familyOf(place);
  expect(call.stream('a').advertisedEndpoint).to.deep.equal({ address: place, port: 6000 });
  const facingCaller = had(fromInterface, family);
  const facingCallee = had(toInterface, row.wish ?? family);
  expect(call.media('a').desiredFamily).to.equal(facingCaller);
  expect(call.media(null).desiredFamily).to.equal(facingCallee);
  for (const [tag, wanted] of [
    ['a', facingCaller],
    [null, facingCallee],
  ] as const) {
    const socket = call.state?.sockets.find(({ id }) => id === call.stream(tag).selectedSocket);
    expect(socket?.family).to.equal(wanted);
  }
  const local = facingCallee === 'IP4' ? four : six;
  const isHeld = place === '0.0.0.0' || place === '::';
  const zero = facingCallee === 'IP4' ? '0.0.0.0' : '::';
  expect(connectionOf(sdp)).to.equal(row.mediaAddress ?? (isHeld ? zero : local.advertised));
  expect(sdp).to.include(isHeld ? 'a=sendonly\r\n' : 'a=sendrecv\r\n');
  const reachable = isHeld || facingCaller === family;
  expect(call.warnings).to.have.lengthOf(reachable ? 0 : 1);
}

describe('the family of media', () => {
  it(`is that of c= in ${rows.length} combinations of keys`, () => {
    for (const row of rows) {
      try {
        check(row);
      } catch (error) {
        throw new Error(JSON.stringify(row), { cause: error });
      }
    }
  });

  it('of an answer in another family than offered leaves the ports that the answerer was told', () => {
    const call = new ModelCall({ interfaces });
    const offered = portOf(call.offer(bodyAt('2001:db8::10')));
    call.answer(bodyAt('192.0.2.77', 7000));
    const socket = call.state?.sockets.find(({ id }) => id === call.stream('x').selectedSocket);
    expect(socket).to.include({ port: offered, family: 'IP6' });
  });

  it('of an offerer that moves to the other one is the new one', () => {
    const call = new ModelCall({ interfaces });
    call.offer(bodyAt('192.0.2.10'));
    call.answer(bodyAt('192.0.2.77', 7000));
    call.offer(bodyAt('2001:db8::10'), { toTag: 'x' });
    expect(connectionOf(call.answer(bodyAt('192.0.2.77', 7000)))).to.equal(six.advertised);
  });
});

describe('an address that is written in another way', () => {
  const spellings = [
    ['2001:db8::5', '2001:DB8::5', '2001:0db8:0:0::0005', '[2001:db8::5]', '2001:db8::5%lo'],
    ['192.0.2.10', '::ffff:192.0.2.10', '::FFFF:c000:20a', '192.000.002.010'],
  ];
  for (const [plain = '', ...others] of spellings) {
    for (const spelled of others) {
      it(`${spelled} is ${plain}: nothing changes`, () => {
        const call = new ModelCall({ interfaces });
        const callee = bodyAt(plain.includes(':') ? '2001:db8::77' : '192.0.2.77', 7000);
        const first = call.offer(bodyAt(plain));
        call.answer(callee);
        const before = call.state;
        const again = call.offer(bodyAt(spelled), { toTag: 'x' });
        expect(portOf(again)).to.equal(portOf(first));
        call.answer(callee);
        expect(call.state?.sockets.map(({ port }) => port)).to.deep.equal(
          before?.sockets.map(({ port }) => port),
        );
        expect(call.stream('a').advertisedEndpoint).to.deep.equal({ address: plain, port: 6000 });
      });
    }
  }
});

describe('interfaces that are taken in turn', () => {
  const turn: Keys = { fromInterface: 'rr', toInterface: 'rr' };

  it('stay with a participant that names their base again', () => {
    const call = new ModelCall({ interfaces });
    const first = call.offer(body(6000), turn);
    const answered = call.answer(body(7000, [], '192.0.2.77'), turn);
    const names = ['a', 'x'].map((tag) => call.participant(tag).logicalInterface);
    expect(new Set(names)).to.have.lengthOf(2);
    for (let round = 0; round < 4; round++) {
      expect(call.offer(body(6000), { ...turn, toTag: 'x' })).to.equal(first);
      expect(call.answer(body(7000, [], '192.0.2.77'), turn)).to.equal(answered);
    }
    expect(['a', 'x'].map((tag) => call.participant(tag).logicalInterface)).to.deep.equal(names);
  });

  it('are left for another one that is named, and taken in turn again', () => {
    const call = new ModelCall({ interfaces });
    call.offer(body(6000), { ...turn, toInterface: 'rr:2' });
    call.offer(body(6000), turn);
    expect(call.participant(null).logicalInterface).to.equal('rr:2');
    call.offer(body(6000), { ...turn, toInterface: 'four' });
    expect(call.participant(null).logicalInterface).to.equal('four');
    call.offer(body(6000), turn);
    expect(call.participant(null).logicalInterface).to.match(/^rr:/);
  });
});
