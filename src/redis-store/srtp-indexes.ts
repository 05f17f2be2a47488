/** SRTP packet indexes in an additional field: `rtprelay_srtp_index`. */
import type { StoredSrtpIndexes } from '../media/call-state.js';
import { parseInteger } from './stored-value.js';

const text = (index: number | null): string => (index === null ? '-' : String(index));

/** `receive|send/SSRC/RTP/RTCP[/OFFSET]` of each source. */
export const srtpIndexText = (list: readonly StoredSrtpIndexes[]): string =>
  list
    .map(({ direction, ssrc, rtp, rtcp, offset }) => {
      const known = `${direction}/${ssrc}/${text(rtp)}/${text(rtcp)}`;
      return offset === 0 ? known : `${known}/${offset}`;
    })
    .join(' ');

const maxSources = 2048;
const maxRtpIndex = 2 ** 48 - 1;
const maxRtcpIndex = 2 ** 31 - 1;

/** Entries that cannot be read are left out: a call is worth more than its counters. */
export function readSrtpIndexes(value: string | null): readonly StoredSrtpIndexes[] {
  const list: StoredSrtpIndexes[] = [];
  for (const entry of (value ?? '').split(' ').slice(0, maxSources)) {
    const [direction, ssrcText = '', rtpText = '', rtcpText = '', more = '0'] = entry.split('/');
    if (direction !== 'receive' && direction !== 'send') continue;
    const index = (word: string, highest: number): number | null | undefined => {
      if (word === '-') return null;
      const number = parseInteger(word);
      return number !== null && number >= 0 && number <= highest ? number : undefined;
    };
    const ssrc = index(ssrcText, 0xffff_ffff);
    const rtp = index(rtpText, maxRtpIndex);
    const rtcp = index(rtcpText, maxRtcpIndex);
    if (typeof ssrc !== 'number' || rtp === undefined || rtcp === undefined) continue;
    list.push({ direction, ssrc, rtp, rtcp, offset: index(more, 0xffff) ?? 0 });
  }
  return list;
}
