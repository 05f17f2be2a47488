/** Two calls that become one (ng-protocol.md §3.14, §3.17): nobody of either hears anybody new by that alone. */
import {
  copyOfEndpointMap,
  copyOfMedia,
  copyOfParticipant,
  copyOfSocket,
  copyOfStream,
  shallowCopyOf,
  type CallState,
  type EndpointMap,
  type LocalSocket,
  type Media,
  type Participant,
  type Stream,
} from './call-state.js';
import { earliestDeletion } from './call-change.js';
import type { MediaBundle } from './media-attributes.js';

/** How far the ids of the second call are moved. */
type Offsets = CallState['nextIds'];

const moved = (ids: readonly number[], by: number): readonly number[] => ids.map((id) => id + by);

function movedParticipant(from: Participant, by: Offsets): Participant {
  return {
    ...copyOfParticipant(from),
    id: from.id + by.participant,
    associated: moved(from.associated, by.participant),
    branches: moved(from.branches, by.participant),
    medias: moved(from.medias, by.media),
  };
}

function movedBundle(from: MediaBundle, by: Offsets): MediaBundle {
  return from.carrier === null ? from : { ...from, carrier: from.carrier + by.media };
}

function movedMedia(from: Media, by: Offsets): Media {
  return {
    ...copyOfMedia(from),
    id: from.id + by.media,
    participantId: from.participantId + by.participant,
    blockedSources: moved(from.blockedSources, by.media),
    bundle: movedBundle(from.bundle, by),
    agreed: from.agreed && { ...from.agreed, bundle: movedBundle(from.agreed.bundle, by) },
    streams: moved(from.streams, by.stream),
    endpointMaps: moved(from.endpointMaps, by.endpointMap),
    subscriptions: from.subscriptions.map((subscription) => ({
      ...subscription,
      mediaId: subscription.mediaId + by.media,
    })),
  };
}

function movedStream(from: Stream, by: Offsets): Stream {
  const { selectedSocket, rtcpSibling } = from;
  return {
    ...copyOfStream(from),
    id: from.id + by.stream,
    mediaId: from.mediaId + by.media,
    sockets: moved(from.sockets, by.socket),
    selectedSocket: selectedSocket === null ? null : selectedSocket + by.socket,
    rtcpSibling: rtcpSibling === null ? null : rtcpSibling + by.stream,
  };
}

const movedSocket = (from: LocalSocket, by: Offsets): LocalSocket => ({
  ...copyOfSocket(from),
  id: from.id + by.socket,
  streamId: from.streamId + by.stream,
});

const movedMap = (from: EndpointMap, by: Offsets): EndpointMap => ({
  ...copyOfEndpointMap(from),
  id: from.id + by.endpointMap,
  mediaId: from.mediaId + by.media,
  sockets: from.sockets.map(({ addressIndex, sockets }) => ({
    addressIndex,
    sockets: moved(sockets, by.socket),
  })),
});

const tagsOf = ({ participants }: CallState): readonly string[] =>
  participants.flatMap(({ tag, aliases }) => (tag === null ? aliases : [tag, ...aliases]));

/** Whether a tag would mean two participants. */
export function tagsCollide(first: CallState, second: CallState): boolean {
  const taken = new Set(tagsOf(first));
  return tagsOf(second).some((tag) => taken.has(tag));
}

/** The call that both become: the first one's settings, the participants of both. Their tags do not collide. */
export function merged(first: CallState, second: CallState): CallState {
  const by = first.nextIds;
  const state = shallowCopyOf(first);
  state.otherIds = [...first.otherIds, second.callId, ...second.otherIds];
  state.lastSignalMicros = Math.max(first.lastSignalMicros, second.lastSignalMicros);
  state.deletedMicros = 0;
  state.participants = [
    ...first.participants,
    ...second.participants.map((each) => movedParticipant(each, by)),
  ];
  state.participantDeletedMicros = earliestDeletion(state.participants);
  state.medias = [...first.medias, ...second.medias.map((each) => movedMedia(each, by))];
  state.streams = [...first.streams, ...second.streams.map((each) => movedStream(each, by))];
  state.sockets = [...first.sockets, ...second.sockets.map((each) => movedSocket(each, by))];
  state.endpointMaps = [
    ...first.endpointMaps,
    ...second.endpointMaps.map((each) => movedMap(each, by)),
  ];
  const more = second.nextIds;
  state.nextIds = {
    participant: by.participant + more.participant,
    media: by.media + more.media,
    stream: by.stream + more.stream,
    socket: by.socket + more.socket,
    endpointMap: by.endpointMap + more.endpointMap,
  };
  return state;
}
