import { expect } from 'chai';
import { runLine } from '../../../../src/daemon/cli/run-line.js';
import type { CallStreams } from '../../../../src/daemon/cli/streams.js';
import { FakeTarget, observedCall } from '../../../support/unit/cli.js';
import { costsOfTurns } from '../../../support/unit/turns.js';

const silent = { onLine: () => undefined, onError: () => undefined };
class ManyCalls extends FakeTarget {
  constructor(readonly count: number) {
    super();
  }

  override *sessions(): ReturnType<FakeTarget['sessions']> {
    for (let at = 0; at < this.count; at += 1) yield { ...observedCall, callId: `call-${at}` };
  }

  override streams(): { atMicros: number; calls: Iterable<CallStreams> } {
    const streams: CallStreams['streams'] = [1, 2].map((section) => ({
      ...{ tag: 'a', label: null, media: 'audio', section, local: '127.0.0.1:30000', remote: null },
      ...{ packets: 1, bytes: 172, errors: 0, packetsOut: 1, kernelPackets: 0, mos: null },
      ...{ lastPacketSecondsAgo: 1, lossPercent: null, jitterMs: null, arrivedLossPercent: null },
    }));
    const all = function* (count: number): Generator<CallStreams> {
      for (let at = 0; at < count; at += 1) yield { callId: `call-${at}`, foreign: false, streams };
    };
    return { atMicros: 1, calls: all(this.count) };
  }
}

describe('a long text of the command line', function () {
  this.timeout(60_000);

  for (const [line, calls] of [
    ['list sessions all', 200_000],
    ['streams', 60_000],
  ] as const)
    it(`is made in slices and not joined in one: ${line}`, async () => {
      const target = new ManyCalls(calls);
      let text: Buffer = Buffer.alloc(0);
      const { longest, total } = await costsOfTurns(async () => {
        text = await runLine(target, line, silent);
      }, 3);
      expect(longest).to.be.below(total / 16);
      const whole = text.toString('latin1');
      expect(whole).to.include(`call-${calls - 1}`);
      if (line === 'streams')
        expect((JSON.parse(whole) as { calls: unknown[] }).calls).to.have.length(calls);
      else expect(whole.split('\n')).to.have.length(calls + 1);
    });
});
