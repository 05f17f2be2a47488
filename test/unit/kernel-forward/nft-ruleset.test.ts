import { expect } from 'chai';
import type { Flow } from '../../../src/kernel-forward/flows.js';
import {
  parseInstance,
  parseListing,
  parseTableNames,
} from '../../../src/kernel-forward/nft-listing.js';
import {
  ElementChanges,
  isForwardable,
  layoutVersion,
  markOf,
  slotOf,
  tableName,
  tableText,
  type Table,
} from '../../../src/kernel-forward/nft-ruleset.js';

const table: Table = { name: 'rtprelay_x', instance: 3, maxFlows: 100 };
const at = (address: string, port: number): Flow['local'] => ({ address, port });
const flow: Flow = {
  local: at('192.0.2.1', 30_000),
  expected: at('198.51.100.1', 4000),
  source: at('192.0.2.1', 30_002),
  destination: at('203.0.113.1', 5000),
  tos: 0,
  opaque: false,
  excludedPayloadTypes: [],
  rtcpOnly: false,
  rtcp: null,
  clockRate: 8000,
};
const flow6: Flow = {
  local: at('2001:db8::1', 30_000),
  expected: at('2001:db8::2', 4000),
  source: at('2001:db8::1', 30_002),
  destination: at('2001:db8::3', 5000),
  tos: 184,
  opaque: true,
  excludedPayloadTypes: [],
  rtcpOnly: false,
  rtcp: null,
  clockRate: 0,
};
const textOf = (describe: (changes: ElementChanges) => void): readonly string[] => {
  const changes = new ElementChanges(table);
  describe(changes);
  return changes.text().split('\n').slice(0, -1);
};
const slotFlow = (each: Flow, admitted = true) => ({ slot: 5, flow: each, admitted });

