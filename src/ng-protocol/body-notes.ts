/** What of an offer asks for nothing, given what its body holds. A look at the text, no parsing. */
import { noteIdle } from './notes.js';
import type { ReadRequest } from './interpret.js';
import { noSdesWords } from './sdes-words.js';

/** Whether either side of an offer has keys, or is to get some. */
function speaksOfKeys(request: ReadRequest, sdp: string): boolean {
  const wanted = request.transportProtocol ?? '';
  const secured = /a=crypto:|a=fingerprint:|^m=\S+ \S+ (?:UDP\/TLS\/)?RTP\/SAVP/im.test(sdp);
  return secured || request.opportunistic.offers || wanted.includes('RTP/SAVP');
}

/** To be called once all keys of an offer or answer have been read. */
export function noteWhatTheBodyAsks(request: ReadRequest): void {
  const sdp = request.sdp ?? '';
  if (request.flags.has('no-port-latching') && !request.flags.has('port-latching')) {
    noteIdle(request, 'no-port-latching');
  }
  // An answer says nothing of what its offerer speaks.
  if (request.command !== 'offer') return;
  const asks =
    request.sdes !== noSdesWords || request.flags.has('recrypt') || request.dtls === 'off';
  if (asks && !speaksOfKeys(request, sdp)) {
    if (request.sdes !== noSdesWords) noteIdle(request, 'SDES (there are no keys)');
    if (request.flags.has('recrypt')) noteIdle(request, 'recrypt');
    if (request.dtls === 'off') noteIdle(request, 'DTLS=off');
  }
  const isDefault = request.ice.mode === 'default' && !request.ice.trickle && !request.ice.ice2;
  if (isDefault && !/a=(?:ice-ufrag|candidate):/.test(sdp)) noteIdle(request, 'ICE=default');
}
