/** Media quality, summed as rtpengine sums it. */
import { expect } from 'chai';
import type { AddressCounters, StreamStatistics } from '../../../src/media/relay.js';
import { goOnFrom, processRecord } from '../../../src/daemon/pair/process-record.js';
import { Counters } from '../../../src/observe/counters.js';
import { metricsText, type OwnMetrics } from '../../../src/observe/metrics.js';
import { statisticsDictionary } from '../../../src/observe/statistics.js';
import { noGauges as gauges } from '../../support/unit/gauges.js';
import { body, ModelCall } from '../../support/unit/media.js';

/** Of a node that has nothing else. */
const own: OwnMetrics = {
  ...{ storeDegraded: false, draining: false, kernelFlows: 0, drops: {}, kernelPackets: {} },
  standby: [],
  replay: null,
};

/** Two reports, of which one has a MOS. */
const figures: AddressCounters = {
  ...{ address: '192.0.2.1', packets: 7, bytes: 700, errors: 1, packetsOut: 6, bytesOut: 600 },
  reports: {
    ...{ reports: 2, jitterMs: { total: 40, squares: 1000 }, rated: 1 },
    ...{ roundTripMicros: { total: 4000, squares: 16e6 } },
    ...{ roundTripLegMicros: { total: 0, squares: 0 } },
    ...{ lossPercent: { total: 4, squares: 10 }, mos: { total: 4.1, squares: 16.81 } },
  },
};

/** A stream with a source that the relay counts. */
function heard(streamId: number): StreamStatistics {
  const counts = {
    ...{ packets: 100, bytes: 17_200, lost: 3, duplicates: 2, reordered: 1, jitter: 80 },
    ...{ skips: 4, resets: 5, lastSequence: 0, lastTimestamp: 0 },
  };
  return {
    ...{ streamId, packets: 100, bytes: 17_200, errors: 0, kernelPackets: 0, kernelBytes: 0 },
    ...{ packetsOut: 0, bytesOut: 0, lastPacketMicros: 0, ssrc: 7, endpoint: null },
    ...{ confirmed: true, received: true, drops: {} },
    sources: [{ ssrc: 7, payloadType: 0, counts }],
  };
}

function counted(): Counters {
  const call = new ModelCall();
  call.offer(body(6000));
  const counters = new Counters(0);
  if (call.state === null) throw new Error('no call');
  counters.takeAddressCounters([figures]);
  counters.takeAddressCounters([figures]);
  counters.countStream(call.state, heard(call.state.streams[0]?.id ?? -1), '192.0.2.1');
  return counters;
}

describe('media quality', () => {
  it('has sums, squares and samples, and takes each report once', () => {
    const { quality } = counted();
    expect(quality.values.jitter).to.deep.equal({ total: 40, squares: 1000, samples: 2 });
    expect(quality.values.rtt_e2e).to.deep.equal({ total: 4000, squares: 16e6, samples: 2 });
    expect(quality.values.rtt_dsct).to.deep.equal({ total: 0, squares: 0, samples: 2 });
    expect(quality.values.packetloss).to.deep.equal({ total: 4, squares: 10, samples: 2 });
    expect(quality.values.jitter_measured).to.deep.equal({ total: 10, squares: 100, samples: 1 });
    expect(quality.packets).to.include({ packets_lost: 3, rtp_duplicates: 2, rtp_reordered: 1 });
  });

  it('is told by /metrics and statistics under the names of rtpengine 12.5', async () => {
    const text = await metricsText(counted(), gauges, own);
    for (const [name, value] of [
      ...[['jitter_total', 40] as const, ['jitter2_total', 1000] as const],
      ...[['jitter_samples_total', 2] as const, ['rtt_e2e2_total', 16_000_000] as const],
      ...[['rtt_dsct_samples_total', 2] as const, ['packetloss_total', 4] as const],
      ...[['jitter_measured_total', 10] as const, ['packets_lost', 3] as const],
      ...[['rtp_duplicates', 2] as const, ['rtp_skips', 4] as const],
      ...[['rtp_seq_resets', 5] as const, ['rtp_reordered', 1] as const],
    ]) {
      expect(text).to.include(`# TYPE rtpengine_${name} counter\nrtpengine_${name} ${value}\n`);
    }
    expect(text)
      .to.include('\nrtpengine_media_cache 0\n')
      .and.include('\nrtpengine_player_cache 0\n');
    const section = statisticsDictionary(counted(), gauges).get('voip_metrics');
    if (!(section instanceof Map)) throw new Error('no section');
    expect(Object.fromEntries(section)).to.include({
      ...{ jitter_total: '40.000000', jitter_samples_total: 2, jitter_average: '20.000000' },
      ...{ jitter_stddev: '10.000000', packets_lost: 3, rtp_seq_resets: 5 },
    });
  });

  it('is told by /metrics with turns of others in between', async () => {
    let turns = 0;
    let done = false;
    const count = (): void => {
      turns += 1;
      if (!done) setImmediate(count);
    };
    setImmediate(count);
    const text = await metricsText(counted(), gauges, own);
    done = true;
    expect(turns).to.be.at.least((text.match(/^# TYPE/gm) ?? []).length / 20);
  });

  it('is told of each interface', async () => {
    const entry = { portMin: 1, portMax: 2, used: 0, free: 2, total: 2, last: 0 };
    const interfaces = [
      { name: 'pub', address: '192.0.2.1', ...entry },
      { name: 'priv', address: '192.0.2.2', ...entry },
    ];
    const text = await metricsText(counted(), { ...gauges, interfaces }, own);
    const pub = 'name="pub",address="192.0.2.1"';
    const priv = 'name="priv",address="192.0.2.2"';
    for (const line of [
      ...[`packets{${pub},direction="ingress"} 7`, `packets{${pub},direction="egress"} 6`],
      ...[`bytes{${pub},direction="egress"} 600`, `errors{${pub},direction="ingress"} 1`],
      ...[`packets{${priv},direction="ingress"} 0`, `packets_lost{${pub}} 3`],
      ...[`duplicates{${pub}} 2`, `mos_total{${pub}} 4.1`, `mos_samples_total{${pub}} 1`],
      ...[`jitter2_total{${pub}} 1000`, `rtt_e2e_total{${pub}} 4000`, `packets_lost{${priv}} 0`],
      ...[`jitter_measured_total{${pub}} 10`, `packetloss_samples_total{${priv}} 0`],
    ])
      expect(text).to.include(`\nrtpengine_interface_${line}\n`);
    const told = statisticsDictionary(counted(), { ...gauges, interfaces }).get('interfaces');
    const [first] = told as readonly ReadonlyMap<string, unknown>[];
    expect([...(first?.keys() ?? [])]).to.deep.equal([
      ...['name', 'address', 'ports', 'packets_lost', 'duplicates', 'voip_metrics'],
      ...['ingress', 'egress'],
    ]);
  });

  it('goes on in the next process', () => {
    const next = counted();
    goOnFrom(processRecord(counted(), true), next);
    expect(next.quality.values.jitter).to.deep.equal({ total: 80, squares: 2000, samples: 4 });
    expect(next.quality.packets.packets_lost).to.equal(6);
  });
});
