/** What the relay itself has to do for a stream, beyond passing its packets on. Pure. */
import { createHash } from 'node:crypto';
import type { CallState, Codec, Media, Stream } from './call-state.js';
import type { OwnRtcpPlan } from './packet-plan.js';
import type { StreamPlan } from './relay.js';
import { isFeedbackProtocol } from '../sdp/view.js';

/** Retransmissions and parity (RFC 4588, RFC 5109, RFC 8627) have no key frames; redundancy (RED) has. */
const withoutPicture: ReadonlySet<string> = new Set(['rtx', 'ulpfec', 'parityfec', 'flexfec-03']);

const hasPicture = ({ encoding, payloadType }: Codec): boolean =>
  payloadType >= 0 && payloadType <= 127 && !withoutPicture.has(encoding.toLowerCase());

/** The stream's sender can be asked for a key frame: it sends video and takes part in feedback (RFC 4585). */
function keyFramesOf({ type, protocol, codecs, flags }: Media): OwnRtcpPlan['keyFrames'] {
  if (type !== 'video' || !isFeedbackProtocol(protocol)) return null;
  const payloadTypes = codecs.filter(hasPicture).map(({ payloadType }) => payloadType);
  const fir = flags.has('fir-alone');
  return { pli: !fir, fir, payloadTypes };
}

/** The name of the relay in its reports to a side: 12 hexadecimal digits as rtpengine's, the same on each node. */
function cnameOf({ callId, createdMicros }: CallState, { participantId }: Media): string {
  const text = `${callId} ${createdMicros} ${participantId}`;
  return createHash('sha256').update(text, 'latin1').digest('hex').slice(0, 12);
}

/**
 * RTCP of our own to whoever sends a stream of a media, every `intervalMs` in the mean; null: it gets that of
 * others alone.
 */
export function ownRtcpOf(
  state: CallState,
  stream: Stream,
  media: Media,
  kind: StreamPlan['kind'],
  intervalMs: number,
): OwnRtcpPlan | null {
  if (kind !== 'rtp') return null;
  const keyFrames = keyFramesOf(media);
  const reports = media.flags.has('rtcp-generator')
    ? { intervalMs, cname: cnameOf(state, media) }
    : null;
  if (keyFrames === null && reports === null) return null;
  const by = media.rtcpMux ? stream.id : (stream.rtcpSibling ?? stream.id);
  return { by, reports, keyFrames };
}
