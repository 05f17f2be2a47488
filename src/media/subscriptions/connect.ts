/** Joining participants of a call without a body (ng-protocol.md §3.14, §3.17). */
import { CallDraft } from '../call-draft.js';
import type { CallState, Media, Participant } from '../call-state.js';
import { SignallingError } from '../errors.js';
import { subscribeBothWays } from '../subscriptions.js';
import type { SubscriptionResult } from './subscribe.js';

/** One participant, and those who are to hear it. */
export interface Connection {
  readonly from: string;
  readonly to: readonly string[];
}

export interface ConnectOptions {
  /** Only `to` hears `from`; without: as after an offer and its answer. */
  readonly directional: boolean;
  /** ... and the other way. */
  readonly bidirectional: boolean;
  /** The `from` hears nobody from before any more. */
  readonly unsubscribe: boolean;
  /** What is said of a tag that does not exist. */
  readonly unknown: { readonly from: string; readonly to: string };
}

function named(draft: CallDraft, tag: string, unknown: string): Participant {
  return draft.participantByTag(tag) ?? fail(unknown);
}

function fail(message: string): never {
  throw new SignallingError('unknown-participant', message);
}

function mediaAtIndex(draft: CallDraft, { medias }: Participant, index: number): Media | null {
  for (const id of medias) if (draft.media(id).index === index) return draft.media(id);
  return null;
}

/** `to` hears `from`, section by section, beside whom it hears already. */
function addSubscription(draft: CallDraft, from: Participant, to: Participant): void {
  for (const id of to.medias) {
    const media = draft.media(id);
    const source = mediaAtIndex(draft, from, media.index);
    if (source === null || media.subscriptions.some(({ mediaId }) => mediaId === source.id))
      continue;
    const added = {
      mediaId: source.id,
      offerAnswer: false,
      rtcpOnly: false,
      egress: false,
      inject: false,
    };
    media.subscriptions = [...media.subscriptions, added];
  }
}

/** @throws SignallingError; `previous` then stands. */
export function connect(
  previous: CallState,
  connections: readonly Connection[],
  options: ConnectOptions,
  nowMicros: number,
): SubscriptionResult {
  const draft = new CallDraft(previous);
  draft.state.lastSignalMicros = nowMicros;
  for (const { from, to } of connections) {
    const source = named(draft, from, options.unknown.from);
    if (options.unsubscribe) for (const id of source.medias) draft.media(id).subscriptions = [];
    for (const tag of to) {
      const target = named(draft, tag, options.unknown.to);
      if (target === source)
        throw new SignallingError('invalid-dialogue', 'Invalid dialogue association');
      if (options.directional) {
        addSubscription(draft, source, target);
        if (options.bidirectional) addSubscription(draft, target, source);
        continue;
      }
      subscribeBothWays(draft, { from: source, to: target });
      source.associated = [target.id, ...source.associated.filter((id) => id !== target.id)];
      target.associated = [source.id, ...target.associated.filter((id) => id !== source.id)];
    }
  }
  return { state: draft.finished(), warnings: [] };
}
