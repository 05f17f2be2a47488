/** The layout of rtpengine 10.5 (redis-layout.md §6): times in seconds, subscriptions by tag. */
import type { CallState, Media, Participant } from '../media/call-state.js';
import {
  callFieldsUpTo125,
  codecTextOfFormer,
  mediaFields,
  putMediaLimits,
  participantFields,
  putCall,
  putCarried,
  ssrcsOfParticipant,
  ssrcTable,
  type Encoding,
  percentForm,
} from './encode-members.js';
import { eachOf, onlyOn, type DependsOn, type Output } from './encode-output.js';
import type { Fields } from './fields.js';
import { extraFields } from './schema.js';
import { mediaSubscriptions, type StoredIndex } from './subscriptions.js';

const form = percentForm('10.5');

/** The value of `state`; its strings are percent-encoded already. */
export function put105(out: Output, given: Omit<Encoding, 'form'>): void {
  putCall(out, { ...given, form }, parts);
}

function callObject(state: CallState, encoding: Encoding): Fields {
  const fields = callFieldsUpTo125(state, encoding);
  fields.put('block_media', state.blockMedia ? '1' : '0');
  if (state.dropTraffic) fields.put(extraFields.dropTraffic, '1');
  if (state.silenceMedia) fields.put(extraFields.silenceMedia, '1');
  putCarried(form, fields, state.carried);
  return fields;
}

function participantObject(participant: Participant, encoding: Encoding): Fields {
  const fields = participantFields(participant, encoding);
  fields.put('block_media', participant.blockMedia ? '1' : '0');
  if (participant.silenceMedia) fields.put(extraFields.silenceMedia, '1');
  putCarried(form, fields, participant.carried);
  return fields;
}

function putParticipants(out: Output, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  eachOf(out, 'participant', state.participants, (participant, at) => {
    out.group('participant', at, onlyOn(participant), () => [
      [`tag-${at}`, participantObject(participant, encoding)],
    ]);
  });
  eachOf(out, 'participant lists', state.participants, (participant, at) => {
    out.group('participant lists', at, subscriptionsDependOn(participant, index), () => [
      [`other_tags-${at}`, index.list(index.participantAt, participant.associated)],
      [`branches-${at}`, index.list(index.participantAt, participant.branches)],
      [`medias-${at}`, index.list(index.mediaAt, participant.medias)],
      [`ssrc_table-${at}`, ssrcTable(form, ssrcsOfParticipant(participant, index))],
      [`subscriptions-${at}`, index.toldByTags(participant).items],
    ]);
  });
}

/** The participant, what its medias say of others, and the places of medias among those of their participants. */
const subscriptionsDependOn =
  (participant: Participant, index: StoredIndex): DependsOn =>
  (see) => {
    see(participant);
    for (const id of participant.medias) {
      const media = index.medias.get(id);
      see(media?.subscriptions);
      see(media?.ssrcTable);
    }
    see(index.places);
  };

function mediaObject(media: Media, encoding: Encoding, subscriptionsTold: boolean): Fields {
  const fields = mediaFields(media, encoding);
  putMediaLimits(fields, media);
  if (!subscriptionsTold) {
    fields.put(extraFields.subscriptions, mediaSubscriptions(encoding.index, media).join(' '));
  }
  putCarried(form, fields, media.carried);
  return fields;
}

function putMedias(out: Output, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  const told = new Map<number, boolean>();
  eachOf(out, 'told', state.participants, (participant, at) => {
    const isTold = out.fact(
      'told',
      at,
      subscriptionsDependOn(participant, index),
      () => index.toldByTags(participant).isAll,
    );
    told.set(participant.id, isTold);
  });
  eachOf(out, 'media', state.medias, (media, at) => {
    const isTold = told.get(media.participantId) ?? false;
    const on: DependsOn = (see) => {
      see(media);
      see(isTold);
    };
    out.group('media', at, on, () => [[`media-${at}`, mediaObject(media, encoding, isTold)]]);
  });
  eachOf(out, 'media lists', state.medias, (media, at) => {
    out.group('media lists', at, onlyOn(media), () => [
      [`streams-${at}`, index.stored(index.streamAt, media.streams)],
      [`maps-${at}`, index.list(index.mapAt, media.endpointMaps)],
      [`payload_types-${at}`, media.codecs.map(codecTextOfFormer)],
    ]);
  });
}

const parts = { call: callObject, participants: putParticipants, medias: putMedias };
