/** What two offers of one party have in common that names it by different tags (`alias-key`, ng-protocol.md §4.1). */
import { createHash } from 'node:crypto';
import { formatEndpoint } from './call-state.js';
import type { SignallingRequest } from './signalling.js';
import { canonicalAddress } from '../sdp/address.js';
import type { SdpDocument } from '../sdp/types.js';
import { connectionOf } from '../sdp/view.js';

/** null: nothing is to be compared, or there is nothing to compare. */
export function aliasKeyOf(
  { aliasKey, sdp }: Pick<SignallingRequest, 'aliasKey' | 'sdp'>,
  document: SdpDocument | null,
): string | null {
  if (aliasKey === null || document === null) return null;
  if (aliasKey === 'sdp') return `sdp ${createHash('sha256').update(sdp, 'latin1').digest('hex')}`;
  const session = document.sessions[0];
  const media = session?.medias[0];
  if (session === undefined || media === undefined) return null;
  const address = canonicalAddress(connectionOf(media, session)?.address ?? '');
  return address === null ? null : `address ${formatEndpoint({ address, port: media.port })}`;
}
