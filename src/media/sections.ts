/** Which section of a body is which section of the call, where one side has fewer of them. */
import type { CallDraft } from './call-draft.js';
import type { Media, Participant } from './call-state.js';
import type { Dialogue } from './dialogue.js';
import type { SdpDocument, SdpMedia, SdpSession } from '../sdp/types.js';

/**
 * The body with the sections that it does not have, refused: those that its sender was never shown
 * (sdp-media-remove), and those that an answer left out, for an offer has to be answered section by section
 * (RFC 3264 §6).
 */
export function completed(
  kind: 'offer' | 'answer',
  document: SdpDocument,
  draft: CallDraft,
  { from: sender, to: opposite }: Dialogue,
): SdpDocument {
  const leftOut = new Set<number>();
  for (const id of sender.medias) {
    const media = draft.mediaAsIs(id);
    if (media.flags.has('left-out')) leftOut.add(media.index);
  }
  if (leftOut.size === 0 && (kind === 'offer' || isAnswered(document, draft, opposite)))
    return document;
  const others = new Map<number, Readonly<Media>>();
  for (const id of opposite.medias) {
    const media = draft.mediaAsIs(id);
    others.set(media.index, media);
  }
  let index = 0;
  /** The refused sections that come next, as long as `wanted` says so. */
  const refusedWhile = (wanted: (next: number) => boolean): SdpMedia[] => {
    const refused: SdpMedia[] = [];
    for (let other = others.get(index + 1); other !== undefined; other = others.get(index + 1)) {
      if (!wanted(index + 1)) break;
      refused.push(refusedSection(other));
      index += 1;
    }
    return refused;
  };
  const sessions = document.sessions.map((session): SdpSession => {
    const medias: SdpMedia[] = [];
    for (const section of session.medias) {
      medias.push(...refusedWhile((next) => leftOut.has(next)), section);
      index += 1;
    }
    return medias.length === session.medias.length ? session : { ...session, medias };
  });
  const last = sessions.at(-1);
  const missing = refusedWhile(
    (next) =>
      leftOut.has(next) || (kind === 'answer' && (others.get(next)?.offered ?? null) !== null),
  );
  if (last === undefined || missing.length === 0) return { sessions };
  return {
    sessions: [...sessions.slice(0, -1), { ...last, medias: [...last.medias, ...missing] }],
  };
}

/** The section that would come next was not offered. */
function isAnswered({ sessions }: SdpDocument, draft: CallDraft, { medias }: Participant): boolean {
  let next = 1;
  for (const session of sessions) next += session.medias.length;
  for (const id of medias) {
    const { index, offered } = draft.mediaAsIs(id);
    if (index === next && offered !== null) return false;
  }
  return true;
}

const refusedSection = ({ type, protocol, formats }: Readonly<Media>): SdpMedia => ({
  type,
  port: 0,
  portCount: 1,
  protocol,
  formats: formats.split(' '),
  connection: null,
  attributes: [],
  lines: [],
});
