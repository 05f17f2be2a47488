/** Which local address a stored socket is on (redis-layout.md §6.3). */
import { expect } from 'chai';
import { InterfaceTable } from '../../../src/media/interfaces.js';
import type { CallState } from '../../../src/media/call-state.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { extraFields, type StoredFormat } from '../../../src/redis-store/schema.js';
import { storedSockets } from '../../../src/redis-store/stored-sockets.js';
import { formerSamples, sample, settings as plain } from '../../support/unit/redis-store.js';

const table = new InterfaceTable([
  {
    name: 'pub',
    addresses: [
      { family: 'IP4', address: '127.0.0.1', advertised: '127.0.0.1' },
      { family: 'IP6', address: '::1', advertised: '::1' },
      { family: 'IP4', address: '127.0.0.2', advertised: '127.0.0.2' },
    ],
  },
]);
const settings = {
  ...plain,
  indexOfPosition: table.indexOfPosition.bind(table),
};

type Located = Pick<CallState['sockets'][number], 'logicalInterface' | 'family' | 'addressIndex'>;
const addressOf = ({ logicalInterface, family, addressIndex }: Located): string | undefined =>
  table.addressAt(logicalInterface, family, addressIndex)?.address;

describe('the local addresses of a stored call', () => {
  for (const [format, value] of formerSamples) {
    it(`are found by the numbers that we once gave them (${format})`, () => {
      const { state, format: found } = decodeCall('x', value, settings);
      expect(found).to.equal(format);
      expect(state.sockets.map(addressOf)).to.deep.equal(['::1', '::1', '127.0.0.1', '127.0.0.1']);
      const maps = state.endpointMaps.map((map) =>
        map.sockets.map(({ addressIndex }) => addressOf({ ...map, addressIndex })),
      );
      expect(maps).to.deep.equal([['::1'], ['127.0.0.1']]);
      for (const written of ['JSON', 'bencode', 'JSON-10.5'] satisfies readonly StoredFormat[]) {
        const again = decodeCall('x', encodeCall(state, written, settings), settings).state;
        expect(again.sockets.map(addressOf)).to.deep.equal(state.sockets.map(addressOf));
        expect(again.endpointMaps).to.deep.equal(state.endpointMaps);
      }
      const early = storedSockets(value, settings.indexOfPosition);
      if (format !== 'bencode')
        expect(early.map(addressOf)).to.deep.equal(state.sockets.map(addressOf));
    });
  }

  it('are numbered by family in what rtpengine has written', () => {
    const value = sample('02-relay.json')
      .toString('latin1')
      .replaceAll(
        '"logical_intf":"ext","local_intf_uid":"0"',
        '"logical_intf":"pub","local_intf_uid":"1"',
      );
    const bytes = Buffer.from(value, 'latin1');
    const { state } = decodeCall('x', bytes, settings);
    expect(state.sockets.map(addressOf).slice(0, 2)).to.deep.equal(['127.0.0.2', '127.0.0.2']);
    expect(storedSockets(bytes, settings.indexOfPosition).map(addressOf).slice(0, 2)).to.deep.equal(
      ['127.0.0.2', '127.0.0.2'],
    );
    // And in what we write of it, which says so.
    for (const format of ['JSON', 'JSON-10.5'] as const) {
      const written = encodeCall(state, format, settings);
      expect(written.toString('latin1')).to.include(`"${extraFields.uidByFamily}":"1"`);
      const again = decodeCall('x', written, settings).state;
      expect(again.sockets.map(addressOf)).to.deep.equal(state.sockets.map(addressOf));
    }
  });
});
