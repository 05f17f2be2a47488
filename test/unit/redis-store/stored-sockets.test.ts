import { expect } from 'chai';
import * as fc from 'fast-check';
import { readdirSync, readFileSync } from 'node:fs';
import { decodeBencode, encodeBencode } from '../../../src/ng-protocol/bencode.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { storedSockets } from '../../../src/redis-store/stored-sockets.js';
import { anyCall } from './support.js';

const samples = new URL('samples/', import.meta.url);
const settings = {
  bencode: { decode: (bytes: Buffer) => decodeBencode(bytes), encode: encodeBencode },
  endpointLearning: 'heuristic' as const,
};

describe('the ports of a stored call', () => {
  for (const name of readdirSync(samples).filter((each) => each.endsWith('.json'))) {
    it(`are those of the call: ${name}`, () => {
      const value = readFileSync(new URL(name, samples));
      const { state } = decodeCall('x', value, settings);
      const open = state.sockets.filter((socket) => socket.open);
      expect(storedSockets(value)).to.deep.equal(
        open.map(({ logicalInterface, addressIndex, port }) => ({
          ...{ logicalInterface, addressIndex, port },
        })),
      );
    });
  }

  for (const format of ['JSON', 'JSON-10.5'] as const) {
    it(`are found in what we write as ${format}, and never others`, () => {
      fc.assert(
        fc.property(anyCall, (call) => {
          const open = call.sockets.filter((socket) => socket.open).map(({ port }) => port);
          const found = storedSockets(encodeCall(call, format, settings)).map(({ port }) => port);
          expect(open).to.include.members(found);
        }),
        { numRuns: 100 },
      );
    });
  }

  it('are none in values of other forms', () => {
    for (const text of ['', 'd4:jsone', '{"sfd-0":{"localport":"99999"}}', '[]', 'x'.repeat(1e5)]) {
      expect(storedSockets(Buffer.from(text))).to.deep.equal([]);
    }
  });
});
