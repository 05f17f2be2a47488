/** What a receiver report is worth by each `--mos`: from RTCP to the reply of `query`. */
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import { until } from '../support/wait.js';

const reporter = 0x2222;
/** 26 of 256: 10 %. */
const fractionLost = 26;

/** RFC 3550 §6.4.2, one block; LSR and DLSR say nothing, so there is no round trip. */
function receiverReport(): Buffer {
  const report = Buffer.alloc(32);
  report.writeUInt8(0x81, 0);
  report.writeUInt8(201, 1);
  report.writeUInt16BE(7, 2);
  report.writeUInt32BE(reporter, 4);
  report.writeUInt32BE(0x1111, 8);
  report.writeUInt8(fractionLost, 12);
  return report;
}

async function ratedBy(client: NgClient, callId: string): Promise<unknown> {
  const call = { 'call-id': callId, 'from-tag': 'a' };
  const towardsA = mediaPort(
    await client.ask({ command: 'offer', ...call, sdp: audioSdp(20_000) }),
  );
  await client.ask({ command: 'answer', ...call, 'to-tag': 'b', sdp: audioSdp(20_010) });
  const phone = createSocket('udp4');
  try {
    phone.bind(0, '127.0.0.1');
    await once(phone, 'listening');
    phone.send(receiverReport(), towardsA + 1, '127.0.0.1');
    let average: unknown = null;
    await until(async () => {
      const { SSRC } = await client.request({ command: 'query', 'call-id': callId });
      const entry = (SSRC as Record<string, { 'average MOS'?: unknown }>)[String(reporter)];
      average = entry?.['average MOS'];
      return average !== undefined;
    }, 'a rated report');
    return average;
  } finally {
    phone.close();
  }
}

describe('--mos', () => {
  for (const [words, mos] of [
    [['LQ'], 26],
    [['legacy', 'LQ'], 34],
  ] as const) {
    it(`${words.join(' and ')} rates 10 % of loss without a round trip`, async () => {
      const extra = words.map((word) => `--mos=${word}`);
      const daemon = await MediaDaemon.start('rtprelayd', { extra });
      const client = daemon.client();
      try {
        expect(await ratedBy(client, 'mos')).to.include({ MOS: mos, 'packet loss': 10 });
      } finally {
        client.close();
        await daemon.stop();
      }
    });
  }
});
