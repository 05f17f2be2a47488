/**
 * The layout of rtpengine 12.5 (redis-layout.md §6.12): lists and flags as in the current one, times,
 * codecs and encodings as in 10.5.
 */
import type { CallState, Media } from '../media/call-state.js';
import {
  callFields,
  callFlags,
  codecTextOfFormer,
  flaggedParticipant,
  mediaFields,
  mediaLimits,
  putCarried,
  putMaps,
  putStreams,
  ssrcsOfParticipant,
  ssrcTable,
  type Encoding,
  type Form,
} from './encode-members.js';
import { percentEncode } from './percent-encoding.js';
import { blockDtmfValues, own, type CodecSettings, type Fields, type Tree } from './schema.js';
import { StoredIndex, mediaSubscriptions } from './subscriptions.js';

const form: Form = {
  layout: '12.5',
  text: percentEncode,
  blob: percentEncode,
  time: (micros) => String(Math.floor(micros / 1_000_000)),
};

/** The value of `state`; its strings are percent-encoded already. */
export function treeOf125(state: CallState, settings: CodecSettings): Tree {
  const encoding: Encoding = { form, index: new StoredIndex(state), settings };
  const tree: Tree = { json: callObject(state) };
  putStreams(tree, state, encoding);
  putParticipants(tree, state, encoding);
  putMedias(tree, state, encoding);
  putMaps(tree, state, encoding);
  return tree;
}

function callObject(state: CallState): Fields {
  const fields: Fields = {
    ...callFields(state, form),
    created_from: percentEncode(state.createdFrom),
    created_from_addr: percentEncode(state.createdFromAddress),
    redis_hosted_db: String(state.redisHostedDb),
    recording_metadata: percentEncode(state.metadata),
    block_dtmf: String(Math.max(0, blockDtmfValues.indexOf(state.blockDtmf))),
    call_flags: callFlags(state, form.layout),
  };
  putCarried(form, fields, state.carried);
  return fields;
}

function putParticipants(tree: Tree, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  state.participants.forEach((participant, at) => {
    tree[`tag-${at}`] = flaggedParticipant(participant, encoding);
  });
  state.participants.forEach((participant, at) => {
    tree[`associated_tags-${at}`] = index.stored(index.participantAt, participant.associated);
    tree[`medias-${at}`] = index.stored(index.mediaAt, participant.medias);
    tree[`ssrc_table-${at}`] = ssrcTable(form, ssrcsOfParticipant(participant, index));
  });
}

function mediaObject(media: Media, encoding: Encoding): Fields {
  const fields = { ...mediaFields(media, encoding), ...mediaLimits(media) };
  if (media.subscriptions.some(({ inject }) => inject)) {
    fields[own.subscriptions] = mediaSubscriptions(encoding.index, media).join(' ');
  }
  putCarried(form, fields, media.carried);
  return fields;
}

/** `media/offer_answer/rtcp_only/egress`: without the last part of the current layout. */
const withoutInject = (item: string): string => item.slice(0, item.lastIndexOf('/'));

function putMedias(tree: Tree, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  state.medias.forEach((media, at) => {
    tree[`media-${at}`] = mediaObject(media, encoding);
  });
  state.medias.forEach((media, at) => {
    tree[`media-subscriptions-${at}`] = mediaSubscriptions(index, media).map(withoutInject);
    tree[`streams-${at}`] = index.stored(index.streamAt, media.streams);
    tree[`maps-${at}`] = index.stored(index.mapAt, media.endpointMaps);
    tree[`payload_types-${at}`] = media.codecs.map(codecTextOfFormer);
  });
}
