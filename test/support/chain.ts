/** Two daemons one behind the other, and the phones at their ends. */
import { expect } from 'chai';
import type { NgClient } from './ng-client.js';
import type { Destination, RtpEndpoint } from './rtp-endpoint.js';
import { audio, buildSdp } from './sdp.js';
import { pause } from './wait.js';

export interface Link {
  readonly name: string;
  readonly client: NgClient;
}

/** Of a phone with nothing but PCMU on the loopback. */
export const plainBody = (port: number): string =>
  buildSdp({ address: '127.0.0.1', media: [{ ...audio(port), formats: '0', lines: [] }] });

/** The body that a daemon makes of an offer or answer. */
export async function signal(
  link: Link,
  dictionary: Readonly<Record<string, unknown>>,
): Promise<string> {
  const reply = await link.client.ask(dictionary as Parameters<NgClient['ask']>[0]);
  expect(reply, `${link.name}: ${JSON.stringify(reply)}`).to.have.property('result', 'ok');
  return String(reply['sdp']);
}

/** RTP and RTCP from one phone to the other: all of it arrives, as it was sent. */
export async function talk(from: RtpEndpoint, to: RtpEndpoint, target: Destination): Promise<void> {
  to.clear();
  for (let count = 0; count < 12; count++) {
    from.sendNext(target);
    await pause(2);
  }
  from.sendReport({ ...target, port: target.port + 1 });
  await to.settled();
  expect(to.rtp.length, 'RTP packets').to.equal(12);
  expect(to.rtcp.length, 'RTCP packets').to.equal(1);
  for (const { bytes } of to.rtp) {
    expect(bytes.length).to.equal(172);
    expect(bytes.subarray(12).equals(Buffer.alloc(160, bytes.readUInt16BE(2) & 0xff))).to.equal(
      true,
    );
  }
  expect(to.rtcp[0]?.bytes.readUInt32BE(4)).to.equal(from.ssrc);
}
