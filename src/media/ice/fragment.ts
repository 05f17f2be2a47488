/** Candidates that come after the body (RFC 8838, 8840): what a proxy passes on of a SIP INFO. */
import type { CallDraft } from '../call-draft.js';
import type { Media, Participant } from '../call-state.js';
import { readIce, type OfferedIce } from './attributes.js';
import { mergedCandidates } from './negotiation.js';
import { hasIceIn } from '../../sdp/view.js';
import type { SdpAttribute } from '../../sdp/types.js';

/** One section of a fragment. */
export interface FragmentSection {
  /** null: candidates without a section. */
  readonly mid: string | null;
  readonly ice: OfferedIce;
}

function attributeOf(line: string): SdpAttribute | null {
  if (!line.startsWith('a=')) return null;
  const colon = line.indexOf(':');
  return colon < 0
    ? { name: line.slice(2), value: null }
    : { name: line.slice(2, colon), value: line.slice(colon + 1) };
}

/** Sections as a whole body's would count; what cannot be read is left out. */
function readFragment(text: string): readonly FragmentSection[] {
  const session: SdpAttribute[] = [];
  const sections: SdpAttribute[][] = [];
  for (const line of text.split(/\r?\n/)) {
    if (line.startsWith('m=')) sections.push([]);
    const attribute = attributeOf(line);
    if (attribute !== null) (sections.at(-1) ?? session).push(attribute);
  }
  const shared = { attributes: session };
  // Without any section all of it is of the first one.
  return (sections.length === 0 ? [session] : sections).flatMap((attributes) => {
    // Its candidates may go without the credentials that they belong to.
    if (!hasIceIn({ attributes }) && !hasIceIn(shared)) return [];
    const mid = attributes.find(({ name }) => name === 'mid')?.value ?? null;
    return [{ mid, ice: readIce({ attributes }, shared) }];
  });
}

/** The media that a section is about; null: there is none. */
function mediaFor(
  draft: CallDraft,
  participant: Participant,
  { mid }: FragmentSection,
  position: number,
): Media | null {
  const medias = participant.medias.map((id) => draft.media(id));
  const named = mid === null ? undefined : medias.find((media) => media.mid === mid);
  const found = named ?? (mid === null ? (medias[position] ?? null) : null);
  // Until the bundle is agreed on, each section may still need its own.
  if (found === null || !found.bundle.agreed || found.bundle.carrier === null) return found;
  return draft.media(found.bundle.carrier);
}

/** Adds the candidates of `text` to the medias of the participant. Returns what to warn of. */
export function applyFragment(
  draft: CallDraft,
  participant: Participant | null,
  text: string,
): readonly string[] {
  if (participant === null) return ['Candidates of a side that is not known are left out'];
  const warnings: string[] = [];
  readFragment(text).forEach((section, position) => {
    const { credentials, candidates, endOfCandidates } = section.ice;
    const media = mediaFor(draft, participant, section, position);
    if (media === null || !media.ice.enabled || media.ice.remote === null) {
      warnings.push('Candidates of a section without ICE are left out');
      return;
    }
    // Those of another generation come too late, or too early.
    if (credentials !== null && credentials.ufrag !== media.ice.remote.ufrag) {
      warnings.push('Candidates with other credentials than those of the SDP are left out');
      return;
    }
    media.ice = {
      ...media.ice,
      remoteCandidates: mergedCandidates(media.ice.remoteCandidates, candidates),
      endOfCandidates: media.ice.endOfCandidates || endOfCandidates,
    };
  });
  return warnings;
}
