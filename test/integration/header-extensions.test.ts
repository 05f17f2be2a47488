/** Header extensions that one side is not to see (RFC 8285): out of the body, and out of each packet. */
import { expect } from 'chai';
import { MediaDaemon } from '../support/daemons.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

/** RTP with the elements of the one-byte form: id and data of each. */
function withElements(
  sequence: number,
  elements: readonly (readonly [id: number, data: string])[],
): Buffer {
  const parts = elements.flatMap(([id, data]) => {
    const bytes = Buffer.from(data);
    return [Buffer.of((id << 4) | (bytes.length - 1)), bytes];
  });
  const length = parts.reduce((sum, { length: each }) => sum + each, 0);
  const padded = Buffer.concat([...parts, Buffer.alloc((4 - (length % 4)) % 4)]);
  const head = Buffer.alloc(16);
  head.set([0x90, 0x00], 0);
  head.writeUInt16BE(sequence, 2);
  head.writeUInt32BE(0x1234_5678, 8);
  head.writeUInt16BE(0xbede, 12);
  head.writeUInt16BE(padded.length / 4, 14);
  return Buffer.concat([head, padded, Buffer.from('payload')]);
}

/** Ids of the elements of a packet; none without an extension. */
function idsIn(packet: Buffer): readonly number[] {
  if (((packet[0] ?? 0) & 0x10) === 0) return [];
  const ids: number[] = [];
  const end = 16 + packet.readUInt16BE(14) * 4;
  for (let at = 16; at < end;) {
    const byte = packet[at] ?? 0;
    if (byte !== 0) ids.push(byte >> 4);
    at += byte === 0 ? 1 : (byte & 15) + 2;
  }
  return ids;
}

describe('header extensions that a side is not to see', () => {
  const phones: RtpEndpoint[] = [];
  afterEach(() => {
    for (const phone of phones.splice(0)) phone.close();
  });

  const lines = ['a=extmap:1 urn:a', 'a=extmap:2 urn:b', 'a=extmap:3/sendonly urn:c x'];
  for (const [extmap, seen, kept] of [
    [{ strip: ['urn:a', 'urn:c'] }, [2], /urn:b/],
    [{ mask: ['all'] }, [], /ptime/],
    [{}, [1, 2, 3], /urn:a[^]*urn:b[^]*urn:c/],
  ] as const) {
    it(`${JSON.stringify(extmap)} leaves ${seen.length} of 3 in packets`, async () => {
      const daemon = await MediaDaemon.start('rtprelayd');
      const ng = daemon.client();
      try {
        const [a, x] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
        phones.push(a, x);
        const body = ({ port }: RtpEndpoint): string =>
          buildSdp({
            address: '127.0.0.1',
            media: [{ port, formats: '0', lines: [...lines, 'a=ptime:20'] }],
          });
        const keys = { 'call-id': 'c', 'from-tag': 'a' };
        const offered = await ng.ask({ command: 'offer', ...keys, sdp: body(a), extmap });
        const answer = { command: 'answer', ...keys, 'to-tag': 'x', sdp: body(x) };
        const answered = await ng.ask(answer);
        expect(String(offered['sdp'])).to.match(kept);
        expect(String(offered['sdp']).match(/a=extmap/g) ?? []).to.have.length(seen.length);
        const { port } = mediaTarget(String(answered['sdp']));
        const elements = [
          [1, 'one'],
          [2, 'two'],
          [3, 'three'],
        ] as const;
        for (let sequence = 1; sequence <= 5; sequence++) {
          a.rtpSocket.send(withElements(sequence, elements), port, '127.0.0.1');
        }
        await until(() => x.rtp.length === 5, 'all packets reach the callee');
        for (const { bytes } of x.rtp) {
          expect(idsIn(bytes)).to.deep.equal(seen);
          expect(bytes.subarray(-7).toString()).to.equal('payload');
        }
        // What the callee sends is nobody's business but the answer's.
        const back = mediaTarget(String(offered['sdp'])).port;
        x.rtpSocket.send(withElements(1, elements), back, '127.0.0.1');
        await until(() => a.rtp.length === 1, 'the packet reaches the caller');
        expect(idsIn(a.rtp[0]?.bytes ?? Buffer.alloc(16))).to.deep.equal([1, 2, 3]);
      } finally {
        ng.close();
        await daemon.stop();
      }
    });
  }
});
