/** Writes the body for the other side in the current layout (sdp-rules.md §1.2). */
import { editAttributes, isRemovedExtension } from './edits.js';
import {
  SdpError,
  type MediaEdit,
  type SdpCodec,
  type SdpDocument,
  type SdpMedia,
  type SdpSession,
  type SessionEdit,
} from './types.js';
import {
  attributeOf,
  codecsOf,
  explicitDirectionOf,
  isCodecLine,
  isIceAttribute,
  ptimeOf,
} from './view.js';

const crlf = '\r\n';

/**
 * The whole body, line ends CRLF, never a session-level c=.
 * @throws SdpError 'not-writable' when the edits do not fit the document.
 */
export function renderSdp(document: SdpDocument, edits: readonly SessionEdit[]): string {
  const out: string[] = [];
  document.sessions.forEach((session, position) => {
    const edit = edits[position];
    if (edit?.medias.length !== session.medias.length) {
      throw new SdpError('not-writable', 'an edit is missing', -1);
    }
    writeSession(out, session, edit);
  });
  return out.join(crlf) + crlf;
}

function writeSession(out: string[], session: SdpSession, edit: SessionEdit): void {
  const { origin } = edit;
  const start = out.length;
  out.push(
    'v=0',
    `o=${origin.username} ${origin.sessionId} ${origin.version} ${origin.networkType} ${origin.addressType} ${origin.address}`,
    `s=${edit.name}`,
  );
  for (const type of 'iuep') pushLines(out, session.lines, type);
  pushBandwidth(out, session.lines);
  if (!session.lines.some(({ type }) => type === 't')) out.push('t=0 0');
  for (const { type, value } of session.lines) {
    if (type === 't' || type === 'r' || type === 'z') out.push(`${type}=${value}`);
  }
  pushLines(out, session.lines, 'k');
  for (const attribute of edit.addedAttributes) out.push(`a=${attribute}`);
  for (const { name, value } of session.attributes) {
    if (!keptSessionAttribute(name, edit)) continue;
    out.push(value === null ? `a=${name}` : `a=${name}:${value}`);
  }
  if (edit.attributes !== null) editAttributes(out, start, edit.attributes);
  session.medias.forEach((media, position) => {
    const mediaEdit = edit.medias[position];
    if (mediaEdit === undefined || mediaEdit.kind === 'left-out') return;
    const first = out.length;
    writeMedia(out, media, mediaEdit);
    if (mediaEdit.attributes !== null) editAttributes(out, first, mediaEdit.attributes);
  });
}

function pushLines(
  out: string[],
  lines: readonly { readonly type: string; readonly value: string }[],
  wanted: string,
): void {
  for (const { type, value } of lines) if (type === wanted) out.push(`${type}=${value}`);
}

/** Modifiers of b= in the order in which they are written; others follow as they came. */
const bandwidthOrder: readonly string[] = ['AS', 'RR', 'RS', 'CT', 'TIAS'];

function pushBandwidth(out: string[], lines: SdpMedia['lines']): void {
  if (!lines.some(({ type }) => type === 'b')) return;
  const values = lines.flatMap(({ type, value }) => (type === 'b' ? [value] : []));
  const place = (value: string): number => {
    const at = bandwidthOrder.indexOf(value.slice(0, Math.max(0, value.indexOf(':'))));
    return at < 0 ? bandwidthOrder.length : at;
  };
  if (values.length > 1) values.sort((one, other) => place(one) - place(other));
  for (const value of values) out.push(`b=${value}`);
}

const securityNames: ReadonlySet<string> = new Set(['crypto', 'setup', 'fingerprint', 'tls-id']);

function keptSessionAttribute(name: string, edit: SessionEdit): boolean {
  if (name === 'sendrecv' || name === 'sendonly' || name === 'recvonly' || name === 'inactive') {
    return false;
  }
  if (name === 'group') return !edit.stripGroups;
  if (name === 'rtpengine') return false;
  if (isIceAttribute(name)) return !edit.stripIce;
  if (securityNames.has(name)) return !edit.stripSecurity;
  return true;
}

