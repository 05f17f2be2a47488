/**
 * The current layout (rtpengine 26.3, redis-layout.md §6): times in microseconds, subscriptions and
 * SSRCs by media; as JSON or as bencode.
 */
import type { CallState, Codec, Media, Participant } from '../media/call-state.js';
import {
  callFields,
  callFlags,
  flaggedParticipant,
  mediaFields,
  participantDependsOn,
  putCall,
  putCarried,
  ssrcTable,
  type Encoding,
  type Form,
} from './encode-members.js';
import { associatedOf, isPublic } from './derived.js';
import { eachOf, type DependsOn, type Output } from './encode-output.js';
import { encodePlain, percentEncode } from './percent-encoding.js';
import type { Fields } from './fields.js';
import { blockDtmfValues } from './schema.js';
import { mediaSubscriptionList, type StoredIndex } from './subscriptions.js';

const bytesAsTheyAre = (text: string): string => text;

const jsonForm: Form = {
  layout: 'current',
  text: encodePlain,
  blob: percentEncode,
  time: String,
};

const bencodeForm: Form = { ...jsonForm, text: bytesAsTheyAre, blob: bytesAsTheyAre };

/** Beyond it holes in `medias-N` are not written: the index of a media is stored with it anyway. */
const maxMediaIndex = 1024;

/** The value of `state`; its strings are encoded for the format. */
export function putCurrent(
  out: Output,
  format: 'JSON' | 'bencode',
  given: Omit<Encoding, 'form'>,
): void {
  const form = format === 'JSON' ? jsonForm : bencodeForm;
  putCall(out, { ...given, form }, parts);
}

/** `ip` of `ip:port`, as far as the control address can be read off it. */
export function addressOf(createdFrom: string): string {
  const end = createdFrom.lastIndexOf(':');
  return end < 0 ? createdFrom : createdFrom.slice(0, end).replace(/^\[(.*)\]$/, '$1');
}

function callObject(state: CallState, encoding: Encoding): Fields {
  const { form } = encoding;
  const fields = callFields(state, encoding);
  if (state.createdFrom !== '') fields.put('created_from', form.text(state.createdFrom));
  if (state.createdFromAddress !== addressOf(state.createdFrom)) {
    fields.put('created_from_addr', form.text(state.createdFromAddress));
  }
  fields.put('redis_hosted_db', String(state.redisHostedDb));
  fields.put('recording_metadata', form.text(state.metadata));
  fields.put('block_dtmf', String(Math.max(0, blockDtmfValues.indexOf(state.blockDtmf))));
  fields.put('call_flags', callFlags(state, encoding));
  putCarried(form, fields, state.carried);
  return fields;
}

function putParticipants(out: Output, state: CallState, encoding: Encoding): void {
  const { form, index } = encoding;
  eachOf(out, 'participant', state.participants, (participant, at) => {
    out.group('participant', at, participantDependsOn(participant, index), () => [
      [`tag-${at}`, flaggedParticipant(participant, encoding)],
    ]);
  });
  eachOf(out, 'participant lists', state.participants, (participant, at) => {
    out.group('participant lists', at, participantDependsOn(participant, index), () => [
      [`associated_tags-${at}`, index.list(index.participantAt, associatedOf(participant, index))],
      [`tag_aliases-${at}`, participant.aliases.map(form.text)],
      [`medias-${at}`, mediasWithHoles(participant, index)],
    ]);
  });
}

/** Media ids by index; -1 where the participant has no media. */
function mediasWithHoles(participant: Participant, index: StoredIndex): string[] {
  const list: string[] = [];
  for (const id of participant.medias) {
    const at = index.mediaAt.get(id);
    const media = index.medias.get(id);
    if (at === undefined || media === undefined) continue;
    while (media.index <= maxMediaIndex && list.length < media.index - 1) list.push('-1');
    list.push(String(at));
  }
  return list;
}

function mediaObject(media: Media, encoding: Encoding): Fields {
  const fields = mediaFields(media, encoding);
  fields.put('maxptime', String(media.maxPtimeMs));
  fields.put('bandwidth_as', String(media.bandwidth.as));
  fields.put('bandwidth_rr', String(media.bandwidth.rr));
  fields.put('bandwidth_rs', String(media.bandwidth.rs));
  putCarried(encoding.form, fields, media.carried);
  return fields;
}

function putMedias(out: Output, state: CallState, encoding: Encoding): void {
  const { form, index } = encoding;
  eachOf(out, 'media', state.medias, (media, at) => {
    const on: DependsOn = (see) => {
      see(media);
      see(isPublic(media, index));
    };
    out.group('media', at, on, () => [[`media-${at}`, mediaObject(media, encoding)]]);
  });
  eachOf(out, 'media lists', state.medias, (media, at) => {
    const owner = index.participants.get(media.participantId);
    const on: DependsOn = (see) => {
      see(media);
      see(owner?.medias);
      see(owner?.ssrcTable);
    };
    out.group('media lists', at, on, () => [
      [`ssrc_table-${at}`, ssrcTable(form, tableOf(media, index))],
      [`media-subscriptions-${at}`, mediaSubscriptionList(index, media)],
      [`streams-${at}`, index.stored(index.streamAt, media.streams)],
      [`maps-${at}`, index.list(index.mapAt, media.endpointMaps)],
      [`payload_types-${at}`, media.codecs.map((codec) => form.text(codecText(codec)))],
    ]);
  });
}

/** The table of the media; that of the participant (10.5 layout) goes to its first media. */
function tableOf(media: Media, index: StoredIndex): Media['ssrcTable'] {
  if (media.ssrcTable.length > 0) return media.ssrcTable;
  const participant = index.participants.get(media.participantId);
  return participant?.medias[0] === media.id ? participant.ssrcTable : [];
}

/** `pt/encoding/clock/enc-params/bitrate/ptime/fmtp/options` */
function codecText(codec: Codec): string {
  const channels = codec.channels === 1 ? '' : String(codec.channels);
  return `${codec.payloadType}/${codec.encoding}/${codec.clockRate}/${channels}/${codec.bitrate}/${codec.ptimeMs}/${codec.fmtp}/`;
}

const parts = { call: callObject, participants: putParticipants, medias: putMedias };
