/** The layout of rtpengine 10.5 (redis-layout.md §6): times in seconds, subscriptions by tag. */
import type { CallState, Media } from '../media/call-state.js';
import {
  callFields,
  codecTextOfFormer,
  mediaFields,
  mediaLimits,
  participantFields,
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
import { StoredIndex, mediaSubscriptions, tagSubscriptions, toldByTags } from './subscriptions.js';

const form: Form = {
  layout: '10.5',
  text: percentEncode,
  blob: percentEncode,
  time: (micros) => String(Math.floor(micros / 1_000_000)),
};

/** The value of `state`; its strings are percent-encoded already. */
export function treeOf105(state: CallState, settings: CodecSettings): Tree {
  const index = new StoredIndex(state);
  const encoding: Encoding = { form, index, settings };
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
    block_media: state.blockMedia ? '1' : '0',
  };
  if (state.dropTraffic) fields[own.dropTraffic] = '1';
  if (state.silenceMedia) fields[own.silenceMedia] = '1';
  putCarried(form, fields, state.carried);
  return fields;
}

function putParticipants(tree: Tree, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  state.participants.forEach((participant, at) => {
    const fields = participantFields(participant, encoding);
    fields['block_media'] = participant.blockMedia ? '1' : '0';
    if (participant.silenceMedia) fields[own.silenceMedia] = '1';
    putCarried(form, fields, participant.carried);
    tree[`tag-${at}`] = fields;
  });
  state.participants.forEach((participant, at) => {
    tree[`other_tags-${at}`] = index.stored(index.participantAt, participant.associated);
    tree[`branches-${at}`] = index.stored(index.participantAt, participant.branches);
    tree[`medias-${at}`] = index.stored(index.mediaAt, participant.medias);
    tree[`ssrc_table-${at}`] = ssrcTable(form, ssrcsOfParticipant(participant, index));
    tree[`subscriptions-${at}`] = tagSubscriptions(index, participant);
  });
}

function mediaObject(media: Media, encoding: Encoding, subscriptionsTold: boolean): Fields {
  const fields = { ...mediaFields(media, encoding), ...mediaLimits(media) };
  if (!subscriptionsTold) {
    fields[own.subscriptions] = mediaSubscriptions(encoding.index, media).join(' ');
  }
  putCarried(form, fields, media.carried);
  return fields;
}

function putMedias(tree: Tree, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  const told = new Map<number, boolean>();
  state.participants.forEach((participant, at) => {
    const items = tree[`subscriptions-${at}`];
    const texts = Array.isArray(items) ? items.map(String) : [];
    told.set(participant.id, toldByTags(index, participant, texts));
  });
  state.medias.forEach((media, at) => {
    tree[`media-${at}`] = mediaObject(media, encoding, told.get(media.participantId) ?? false);
  });
  state.medias.forEach((media, at) => {
    tree[`streams-${at}`] = index.stored(index.streamAt, media.streams);
    tree[`maps-${at}`] = index.stored(index.mapAt, media.endpointMaps);
    tree[`payload_types-${at}`] = media.codecs.map(codecTextOfFormer);
  });
}