function writeMedia(out: string[], media: SdpMedia, edit: MediaEdit): void {
  if (edit.kind === 'keep') {
    writeUntouched(out, media, edit);
    return;
  }
  if (edit.twin !== null && edit.kind === 'relay') {
    writeMedia(out, media, { ...edit, twin: null, protocol: edit.twin, crypto: [], dtls: [] });
  }
  const formats = (edit.formats ?? media.formats).join(' ');
  const rejected = edit.kind === 'rejected';
  const port = rejected ? '0' : media.portCount > 1 ? `${edit.port}/${media.portCount}` : edit.port;
  out.push(`m=${media.type} ${port} ${edit.protocol}${formats === '' ? '' : ` ${formats}`}`);
  pushLines(out, media.lines, 'i');
  out.push(`c=IN ${edit.connection.family} ${edit.connection.address}`);
  pushBandwidth(out, media.lines);
  pushLines(out, media.lines, 'k');
  if (edit.mid !== null) out.push(`a=mid:${edit.mid}`);
  const label = attributeOf(media, 'label');
  if (label !== null) out.push(`a=label:${label}`);
  const bundleOnly =
    edit.bundleOnly === 'keep'
      ? media.attributes.some(({ name }) => name === 'bundle-only')
      : edit.bundleOnly;
  if (bundleOnly) out.push('a=bundle-only');
  if (rejected) {
    const kept = edit.direction === 'keep' ? explicitDirectionOf(media) : null;
    if (kept !== null) out.push(`a=${kept}`);
    return;
  }
  if (edit.rtp) writeCodecs(out, media, edit);
  writeOthers(out, media, edit);
  writeDirection(out, media, edit);
  if (edit.rtcp !== null) out.push(`a=rtcp:${edit.rtcp}`);
  if (edit.rtcpMux) out.push('a=rtcp-mux');
  if (!edit.stripSecurity) pushAttributes(out, media, (name) => securityNames.has(name));
  for (const line of edit.crypto) out.push(`a=crypto:${line}`);
  for (const line of edit.dtls) out.push(`a=${line}`);
  if (edit.ptime !== null) out.push(`a=ptime:${edit.ptime}`);
  if (edit.rtp) pushAttributes(out, media, (name) => name === 'maxptime');
  if (edit.keptIce !== 'none') pushIce(out, media, edit.keptIce === 'all');
  for (const line of edit.ice) out.push(`a=${line}`);
}

/** ICE of the section but for what ends the candidates: others follow. */
function pushIce(out: string[], media: SdpMedia, relays: boolean): void {
  for (const { name, value } of media.attributes) {
    if (!isIceAttribute(name) || name === 'end-of-candidates') continue;
    if (!relays && name === 'candidate' && / typ relay(?: |$)/.test(value ?? '')) continue;
    out.push(value === null ? `a=${name}` : `a=${name}:${value}`);
  }
}

function writeUntouched(out: string[], media: SdpMedia, edit: MediaEdit): void {
  const formats = media.formats.join(' ');
  const port = media.portCount > 1 ? `${media.port}/${media.portCount}` : String(media.port);
  out.push(`m=${media.type} ${port} ${media.protocol}${formats === '' ? '' : ` ${formats}`}`);
  if (media.connection === null) {
    out.push(`c=IN ${edit.connection.family} ${edit.connection.address}`);
  }
  for (const { type, value } of media.lines) out.push(`${type}=${value}`);
}

function pushCodec(
  out: string[],
  format: string,
  codec: SdpCodec,
  dropped: string | null = null,
): void {
  if (codec.encoding === '') return;
  const channels = codec.channels > 1 ? `/${codec.channels}` : '';
  out.push(`a=rtpmap:${format} ${codec.encoding}/${codec.clockRate}${channels}`);
  if (codec.fmtp !== '') out.push(`a=fmtp:${format} ${codec.fmtp}`);
  for (const feedback of codec.rtcpFeedback) {
    if (feedback !== dropped) out.push(`a=rtcp-fb:${format} ${feedback}`);
  }
}

