/** What is counted of all calls is the same whether they are counted anew or by what has changed. */
import { expect } from 'chai';
import fc from 'fast-check';
import { CallTally } from '../../../../src/daemon/calls/call-tally.js';
import type { CallState, Stream } from '../../../../src/media/call-state.js';

const addresses = [null, '192.0.2.1', '2001:db8::1'];

const streamOf = (which: number): Stream =>
  ({
    endpoint: addresses[which] === null ? null : { address: addresses[which], port: 5000 },
  }) as unknown as Stream;

const stateOf = (own: boolean, streams: readonly Stream[]): CallState =>
  ({ ownership: own ? 'own' : 'foreign', streams }) as unknown as CallState;

const told = ({ own, families }: CallTally): object => ({ own, families });

describe('the tally of calls', () => {
  it('is what the calls are, however large they are and whatever changes of them', () => {
    const step = fc.record({
      own: fc.boolean(),
      at: fc.nat(99),
      which: fc.nat(2),
      more: fc.nat(9),
    });
    fc.assert(
      fc.property(
        fc.constantFrom(1, 63, 64, 90),
        fc.nat(2),
        fc.array(step),
        (size, most, steps) => {
          const tally = new CallTally(() => undefined);
          let state = stateOf(
            true,
            Array.from({ length: size }, () => streamOf(most)),
          );
          tally.replace(null, state);
          for (const { own, at, which, more } of steps) {
            const streams = state.streams.slice();
            if (streams.length > 0) streams[at % streams.length] = streamOf(which);
            if (more === 0) streams.push(streamOf(which));
            if (more === 1) streams.pop();
            const next = stateOf(own, streams);
            tally.replace(state, next);
            state = next;
            const anew = new CallTally(() => undefined);
            anew.replace(null, stateOf(own, streams.slice()));
            expect(told(tally)).to.deep.equal(told(anew));
          }
          tally.remove(state);
          expect(told(tally)).to.deep.equal(told(new CallTally(() => undefined)));
        },
      ),
    );
  });
});
