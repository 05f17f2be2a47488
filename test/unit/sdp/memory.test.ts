/** What a call keeps of the bodies it came from. */
import { expect } from 'chai';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import type { CallState } from '../../../src/media/call-state.js';
import { body, ModelCall } from '../../support/unit/media.js';

/** A body whose every value that a call keeps is long enough to be a slice of the text. */
function longBody(attributes: number): string {
  const text = body(6000, [
    'a=rtpmap:96 a-codec-of-a-long-name/8000',
    'a=fmtp:96 parameters=of-a-long-codec',
    'a=mid:an-identification-tag',
    'a=rtcp:6055 IN IP4 192.168.100.200',
    ...Array.from({ length: attributes }, (_all, n) => `a=x-${n}:${'y'.repeat(80)}`),
  ])
    .replace('0 8 101', '0 8 96 101')
    .replace('ann 7001 3', 'a-user-of-a-long-name 30344236191234567 30344236191234567')
    .replace('s=call one', 's=a call with a name')
    .replace('t=0 0', 't=3034423619 3042462419')
    .replaceAll('192.0.2.10', '192.168.100.100');
  // As it comes from a datagram: one flat string of its own.
  return Buffer.from(text, 'latin1').toString('latin1');
}

describe('a call in memory', () => {
  it('does not hold the bodies it was told', function () {
    this.timeout(20_000);
    setFlagsFromString('--expose-gc');
    const collect: unknown = runInNewContext('gc');
    if (typeof collect !== 'function') return this.skip();
    const calls = 200;
    const bytesPerCall = (attributes: number): number => {
      const kept: (CallState | null)[] = [];
      collect();
      const before = process.memoryUsage().heapUsed;
      for (let i = 0; i < calls; i++) {
        const call = new ModelCall();
        call.offer(longBody(attributes));
        kept.push(call.state);
      }
      collect();
      const used = process.memoryUsage().heapUsed - before;
      expect(kept).to.have.lengthOf(calls);
      return used / calls;
    };
    bytesPerCall(0);
    const [small, large] = [bytesPerCall(0), bytesPerCall(600)];
    // The large body alone has 53 KB.
    expect(large - small).to.be.lessThan(10_000);
  });
});
