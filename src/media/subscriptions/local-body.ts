/** Bodies that nobody has sent: text from what the call remembers, read like any other. */
import type { AddressFamily, Codec, Media, Participant } from '../call-state.js';
import type { MediaDirection } from '../media-attributes.js';
import type { SignallingContext, SignallingRequest } from '../signalling.js';
import { parseSdp } from '../../sdp/lines.js';
import type { SdpDocument, SdpOrigin } from '../../sdp/types.js';
import { isRtpProtocol } from '../../sdp/view.js';

/** One section. */
export interface LocalSection {
  readonly type: string;
  /** 0: refused. */
  readonly port: number;
  readonly portCount: number;
  readonly protocol: string;
  readonly codecs: readonly Codec[];
  /** Formats of protocols that have no codecs. */
  readonly formats: string;
  readonly family: AddressFamily;
  /** null: not said. */
  readonly direction: MediaDirection | null;
  readonly mid: string | null;
  readonly ptimeMs: number;
  readonly rtcpMux: boolean;
  /** Further lines, each with its line end. */
  readonly lines: string;
}

/** An o= line and s= of our own for a participant: once made, they stay (sdp-rules.md §3). */
export function ownSession(
  { sdpSent }: Participant,
  context: SignallingContext,
): { readonly origin: SdpOrigin; readonly name: string } {
  const seconds = BigInt(Math.floor(context.nowMicros / 1e6));
  const fraction = BigInt(Math.floor(context.nowMicros % 1e6));
  const id = String((seconds << 32n) | (fraction << 12n));
  const family: AddressFamily = 'IP4';
  const origin = {
    username: '-',
    sessionId: sdpSent?.sessionId ?? id,
    version: sdpSent?.version ?? id,
    networkType: 'IN',
    addressType: family,
    address: '127.0.0.1',
  };
  return { origin, name: context.softwareId };
}

/** A request whose o= line is ours: it shows where the first section is sent from (10.5 seen). */
export const withOwnOrigin = (request: SignallingRequest): SignallingRequest => ({
  ...request,
  replace: new Set([...request.replace, 'origin']),
});

/** An address of the family that is neither a hold nor anybody's. */
const anyAddress: Readonly<Record<AddressFamily, string>> = { IP4: '127.0.0.1', IP6: '::1' };

function linesOf(section: LocalSection): string[] {
  const { codecs, port, portCount, family } = section;
  const isRtp = isRtpProtocol(section.protocol);
  const formats = isRtp ? codecs.map(({ payloadType }) => payloadType).join(' ') : section.formats;
  const ports = portCount > 1 ? `${port}/${portCount}` : String(port);
  const lines = [
    `m=${section.type} ${ports} ${section.protocol} ${formats}`,
    `c=IN ${family} ${anyAddress[family]}`,
  ];
  for (const { payloadType, encoding, clockRate, channels, fmtp } of isRtp ? codecs : []) {
    if (encoding === '') continue;
    const count = channels > 1 ? `/${channels}` : '';
    lines.push(`a=rtpmap:${payloadType} ${encoding}/${clockRate}${count}`);
    if (fmtp !== '') lines.push(`a=fmtp:${payloadType} ${fmtp}`);
  }
  if (section.mid !== null) lines.push(`a=mid:${section.mid}`);
  if (section.direction !== null) lines.push(`a=${section.direction}`);
  if (section.rtcpMux) lines.push('a=rtcp-mux');
  if (section.ptimeMs > 0) lines.push(`a=ptime:${section.ptimeMs}`);
  return lines;
}

/** The document of such a body. `sessionLines` with their line ends; without a t= among them: `0 0`. */
export function localBody(
  { origin, name }: { readonly origin: SdpOrigin; readonly name: string },
  sessionLines: string,
  sections: readonly LocalSection[],
): SdpDocument {
  const { username, sessionId, version, networkType, addressType, address } = origin;
  const head = [
    'v=0',
    `o=${username} ${sessionId} ${version} ${networkType} ${addressType} ${address}`,
    `s=${name}`,
    't=0 0',
  ];
  let text = `${head.join('\r\n')}\r\n${sessionLines}`;
  for (const section of sections) text += `${linesOf(section).join('\r\n')}\r\n${section.lines}`;
  return parseSdp(text);
}

/** What a media would say of itself, but for its port and direction. */
export function sectionOf(media: Media): LocalSection {
  return {
    type: media.type,
    port: media.protocol === '' ? 0 : 9,
    portCount: Math.max(1, media.streams.length / 2),
    protocol: media.protocol,
    codecs: media.codecs,
    formats: media.formats,
    family: media.desiredFamily,
    direction: null,
    mid: media.mid,
    ptimeMs: media.ptimeMs,
    rtcpMux: false,
    lines: media.passedOn,
  };
}
