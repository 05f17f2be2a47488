/**
 * The other party of a body that is made or taken here: a publisher offers to nobody, a subscriber is
 * offered what several others send. The rules of offer and answer speak of two sides, so somebody stands in
 * for the missing one, and leaves no trace in the call.
 */
import type { CallDraft } from '../call-draft.js';
import type { Media, Participant } from '../call-state.js';
import { ensureStreams, mediaAt } from '../media-setup.js';
import type { SignallingContext } from '../signalling.js';
import { isRtpProtocol } from '../../sdp/view.js';

export class StandIn {
  readonly participant: Participant;
  readonly #before: readonly number[];
  readonly #nextIds: CallDraft['state']['nextIds'];

  /** Everything that is to stay has been added to the draft before. */
  constructor(
    private readonly draft: CallDraft,
    private readonly context: SignallingContext,
  ) {
    const { participants, medias, streams, nextIds } = draft.state;
    this.#before = [participants.length, medias.length, streams.length];
    this.#nextIds = { ...nextIds };
    this.participant = draft.addParticipant(null, context.nowMicros);
  }

  /** Its media opposite to `real`. */
  opposite(real: Media): Media {
    const media = mediaAt(
      this.draft,
      this.participant,
      real.index,
      real.logicalInterface,
      this.context,
    );
    // He speaks plain RTP; whatever needs keys ends here.
    if (media.protocol === '' && isRtpProtocol(real.protocol)) media.protocol = 'RTP/AVP';
    ensureStreams(this.draft, media, real.streams.length / 2, this.context.nowMicros);
    return media;
  }

  leave(): void {
    const { state } = this.draft;
    const [participants = 0, medias = 0, streams = 0] = this.#before;
    state.participants.length = participants;
    state.medias.length = medias;
    state.streams.length = streams;
    const { participant, media, stream } = this.#nextIds;
    state.nextIds = { ...state.nextIds, participant, media, stream };
  }
}
