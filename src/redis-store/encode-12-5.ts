/**
 * The layout of rtpengine 12.5 (redis-layout.md §6.12): lists and flags as in the current one, times,
 * codecs and encodings as in 10.5.
 */
import type { CallState, Media } from '../media/call-state.js';
import {
  callFieldsUpTo125,
  callFlags,
  codecTextOfFormer,
  flaggedParticipant,
  mediaFields,
  putMediaLimits,
  participantDependsOn,
  putCall,
  putCarried,
  ssrcsOfParticipant,
  ssrcTable,
  type Encoding,
  percentForm,
} from './encode-members.js';
import { associatedOf } from './derived.js';
import { eachOf, onlyOn, type Output } from './encode-output.js';
import type { Fields } from './fields.js';
import { extraFields } from './schema.js';
import { mediaSubscriptionList, mediaSubscriptions } from './subscriptions.js';

const form = percentForm('12.5');

/** The value of `state`; its strings are percent-encoded already. */
export function put125(out: Output, given: Omit<Encoding, 'form'>): void {
  putCall(out, { ...given, form }, parts);
}

function callObject(state: CallState, encoding: Encoding): Fields {
  const fields = callFieldsUpTo125(state, encoding);
  fields.put('call_flags', callFlags(state, encoding));
  putCarried(form, fields, state.carried);
  return fields;
}

function putParticipants(out: Output, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  eachOf(out, 'participant', state.participants, (participant, at) => {
    out.group('participant', at, participantDependsOn(participant, index), () => [
      [`tag-${at}`, flaggedParticipant(participant, encoding)],
    ]);
  });
  eachOf(out, 'participant lists', state.participants, (participant, at) => {
    out.group('participant lists', at, participantDependsOn(participant, index), () => [
      [`associated_tags-${at}`, index.list(index.participantAt, associatedOf(participant, index))],
      [`medias-${at}`, index.list(index.mediaAt, participant.medias)],
      [`ssrc_table-${at}`, ssrcTable(form, ssrcsOfParticipant(participant, index))],
    ]);
  });
}

function mediaObject(media: Media, encoding: Encoding): Fields {
  const fields = mediaFields(media, encoding);
  putMediaLimits(fields, media);
  if (media.subscriptions.some(({ inject }) => inject)) {
    fields.put(extraFields.subscriptions, mediaSubscriptions(encoding.index, media).join(' '));
  }
  putCarried(form, fields, media.carried);
  return fields;
}

function putMedias(out: Output, state: CallState, encoding: Encoding): void {
  const { index } = encoding;
  eachOf(out, 'media', state.medias, (media, at) => {
    out.group('media', at, onlyOn(media), () => [[`media-${at}`, mediaObject(media, encoding)]]);
  });
  eachOf(out, 'media lists', state.medias, (media, at) => {
    out.group('media lists', at, onlyOn(media), () => [
      [`media-subscriptions-${at}`, mediaSubscriptionList(index, media, false)],
      [`streams-${at}`, index.stored(index.streamAt, media.streams)],
      [`maps-${at}`, index.list(index.mapAt, media.endpointMaps)],
      [`payload_types-${at}`, media.codecs.map(codecTextOfFormer)],
    ]);
  });
}

const parts = { call: callObject, participants: putParticipants, medias: putMedias };
