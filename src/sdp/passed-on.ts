/** The lines of a body that are passed on as they are, for bodies that others are to get later. */
import { detached } from './lines.js';
import type { SdpLine, SdpMedia, SdpSession } from './types.js';
import { isIceAttribute } from './view.js';

/** Attributes of a section that are written anew, or belong to the one exchange that they came with. */
const madeAnew: ReadonlySet<string> = new Set([
  ...['rtpmap', 'fmtp', 'ptime', 'mid', 'rtcp', 'rtcp-mux', 'bundle-only'],
  ...['sendrecv', 'sendonly', 'recvonly', 'inactive'],
  ...['crypto', 'setup', 'fingerprint', 'tls-id', 'group', 'rtpengine'],
]);

const nameOf = (attribute: string): string => {
  const colon = attribute.indexOf(':');
  return colon < 0 ? attribute : attribute.slice(0, colon);
};

/** Of a longer body the lines that come first: whoever makes calls is not to fill the memory. */
const maxLength = 4096;

function linesOf(lines: readonly SdpLine[], types: string): string {
  let text = '';
  for (const { type, value } of lines) {
    if (!types.includes(type)) continue;
    if (type === 'a') {
      const name = nameOf(value);
      if (madeAnew.has(name) || isIceAttribute(name)) continue;
    }
    if (text.length + value.length > maxLength) break;
    text += `${type}=${value}\r\n`;
  }
  return text === '' ? text : detached(text);
}

/** Those of a section, each with its line end. */
export const passedOnOfMedia = ({ lines }: SdpMedia): string => linesOf(lines, 'ibka');

/** Those of the session. */
export const passedOnOfSession = ({ lines }: SdpSession): string => linesOf(lines, 'iuepbrzka');
