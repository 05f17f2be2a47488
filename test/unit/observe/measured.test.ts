import { expect } from 'chai';
import type { StreamSource } from '../../../src/media/relay.js';
import { measuredOf } from '../../../src/observe/measured.js';

const source = (ssrc: number, packets: number, lost: number, duplicates: number): StreamSource => ({
  ...{ ssrc, payloadType: 0 },
  counts: {
    ...{
      packets,
      lost,
      duplicates,
      bytes: 0,
      reordered: 0,
      skips: 0,
      resets: 0,
      jitter: 80 * ssrc,
    },
    ...{ lastSequence: 0, lastTimestamp: 0 },
  },
});

describe('what the relay measures of a stream', () => {
  it('is of all its sources, the jitter of the latest', () => {
    const sources = [source(2, 60, 10, 5), source(1, 30, 5, 0)];
    expect(measuredOf({ sources, ssrc: 2 }, 8000)).to.deep.equal({
      ...{ lost: 15, duplicates: 5, lossPercent: 15, jitterMs: 20 },
    });
    expect(measuredOf({ sources, ssrc: 9 }, 8000)?.jitterMs).to.equal(null);
  });

  it('is nothing where nothing is counted', () => {
    const sources = [{ ssrc: 1, payloadType: 0, counts: null }];
    expect(measuredOf({ sources, ssrc: 1 }, 8000)).to.equal(null);
  });
});
