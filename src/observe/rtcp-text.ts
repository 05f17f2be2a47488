/** RTCP (RFC 3550 §6) as Homer and the log of RTCP want it; forms as seen on rtpengine 10.5. */

/** One packet of a compound. */
interface RtcpPacket {
  readonly count: number;
  readonly type: number;
  /** In 32-bit words without the first, as in the packet. */
  readonly length: number;
  /** All of it. */
  readonly bytes: Buffer;
}

const types = { sr: 200, rr: 201, sdes: 202 } as const;

function packetsOf(compound: Buffer): readonly RtcpPacket[] {
  const packets: RtcpPacket[] = [];
  for (let at = 0; at + 4 <= compound.length;) {
    const first = compound.readUInt8(at);
    const length = compound.readUInt16BE(at + 2);
    const end = at + (length + 1) * 4;
    if (first >> 6 !== 2 || end > compound.length) break;
    const bytes = compound.subarray(at, end);
    packets.push({ count: first & 31, type: compound.readUInt8(at + 1), length, bytes });
    at = end;
  }
  return packets;
}

interface ReportBlock {
  readonly source: number;
  readonly fraction: number;
  readonly lost: number;
  readonly highest: number;
  readonly jitter: number;
  readonly lsr: number;
  readonly dlsr: number;
}

const blockBytes = 24;

function blocksOf({ count, type, bytes }: RtcpPacket): readonly ReportBlock[] {
  const blocks: ReportBlock[] = [];
  const begin = type === types.sr ? 28 : 8;
  for (let at = begin; blocks.length < count && at + blockBytes <= bytes.length; at += blockBytes) {
    blocks.push({
      source: bytes.readUInt32BE(at),
      fraction: bytes.readUInt8(at + 4),
      // Written as it stands there, unsigned.
      lost: bytes.readUIntBE(at + 5, 3),
      highest: bytes.readUInt32BE(at + 8),
      jitter: bytes.readUInt32BE(at + 12),
      lsr: bytes.readUInt32BE(at + 16),
      dlsr: bytes.readUInt32BE(at + 20),
    });
  }
  return blocks;
}

const isReport = ({ type, bytes }: RtcpPacket): boolean =>
  (type === types.sr && bytes.length >= 28) || (type === types.rr && bytes.length >= 8);

interface SdesItem {
  readonly ssrc: number;
  readonly type: number;
  readonly text: string;
}

function sdesItems({ count, bytes }: RtcpPacket): readonly SdesItem[] {
  const items: SdesItem[] = [];
  let at = 4;
  for (let chunk = 0; chunk < count && at + 4 <= bytes.length; chunk += 1) {
    const ssrc = bytes.readUInt32BE(at);
    at += 4;
    while (at < bytes.length && bytes[at] !== 0) {
      if (at + 2 > bytes.length) return items;
      const end = at + 2 + bytes.readUInt8(at + 1);
      if (end > bytes.length) return items;
      items.push({ ssrc, type: bytes.readUInt8(at), text: bytes.toString('latin1', at + 2, end) });
      at = end;
    }
    // To the next word, at least one octet of zeroes.
    at += 4 - (at % 4);
  }
  return items;
}

function reportJson(packet: RtcpPacket): readonly string[] {
  const { bytes, type, count } = packet;
  const at = (offset: number): number => bytes.readUInt32BE(offset);
  const members: string[] = [];
  if (type === types.sr) {
    members.push(
      `"sender_information":{"ntp_timestamp_sec":${at(8)},"ntp_timestamp_usec":${at(12)},` +
        `"octets":${at(24)},"rtp_timestamp":${at(16)}, "packets":${at(20)}}`,
    );
  }
  const blocks = blocksOf(packet).map(
    (block) =>
      `{"source_ssrc":${block.source},"highest_seq_no":${block.highest},` +
      `"fraction_lost":${block.fraction},"ia_jitter":${block.jitter},` +
      `"packets_lost":${block.lost},"lsr":${block.lsr},"dlsr":${block.dlsr}}`,
  );
  members.push(
    `"ssrc":${at(4)},"type":${type},"report_count":${count},"report_blocks":[${blocks.join(',')}]`,
  );
  return members;
}

/** As Homer takes it; null: nothing of it is for Homer. The text is ASCII or bytes of UTF-8. */
export function rtcpJson(compound: Buffer): string | null {
  const members: string[] = [];
  for (const packet of packetsOf(compound)) {
    if (isReport(packet)) {
      members.push(...reportJson(packet));
    } else if (packet.type === types.sdes) {
      const items = sdesItems(packet).map(
        ({ ssrc, type, text }) =>
          `{"sdes_chunk_ssrc":${ssrc},"type":${type},"text":${JSON.stringify(text)}}`,
      );
      members.push(`"sdes_report_count":${packet.count},"sdes_information": [ ${items.join(',')}]`);
    }
  }
  return members.length === 0 ? null : `{ ${members.join(',')} }`;
}

/** The line of `--log-facility-rtcp`; null: nothing of it is written. */
export function rtcpLine(callId: string, compound: Buffer): string | null {
  const fields: string[] = [];
  for (const packet of packetsOf(compound)) {
    const { bytes, count, type, length } = packet;
    const padding = (bytes.readUInt8(0) >> 5) & 1;
    fields.push(
      `version=2, padding=${padding}, count=${count}, payloadtype=${type}, length=${length}`,
    );
    if (!isReport(packet)) continue;
    const at = (offset: number): number => bytes.readUInt32BE(offset);
    fields.push(`ssrc=${at(4)}`);
    if (type === types.sr) {
      fields.push(
        `ntp_sec=${at(8)}, ntp_fractions=${at(12)}, rtp_ts=${at(16)}, ` +
          `sender_packets=${at(20)}, sender_bytes=${at(24)}`,
      );
    }
    for (const block of blocksOf(packet)) {
      fields.push(
        `ssrc=${block.source}, fraction_lost=${block.fraction}, packet_loss=${block.lost}, ` +
          `last_seq=${block.highest}, jitter=${block.jitter}, last_sr=${block.lsr}, ` +
          `delay_since_last_sr=${block.dlsr}`,
      );
    }
  }
  return fields.length === 0 ? null : `[${callId}] ${fields.join(', ')}`;
}