describe('nftables rule set', () => {
  it('names the table after the instance', () => {
    expect(tableName('127-0-0-1_2223')).to.equal('rtprelay_127_0_0_1_2223');
    expect(tableName('/run/pins/a')).to.equal('rtprelay_run_pins_a');
    const long = tableName(`/${'x'.repeat(200)}`);
    expect(long)
      .to.match(/^rtprelay_[0-9a-f]{32}$/)
      .and.not.equal(tableName('y'.repeat(200)));
  });

  it('gives each flow of each instance a mark of its own', () => {
    expect(markOf(table, 5).toString(16)).to.equal('52300005');
    expect(slotOf(markOf(table, 5))).to.equal(5);
  });

  it('makes the table anew in one transaction', () => {
    const text = tableText(table);
    expect(text).to.match(/^add table inet rtprelay_x\ndelete table inet rtprelay_x\ntable inet/);
    expect(text).to.contain(`elements = { 1 : ${layoutVersion}, 2 : 3, 3 : 100 }`);
    expect(text.split('{')).to.have.lengthOf(text.split('}').length);
  });

  it('has an entry, both ends and a counter for a flow', () => {
    expect(textOf((changes) => changes.replace(null, slotFlow(flow)))).to.deep.equal([
      'add element inet rtprelay_x flows4 { 192.0.2.1 . 30000 . 198.51.100.1 . 4000 : 0x52300005 }',
      'add element inet rtprelay_x daddr4 { 0x52300005 : 203.0.113.1 }',
      'add element inet rtprelay_x saddr4 { 0x52300005 : 192.0.2.1 }',
      'add element inet rtprelay_x dport { 0x52300005 : 5000 }',
      'add element inet rtprelay_x sport { 0x52300005 comment "0 8000" : 30002 }',
      'add element inet rtprelay_x counted { 0x52300005 }',
    ]);
  });

  it('has maps of its own for IPv6 and for what is not RTP, and a chain for each DSCP', () => {
    const text = textOf((changes) => changes.replace(null, slotFlow(flow6))).join('\n');
    expect(text).to.match(/opaque6 \{ 2001:db8::1 \. 30000 \. 2001:db8::2 \. 4000 :/);
    expect(text).to.match(/daddr6 .*2001:db8::3/);
    expect(text).to.match(/dscp \{ 0x52300005 : jump dscp_46 \}/);
    expect(text).to.match(/add chain .* dscp_46\nflush chain .*\nadd rule .* ip dscp set 46\n/);
  });

  it('touches what a replaced flow changes, and never its counter', () => {
    const moved = { ...flow, expected: at('198.51.100.1', 4002) };
    expect(textOf((changes) => changes.replace(slotFlow(flow), slotFlow(moved)))).to.deep.equal([
      'delete element inet rtprelay_x flows4 { 192.0.2.1 . 30000 . 198.51.100.1 . 4000 }',
      'add element inet rtprelay_x flows4 { 192.0.2.1 . 30000 . 198.51.100.1 . 4002 : 0x52300005 }',
    ]);
    const marked = { ...flow, tos: 184 };
    expect(textOf((changes) => changes.replace(slotFlow(marked), slotFlow(flow)))).to.deep.equal([
      'delete element inet rtprelay_x sport { 0x52300005 }',
      'delete element inet rtprelay_x dscp { 0x52300005 }',
      'add element inet rtprelay_x sport { 0x52300005 comment "0 8000" : 30002 }',
    ]);
    expect(textOf((changes) => changes.replace(slotFlow(flow), slotFlow(flow)))).to.deep.equal([]);
  });

  it('goes on counting where a table before has ended', () => {
    const text = textOf((changes) => changes.add(slotFlow(flow), { packets: 7, bytes: 1400 }));
    expect(text[0]).to.match(/counted \{ 0x52300005 counter packets 7 bytes 1400 \}$/);
    expect(text).to.have.lengthOf(6);
  });

  it('takes the entry out first and the rest later', () => {
    expect(textOf((changes) => changes.removeEntry(slotFlow(flow)))).to.have.lengthOf(1);
    const rest = textOf((changes) => changes.removeRest(slotFlow(flow)));
    expect(rest.join()).to.not.contain('flows4').and.not.contain('comment');
    expect(rest).to.have.lengthOf(5);
  });

  it('has no entry for a flow that waits, or that no router forwards', () => {
    for (const each of [
      slotFlow(flow, false),
      slotFlow({ ...flow, destination: at('127.0.0.1', 5000) }),
      slotFlow({ ...flow6, expected: at('fe80::1', 5000) }),
    ]) {
      const text = textOf((changes) => changes.replace(null, each)).join();
      expect(text)
        .to.contain('counted')
        .and.not.match(/flows|opaque/);
      expect(textOf((changes) => changes.removeEntry(each))).to.deep.equal([]);
    }
    const no = ['0.0.0.0', '127.1.1.1', '224.0.0.1', '239.1.1.1', '::1', 'FE80::1', 'ff02::1'];
    for (const address of no)
      expect(isForwardable({ ...flow, destination: at(address, 1) }), address).to.equal(false);
    for (const address of ['10.0.0.1', '1.2.3.4', '2001:db8::1', 'fd00::1', '::2'])
      expect(isForwardable({ ...flow, destination: at(address, 1) }), address).to.equal(true);
  });
});

/** As nft 1.0.6 lists a table. */
const listing = (version: number): string =>
  JSON.stringify({
    nftables: [
      { metainfo: { version: '1.0.6' } },
      { table: { family: 'inet', name: 'rtprelay_x', handle: 1 } },
      map('about', [
        [1, version],
        [2, 3],
        [3, 100],
      ]),
      { set: { name: 'devices4', elem: ['eth0', 'bond0.7'] } },
      { set: { name: 'devices6' } },
      map('flows4', [[{ concat: ['192.0.2.1', 30_000, '198.51.100.1', 4000] }, 0x52300005]]),
      map('daddr4', [
        [0x52300005, '203.0.113.1'],
        [0x52300006, '203.0.113.9'],
      ]),
      map('saddr4', [[0x52300005, '192.0.2.1']]),
      map('dport', [[0x52300005, 5000]]),
      map('sport', [[{ elem: { val: 0x52300005, comment: '184 8000' } }, 30_002]]),
      {
        set: {
          name: 'counted',
          elem: [0x52300005, 0x52300006].map((val) => ({
            elem: { val, counter: { packets: 1, bytes: 200 } },
          })),
        },
      },
      { chain: { family: 'inet', table: 'rtprelay_x', name: 'arrive' } },
    ],
  });
function map(name: string, elem: readonly unknown[]): unknown {
  return { map: { family: 'inet', table: 'rtprelay_x', name, elem } };
}

describe('nftables listing', () => {
  it('gives back flows, devices, and what is left of flows that were being removed', () => {
    expect(parseListing(listing(layoutVersion), 'rtprelay_x')).to.deep.equal({
      table,
      devices: { ipv4: ['eth0', 'bond0.7'], ipv6: [] },
      flows: [{ slot: 5, flow: { ...flow, tos: 184 }, admitted: true }],
      remains: new Map([
        ['daddr4', [0x52300006]],
        ['counted', [0x52300006]],
      ]),
    });
  });

  it('knows a table of another layout, and its instance', () => {
    expect(parseListing(listing(layoutVersion + 1), 'rtprelay_x')).to.equal(null);
    expect(parseInstance(listing(layoutVersion + 1))).to.equal(3);
    expect(parseListing('{"nftables":[]}', 'rtprelay_x')).to.equal(null);
    expect(parseTableNames(listing(1))).to.deep.equal(['rtprelay_x']);
  });
});