/** Lists are shared by the sections that say the same; so are their lines. */
const knownLists = new WeakMap<readonly SdpCodec[], WrittenList>();

interface WrittenList {
  readonly lines: readonly string[];
  /** null: a number occurs twice, and the last one says what it is. */
  readonly formats: readonly string[] | null;
}

function listOf(codecs: readonly SdpCodec[]): WrittenList {
  let list = knownLists.get(codecs);
  if (list === undefined) {
    const lines: string[] = [];
    for (const codec of codecs) pushCodec(lines, String(codec.payloadType), codec);
    const formats = codecs.map(({ payloadType }) => String(payloadType));
    list = { lines, formats: new Set(formats).size === formats.length ? formats : null };
    knownLists.set(codecs, list);
  }
  return list;
}

function isSameList(a: readonly string[] | null, b: readonly string[]): boolean {
  if (a?.length !== b.length) return false;
  for (let at = 0; at < b.length; at++) if (a[at] !== b[at]) return false;
  return true;
}

function writeCodecs(out: string[], media: SdpMedia, edit: MediaEdit): void {
  const listed = codecsOf(media);
  const formats = edit.formats ?? media.formats;
  const isWhole = edit.addedCodecs.length === 0 && edit.droppedFeedback === null;
  const list = isWhole ? listOf(listed) : null;
  if (list !== null && isSameList(list.formats, formats)) {
    for (const line of list.lines) out.push(line);
  } else {
    const codecs = new Map<string, SdpCodec>();
    for (const codec of listed) codecs.set(String(codec.payloadType), codec);
    for (const codec of edit.addedCodecs) codecs.set(String(codec.payloadType), codec);
    for (const format of formats) {
      const codec = codecs.get(format);
      if (codec !== undefined) pushCodec(out, format, codec, edit.droppedFeedback);
    }
  }
  if (edit.extensions !== null) {
    for (const value of edit.extensions) out.push(`a=extmap:${value}`);
    return;
  }
  const { droppedExtensions: dropped } = edit;
  for (const { name, value } of media.attributes) {
    if (name !== 'extmap' || value === null) continue;
    if (dropped === null || !isRemovedExtension(value, dropped)) out.push(`a=extmap:${value}`);
  }
}

/** Attributes that have a place of their own in the layout, or none at all. */
const placed: ReadonlySet<string> = new Set([
  'mid',
  'label',
  'bundle-only',
  'sendrecv',
  'sendonly',
  'recvonly',
  'inactive',
  'rtcp',
  'rtcp-mux',
  'crypto',
  'setup',
  'fingerprint',
  'tls-id',
]);
const placedRtp: ReadonlySet<string> = new Set(['maxptime', 'extmap']);

function writeOthers(out: string[], media: SdpMedia, edit: MediaEdit): void {
  const ptimeWritten = edit.ptime !== null || ptimeOf(media) !== null;
  // It says nothing of a fax; other media that are no RTP keep it (12.5 seen).
  const isFax = media.protocol.toLowerCase() === 'udptl';
  for (const attribute of media.attributes) {
    const { name, value } = attribute;
    if (placed.has(name) || isIceAttribute(name)) continue;
    if (edit.rtp && (placedRtp.has(name) || isCodecLine(media, attribute))) continue;
    if (name === 'ptime' && (edit.rtp ? ptimeWritten : isFax)) continue;
    if (name === 'rtcp-fb' && value === `* ${edit.droppedFeedback}`) continue;
    out.push(value === null ? `a=${name}` : `a=${name}:${value}`);
  }
}

function writeDirection(out: string[], media: SdpMedia, edit: MediaEdit): void {
  const direction = edit.direction === 'keep' ? explicitDirectionOf(media) : edit.direction;
  if (direction !== null) out.push(`a=${direction}`);
}

function pushAttributes(out: string[], media: SdpMedia, wanted: (name: string) => boolean): void {
  for (const { name, value } of media.attributes) {
    if (wanted(name)) out.push(value === null ? `a=${name}` : `a=${name}:${value}`);
  }
}
