/**
 * What of an offer or answer cannot be done because of what its body holds: conversions between plain
 * and secured RTP, keys that would have to be taken out, ICE that is. A look at the text, no parsing.
 */
import { isSignalling, noteIdle, noteUnsupported, type RequestDraft } from './draft.js';

/** Protocols of the sections, as far as they are RTP. */
function rtpProtocolsOf(sdp: string): ReadonlySet<string> {
  const protocols = new Set<string>();
  for (const [, protocol] of sdp.matchAll(/^m=\S+ \S+ ((?:UDP\/TLS\/)?RTP\/S?AVPF?)\b/gim)) {
    if (protocol !== undefined) protocols.add(protocol.toUpperCase());
  }
  return protocols;
}

/** RTP/SAVPF -> RTP/SAVP: with and without feedback is what is converted. */
const withoutFeedback = (protocol: string): string =>
  protocol.endsWith('F') ? protocol.slice(0, -1) : protocol;

function noteTransport(draft: RequestDraft, sdp: string): void {
  const wanted = draft.transportProtocol;
  if (wanted === null) return;
  const secure = wanted !== 'RTP/AVP' && wanted !== 'RTP/AVPF';
  for (const protocol of rtpProtocolsOf(sdp)) {
    if (withoutFeedback(protocol) === withoutFeedback(wanted)) continue;
    noteUnsupported(draft, `transport-protocol=${wanted} (stays ${protocol})`);
  }
  if (secure && !sdp.includes('m=')) noteUnsupported(draft, `transport-protocol=${wanted}`);
}

/** To be called once all keys have been read. */
export function noteWhatTheBodyAsks(draft: RequestDraft): void {
  if (!isSignalling(draft)) return;
  const sdp = draft.sdp ?? '';
  if (draft.flags?.has('no-port-latching') === true && !draft.flags.has('port-latching')) {
    noteIdle(draft, 'no-port-latching');
  }
  noteTransport(draft, sdp);
  if (draft.sdesOff) {
    if (sdp.includes('a=crypto:')) noteUnsupported(draft, 'SDES=off (a=crypto stays)');
    else noteIdle(draft, 'SDES=off');
  }
  if (draft.dtlsOff) {
    if (sdp.includes('a=fingerprint:')) noteUnsupported(draft, 'DTLS=off (a=fingerprint stays)');
    else noteIdle(draft, 'DTLS=off');
  }
  if (draft.ice === 'remove') return;
  if (sdp.includes('a=ice-ufrag:') || sdp.includes('a=candidate:')) {
    noteUnsupported(draft, 'ICE (its attributes are taken out)');
  } else if (draft.ice === 'default') noteIdle(draft, 'ICE=default');
}
