/**
 * What of an offer or answer cannot be done because of what its body holds: conversions between plain
 * and secured RTP, keys that would have to be taken out, ICE that is. A look at the text, no parsing.
 */
import { noteIdle, noteUnsupported } from './notes.js';
import type { ReadRequest } from './interpret.js';

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

function noteTransport(request: ReadRequest, sdp: string): void {
  const wanted = request.transportProtocol;
  if (wanted === null) return;
  const secure = wanted !== 'RTP/AVP' && wanted !== 'RTP/AVPF';
  for (const protocol of rtpProtocolsOf(sdp)) {
    if (withoutFeedback(protocol) === withoutFeedback(wanted)) continue;
    noteUnsupported(request, `transport-protocol=${wanted} (stays ${protocol})`);
  }
  if (secure && !sdp.includes('m=')) noteUnsupported(request, `transport-protocol=${wanted}`);
}

/** To be called once all keys of an offer or answer have been read. */
export function noteWhatTheBodyAsks(request: ReadRequest): void {
  const sdp = request.sdp ?? '';
  if (request.flags.has('no-port-latching') && !request.flags.has('port-latching')) {
    noteIdle(request, 'no-port-latching');
  }
  noteTransport(request, sdp);
  if (request.sdesOff) {
    if (sdp.includes('a=crypto:')) noteUnsupported(request, 'SDES=off (a=crypto stays)');
    else noteIdle(request, 'SDES=off');
  }
  if (request.dtlsOff) {
    if (sdp.includes('a=fingerprint:')) noteUnsupported(request, 'DTLS=off (a=fingerprint stays)');
    else noteIdle(request, 'DTLS=off');
  }
  if (request.ice === 'remove') return;
  if (sdp.includes('a=ice-ufrag:') || sdp.includes('a=candidate:')) {
    noteUnsupported(request, 'ICE (its attributes are taken out)');
  } else if (request.ice === 'default') noteIdle(request, 'ICE=default');
}
