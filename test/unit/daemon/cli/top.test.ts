/** `rtprelayctl top`: rates of two snapshots, and the end by a key. */
import { expect } from 'chai';
import type { ListedStream, StreamsSnapshot } from '../../../../src/daemon/cli/streams.js';
import { runTop, topFrame, topLines, topOptions } from '../../../../src/daemon/cli/top.js';

const stream = (tag: string, packets: number, more: Partial<ListedStream> = {}): ListedStream => ({
  ...{ tag, label: null, media: 'audio', section: 1, local: '192.0.2.1:30000', remote: null },
  ...{ packets, bytes: packets * 172, errors: 0, packetsOut: 0, kernelPackets: 0 },
  ...{ lastPacketSecondsAgo: null, lossPercent: null, jitterMs: null, mos: null },
  arrivedLossPercent: null,
  ...more,
});

const snapshot = (atMicros: number, a: number, b: number): StreamsSnapshot => ({
  atMicros,
  calls: [
    {
      ...{ callId: 'call\x1b[2J', foreign: false },
      streams: [stream('a', a), stream('b', b, { lossPercent: 2.5, jitterMs: 12, mos: 4.1 })],
    },
  ],
});

describe('top', () => {
  it('makes rates of two snapshots, the busiest first', () => {
    const frame = topFrame(snapshot(1e6, 100, 50), snapshot(3e6, 100, 150));
    expect(frame).to.include({ calls: 1, streams: 2, activeStreams: 1, packetsPerSecond: 50 });
    expect(frame.rows.map(({ tag, packetsPerSecond }) => [tag, packetsPerSecond])).to.deep.equal([
      ['b', 50],
      ['a', 0],
    ]);
    expect(frame.bytesPerSecond).to.equal(50 * 172);
  });

  it('shows lines that fit and move no cursor', () => {
    const lines = topLines(topFrame(snapshot(1e6, 0, 0), snapshot(2e6, 0, 50)), 100, 4);
    expect(lines).to.have.length(4);
    expect(lines[0]).to.match(/^calls 1 \(foreign 0\) {2}streams 1 of 2 active {2}50 packets\/s/);
    expect(lines[3]).to.match(/^call\\x1b\[2J +b +audio/);
    for (const line of lines) expect(line.length).to.be.at.most(100);
  });

  it('takes its options, and no others', () => {
    expect(topOptions(['--once', '-json', '--interval=0.5'])).to.deep.equal({
      ...{ once: true, json: true, intervalMs: 500 },
    });
    for (const word of ['--all', '--interval=0', '--interval=x']) {
      expect(topOptions([word]), word).to.be.a('string');
    }
  });

  it('ends with q and leaves the terminal as it was', async () => {
    const written: string[] = [];
    let press: (key: string) => void = () => undefined;
    let stopped = false;
    let asked = 0;
    const done = runTop(
      { once: false, json: false, intervalMs: 200 },
      async () => {
        asked += 1;
        return Promise.resolve(snapshot(asked * 1e6, asked, asked));
      },
      {
        write: (text) => {
          written.push(text);
          if (text.includes('packets/s')) press('q');
        },
        size: () => ({ width: 120, height: 10 }),
        isTerminal: true,
        onKey: (listener) => {
          press = listener;
          return () => (stopped = true);
        },
      },
    );
    await done;
    expect(stopped).to.equal(true);
    expect(written.at(0)).to.equal('\x1b[?1049h\x1b[?25l');
    expect(written.at(-1)).to.equal('\x1b[?25h\x1b[?1049l');
    expect(asked).to.equal(2);
  });
});
