import { expect } from 'chai';
import * as fc from 'fast-check';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { storedSockets } from '../../../src/redis-store/stored-sockets.js';
import { anyCall, samples, settings } from '../../support/unit/redis-store.js';

const ofOldPlace = settings.indexOfPosition;

describe('the ports of a stored call', () => {
  for (const [name, value] of samples) {
    it(`are those of the call: ${name}`, () => {
      const { state } = decodeCall('x', value, settings);
      const open = state.sockets.filter((socket) => socket.open);
      expect(storedSockets(value, ofOldPlace)).to.deep.equal(
        open.map(({ logicalInterface, family, addressIndex, port }) => ({
          ...{ logicalInterface, family, addressIndex, port },
        })),
      );
    });
  }

  for (const format of ['JSON', 'JSON-10.5'] as const) {
    it(`are found in what we write as ${format}, and never others`, () => {
      fc.assert(
        fc.property(anyCall, (call) => {
          const open = call.sockets.filter((socket) => socket.open).map(({ port }) => port);
          const found = storedSockets(encodeCall(call, format, settings), ofOldPlace).map(
            ({ port }) => port,
          );
          expect(open).to.include.members(found);
        }),
        { numRuns: 100 },
      );
    });
  }

  it('are none in values of other forms', () => {
    for (const text of ['', 'd4:jsone', '{"sfd-0":{"localport":"99999"}}', '[]', 'x'.repeat(1e5)]) {
      expect(storedSockets(Buffer.from(text), ofOldPlace)).to.deep.equal([]);
    }
  });
});
