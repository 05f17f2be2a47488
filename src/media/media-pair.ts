/** One m= section and the two medias it speaks of. */
import { withFlag, type Media, type MediaFlag, type Sharing } from './call-state.js';
import type { SdpMedia, SdpSession } from '../sdp/types.js';

export interface MediaPair {
  readonly session: SdpSession;
  readonly section: SdpMedia;
  /** Position over all sessions of the body, from 1. */
  readonly index: number;
  readonly sender: Media;
  readonly receiver: Media;
  /** Of both, before the body at hand was looked at. */
  readonly before: { readonly sender: Sharing; readonly receiver: Sharing };
  /** Where the sender wants its media: c= of the SDP or the source of the SIP message; may be ''. */
  readonly address: string;
  readonly fromSipSource: boolean;
  /**
   * The section that says where the sender is and how it is secured: that of its own, or of its bundle
   * (RFC 9143 §7.1.3).
   */
  readonly transport: SdpMedia;
  /**
   * The pair whose section keeps a transport alive that lies in this one's medias, though this one is refused;
   * null, each: not so.
   */
  readonly carries: { readonly sender: MediaPair | null; readonly receiver: MediaPair | null };
  /** The section is refused: port 0, or the request wants it so. */
  readonly rejected: boolean;
  /** It is not in the bodies for the receiver (sdp-media-remove). */
  readonly leftOut: boolean;
  /** Media that is not carried over UDP: its section is passed on as it is. */
  readonly untouched: boolean;
  /** The sender has said nothing of it before, and has not been told of it. */
  readonly isFirst: boolean;
  /** Of an offer: its receiver multiplexes RTCP already, or has been asked to, in this section or in one before it. */
  readonly muxKnown: boolean;
}

export const sharingOf = ({ bundle, extensions, mid }: Sharing): Sharing => ({
  bundle,
  extensions,
  mid,
});

export const carriesNothing: MediaPair['carries'] = Object.freeze({ sender: null, receiver: null });

export function setMediaFlag(media: Media, flag: MediaFlag, on: boolean): void {
  media.flags = withFlag(media.flags, flag, on);
}
