/**
 * Subscriptions: two parties of an offer/answer are subscribed to each other, and nobody else to them then.
 */
import type { CallDraft } from './call-draft.js';
import type { Media, Participant, Subscription } from './call-state.js';
import type { Dialogue } from './dialogue.js';

const offerAnswerTo = (mediaId: number): Subscription => ({
  mediaId,
  offerAnswer: true,
  rtcpOnly: false,
  egress: false,
  inject: false,
});

function mediaAtIndex(draft: CallDraft, participant: Participant, index: number): Media | null {
  for (const id of participant.medias) {
    const media = draft.media(id);
    if (media.index === index) return media;
  }
  return null;
}

/** `subscriber` gets what `source` sends, and that is its first subscription. */
function subscribe(subscriber: Media, source: Media): void {
  const first = subscriber.subscriptions[0];
  if (first?.mediaId === source.id && first.offerAnswer) return;
  subscriber.subscriptions =
    first === undefined
      ? [offerAnswerTo(source.id)]
      : [
          offerAnswerTo(source.id),
          ...subscriber.subscriptions.filter((subscription) => subscription.mediaId !== source.id),
        ];
}

/**
 * Connects the medias of both parties. What either sends goes to the other only: earlier answerers
 * keep the offerer as their subscriber (late media of a branch) but are subscribed to nobody any more.
 */
export function subscribeBothWays(draft: CallDraft, { from, to }: Dialogue): void {
  for (const id of from.medias) {
    const media = draft.media(id);
    const opposite = mediaAtIndex(draft, to, media.index);
    if (opposite === null) continue;
    subscribe(media, opposite);
    subscribe(opposite, media);
  }
  // Nobody else has any.
  if (draft.state.medias.length === from.medias.length + to.medias.length) return;
  const inDialogue = new Set([...from.medias, ...to.medias]);
  const ends = (subscription: Subscription): boolean =>
    subscription.offerAnswer && inDialogue.has(subscription.mediaId);
  for (const media of draft.mediasThatHear()) {
    if (media.subscriptions.length === 0 || inDialogue.has(media.id)) continue;
    if (!media.subscriptions.some(ends)) continue;
    draft.media(media.id).subscriptions = media.subscriptions.filter(
      (subscription) => !ends(subscription),
    );
  }
}
