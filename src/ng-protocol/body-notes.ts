/**
 * What of an offer or answer cannot be done because of what its body holds: conversions from and to DTLS,
 * ICE that is taken out. A look at the text, no parsing.
 */
import { noteIdle, noteUnsupported } from './notes.js';
import type { ReadRequest } from './interpret.js';
import { noSdesWords } from './sdes-words.js';

/** Protocols of the sections, as far as they are RTP. */
function rtpProtocolsOf(sdp: string): ReadonlySet<string> {
  const protocols = new Set<string>();
  for (const [, protocol] of sdp.matchAll(/^m=\S+ \S+ ((?:UDP\/TLS\/)?RTP\/S?AVPF?)\b/gim)) {
    if (protocol !== undefined) protocols.add(protocol.toUpperCase());
  }
  return protocols;
}

const isDtls = (protocol: string): boolean => protocol.startsWith('UDP/TLS/');

/** The protocol under the keys: RTP, SRTP by SDES, SRTP by DTLS. */
const wayOf = (protocol: string): string =>
  isDtls(protocol) ? 'DTLS' : protocol.startsWith('RTP/S') ? 'SRTP' : 'RTP';

function noteTransport(request: ReadRequest, sdp: string): void {
  const wanted = request.transportProtocol;
  if (wanted === null) return;
  const secure = wanted !== 'RTP/AVP' && wanted !== 'RTP/AVPF';
  const byDtls = sdp.includes('a=fingerprint:') && !sdp.includes('a=crypto:');
  for (const protocol of rtpProtocolsOf(sdp)) {
    if (wayOf(protocol) === wayOf(wanted)) continue;
    if (!isDtls(protocol) && !isDtls(wanted) && !byDtls) continue;
    noteUnsupported(request, `transport-protocol=${wanted} (stays ${protocol})`);
  }
  if (secure && !sdp.includes('m=')) noteUnsupported(request, `transport-protocol=${wanted}`);
}

/** Words about keys where there are none. */
function noteIdleKeys(request: ReadRequest, sdp: string): void {
  const asksSdes = request.sdes !== noSdesWords;
  const asksRecrypt = request.flags.has('recrypt');
  // An answer says nothing of what its offerer speaks.
  if (!(asksSdes || asksRecrypt) || request.opportunistic || request.command !== 'offer') return;
  const wanted = request.transportProtocol ?? '';
  if (/a=crypto:|^m=\S+ \S+ RTP\/SAVP/im.test(sdp) || wanted.startsWith('RTP/SAVP')) return;
  if (asksSdes) noteIdle(request, 'SDES (there are no keys)');
  if (asksRecrypt) noteIdle(request, 'recrypt');
}

/** To be called once all keys of an offer or answer have been read. */
export function noteWhatTheBodyAsks(request: ReadRequest): void {
  const sdp = request.sdp ?? '';
  if (request.flags.has('no-port-latching') && !request.flags.has('port-latching')) {
    noteIdle(request, 'no-port-latching');
  }
  noteTransport(request, sdp);
  noteIdleKeys(request, sdp);
  if (request.dtlsOff) {
    if (sdp.includes('a=fingerprint:')) noteUnsupported(request, 'DTLS=off (a=fingerprint stays)');
    else noteIdle(request, 'DTLS=off');
  }
  if (request.ice === 'remove') return;
  if (sdp.includes('a=ice-ufrag:') || sdp.includes('a=candidate:')) {
    noteUnsupported(request, 'ICE (its attributes are taken out)');
  } else if (request.ice === 'default') noteIdle(request, 'ICE=default');
}
