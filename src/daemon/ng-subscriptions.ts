/** NG commands about subscriptions (ng-protocol.md §3.13) -> the call service -> reply dictionaries. */
import { randomBytes } from 'node:crypto';
import type { CallState, Participant } from '../media/call-state.js';
import { SignallingError } from '../media/errors.js';
import { selectedParticipant } from '../media/selection.js';
import { receivesFrom, sendsTo } from '../media/media-attributes.js';
import type { SignallingRequest } from '../media/signalling.js';
import type { Source } from '../media/subscriptions/sources.js';
import type {
  ConnectRequest,
  CreateAnswerRequest,
  CreateRequest,
  ForwardingRequest,
  MeshRequest,
  PublishRequest,
  SoundRequest,
  SubscribeAnswerRequest,
  SubscribeRequest,
  TransformRequest,
  UnsubscribeRequest,
} from '../ng-protocol/commands.js';
import type { NgDictionary, NgValue } from '../ng-protocol/dictionary.js';
import { NgError } from '../ng-protocol/errors.js';
import type { Log } from '../observe/log.js';
import type { CallService } from './calls/call-service.js';
import type { ControlClient, Joining } from './calls/signalling.js';

export interface SubscriptionParts {
  readonly calls: CallService;
  readonly log: Log;
}

const ok: readonly [string, NgValue] = ['result', 'ok'];

/** A call-id or tag of our own. */
export const newTag = (): string => randomBytes(32).toString('hex');

/** A tag that is empty is none (10.5 seen). */
const given = (tag: string | null): string | null => (tag === '' ? null : tag);

function warn({ log }: SubscriptionParts, warnings: readonly string[], callId: string): void {
  for (const warning of warnings) log.warning('control', warning, callId);
}

function debugging({ calls, log }: SubscriptionParts, callId: string, on: boolean): void {
  if (on && calls.table.call(callId) !== null) log.setCallDebug(callId, true);
}

/** The reply that tells who asked which names were given where he left them out. */
const madeFor = (callId: string, fromTag: string, made: readonly [string, NgValue]): NgDictionary =>
  new Map<string, NgValue>([['call-id', callId], ['from-tag', fromTag], made, ok]);

export async function publishing(
  parts: SubscriptionParts,
  request: PublishRequest & { readonly callId: string },
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId } = request;
  const fromTag = request.fromTag ?? newTag();
  const { result, saved } = parts.calls.signalling.publish({ ...request, fromTag }, client);
  debugging(parts, callId, request.flags.has('debug'));
  warn(parts, result.warnings, callId);
  await saved;
  return madeFor(callId, fromTag, ['sdp', result.sdp]);
}

export async function subscribing(
  parts: SubscriptionParts,
  request: SubscribeRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId } = request;
  const toTag = given(request.toTag) ?? newTag();
  const { result, saved } = parts.calls.signalling.subscribeRequest(request, toTag, client);
  debugging(parts, callId, request.flags.has('debug'));
  warn(parts, result.warnings, callId);
  await saved;
  const heard = [...new Set(result.sources.map(({ participant }) => participant))];
  const reply = new Map<string, NgValue>([['sdp', result.sdp]]);
  if (request.flags.has('siprec')) putLabels(reply, heard, result.sources);
  const tags = heard.map(({ tag }) => tag ?? '');
  const [only] = tags;
  if (only !== undefined && tags.length === 1) reply.set('from-tag', only);
  return reply
    .set('from-tags', tags)
    .set('to-tag', toTag)
    .set(...ok);
}

const modeOf = ({ media: { direction } }: Source): string =>
  receivesFrom(direction)
    ? sendsTo(direction)
      ? 'sendrecv'
      : 'sendonly'
    : sendsTo(direction)
      ? 'recvonly'
      : 'inactive';

/** Which section is whose, by its label (RFC 4574, RFC 7866 §7.1.1). */
function putLabels(
  reply: Map<string, NgValue>,
  heard: readonly Participant[],
  sources: readonly Source[],
): void {
  const labels = new Map<string, NgValue>();
  const tagMedias = heard.map((participant): NgDictionary => {
    const entry = new Map<string, NgValue>([['tag', participant.tag ?? '']]);
    if (participant.label !== null) entry.set('label', participant.label);
    const own = sources.filter((source) => source.participant === participant);
    const medias = own.map((source): NgDictionary => {
      const { index, type, id } = source.media;
      const mode = modeOf(source);
      const described = new Map<string, NgValue>([
        ['tag', participant.tag ?? ''],
        ['index', index],
        ['type', type],
      ]);
      if (participant.label !== null) described.set('label', participant.label);
      labels.set(String(id), described.set('mode', mode));
      return new Map<string, NgValue>([
        ['index', index],
        ['type', type],
        ['label', String(id)],
        ['mode', mode],
      ]);
    });
    return entry.set('medias', medias);
  });
  reply.set('tag-medias', tagMedias).set('media-labels', labels);
}

/** The call comes first, then what is missing of the rest (10.5 seen). */
function required(parts: SubscriptionParts, callId: string, toTag: string | null): string {
  if (parts.calls.table.call(callId) === null) {
    throw new SignallingError('unknown-call', 'Unknown call-ID');
  }
  if (toTag === null) throw new NgError('missing-key', 'No to-tag in message');
  return toTag;
}

export async function answering(
  parts: SubscriptionParts,
  request: SubscribeAnswerRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId } = request;
  const toTag = required(parts, callId, given(request.toTag));
  if (request.sdp === null || request.sdp === '') {
    throw new NgError('missing-key', 'No SDP body in message');
  }
  const body: SignallingRequest = {
    ...request,
    sdp: request.sdp,
    fromTag: request.fromTag ?? '',
  };
  const { result, saved } = parts.calls.signalling.subscribeAnswer(body, toTag, client);
  debugging(parts, callId, request.flags.has('debug'));
  warn(parts, result.warnings, callId);
  await saved;
  return new Map([ok]);
}

export async function unsubscribing(
  parts: SubscriptionParts,
  request: UnsubscribeRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const toTag = required(parts, request.callId, given(request.toTag));
  const { saved } = parts.calls.signalling.unsubscribe(request, toTag, client);
  debugging(parts, request.callId, request.flags.has('debug'));
  await saved;
  return new Map([ok]);
}

function need(value: string | null, name: string): string {
  if (value === null) throw new NgError('missing-key', `No ${name} in message`);
  return value;
}

export async function connecting(
  parts: SubscriptionParts,
  request: ConnectRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId, toCallId, flags, fromTags } = request;
  const sources = fromTags.length > 0 ? fromTags : [need(request.fromTag, 'from-tag')];
  const to = [need(request.toTag, 'to-tag')];
  const options = {
    directional: flags.has('directional'),
    bidirectional: flags.has('bidirectional'),
    unsubscribe: false,
    unknown: { from: 'From-tag not found', to: 'To-tag not found' },
    unknownCall: 'Unknown call-ID',
    failure: 'Failed to merge two calls into one',
  };
  const connections = sources.map((from) => ({ from, to }));
  const joining: Joining = {
    command: 'connect',
    callIds: toCallId === null ? [callId] : [callId, toCallId],
  };
  const change = { ...joining, flags };
  const { saved } = parts.calls.signalling.connect(change, connections, options, client);
  await saved;
  return new Map([ok]);
}

export async function meshing(
  parts: SubscriptionParts,
  request: MeshRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const { calls, meshTags, flags } = request;
  const [callId, ...others] = [...new Set(calls)];
  if (callId === undefined) throw new NgError('rejected', 'Unknown call ID(s)');
  const options = {
    directional: true,
    bidirectional: flags.has('bidirectional'),
    unsubscribe: flags.has('unsubscribe'),
    unknown: { from: 'Given from-tag not found', to: 'Given to-tag not found' },
    unknownCall: 'Unknown call ID(s)',
    failure: 'Failed to merge calls',
  };
  const joining: Joining = { command: 'mesh', callIds: [callId, ...others] };
  const change = { ...joining, flags };
  const { saved } = parts.calls.signalling.connect(change, meshTags, options, client);
  await saved;
  return new Map([ok]);
}

/** Of a `create` that names none. */
const usualCodecs: readonly string[] = ['PCMA', 'PCMU'];

export async function creating(
  parts: SubscriptionParts,
  request: CreateRequest & { readonly callId: string },
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId } = request;
  const fromTag = request.fromTag ?? newTag();
  const offered = request.edits?.codecs?.offer ?? [];
  const codecs = offered.length > 0 ? offered : usualCodecs;
  const wanted =
    request.wantedMedia.length === 0
      ? [{ type: 'audio', codecs }]
      : request.wantedMedia.map((each) => (each.codecs.length > 0 ? each : { ...each, codecs }));
  const body: SignallingRequest = { ...request, fromTag, sdp: '', edits: null };
  const { result, saved } = parts.calls.signalling.create(body, wanted, client);
  warn(parts, result.warnings, callId);
  await saved;
  return madeFor(callId, fromTag, ['sdp', result.sdp]);
}

export async function createAnswering(
  parts: SubscriptionParts,
  request: CreateAnswerRequest,
  client: ControlClient,
): Promise<NgDictionary> {
  const { result, saved } = parts.calls.signalling.createAnswer(request, client);
  warn(parts, result.warnings, request.callId);
  await saved;
  return new Map([ok]);
}

export async function transforming(
  parts: SubscriptionParts,
  request: TransformRequest & { readonly callId: string },
  client: ControlClient,
): Promise<NgDictionary> {
  const { callId, transformMedias, instance } = request;
  const { signalling } = parts.calls;
  if (instance === signalling.instanceId) {
    throw new NgError('rejected', 'Transform loop detected');
  }
  if (transformMedias === null) throw new NgError('rejected', 'Failed to set up transform');
  const fromTag = request.fromTag ?? newTag();
  const body: SignallingRequest = { ...request, fromTag, sdp: '' };
  const { result, saved } = signalling.transform(body, transformMedias, client);
  warn(parts, result.warnings, callId);
  await saved;
  const media = result.medias.map(({ id, local }): NgDictionary => {
    const family = local.address.includes(':') ? 'IP6' : 'IP4';
    return new Map<string, NgValue>([
      ['id', id],
      ['family', family],
      ['address', local.address],
      ['port', local.port],
    ]);
  });
  return madeFor(callId, fromTag, ['media', media]);
}

/** Nobody is there to forward to; as with rtpengine without its recording daemon (10.5 seen) that is no error. */
export async function forwarding(
  { calls }: SubscriptionParts,
  request: ForwardingRequest,
): Promise<NgDictionary> {
  const state = calls.table.call(request.callId);
  if (state === null) throw new SignallingError('unknown-call', 'Unknown call-ID');
  selectedParticipant(state, request);
  await calls.signalling.label(state, request, request.setLabel);
  return new Map([ok]);
}

/**
 * There is nothing that makes sound: what is asked is refused as by rtpengine where it cannot do it, once
 * all that rtpengine looks at before has been found right (10.5 seen).
 */
export async function refusingSound(
  { calls }: SubscriptionParts,
  request: SoundRequest,
): Promise<NgDictionary> {
  const { command, callId, mediaFile, mediaBlob, mediaRow } = request;
  const state = calls.table.call(callId);
  if (state === null) throw new SignallingError('unknown-call', 'Unknown call-ID');
  const refused = (reason: string): NgError => new NgError('rejected', reason);
  if (command === 'inject start' || command === 'inject stop') {
    const source = request.sourceCallId === null ? state : calls.table.call(request.sourceCallId);
    const sourceTag = need(request.sourceTag, 'source-tag');
    const toTag = need(given(request.toTag), 'to-tag');
    if (source === null) throw refused('Unknown call-ID');
    if (!hasTag(source, sourceTag)) throw refused('Source-tag not found');
    if (!hasTag(state, toTag)) throw refused('To-tag not found');
    if (source === state && sourceTag === toTag) throw refused('Trying to inject to self');
    throw refused(`Failed to ${command.split(' ').reverse().join(' ')}`);
  }
  if (selectedParticipant(state, request) === null && !request.all)
    throw refused('No participant party specified');
  await calls.signalling.label(state, request, request.setLabel);
  if (command === 'stop media') throw refused('Not currently playing media');
  const from =
    mediaFile !== null
      ? 'file'
      : mediaBlob !== null
        ? 'blob'
        : mediaRow !== null
          ? 'database'
          : null;
  throw refused(
    from === null ? 'No media file specified' : `Failed to start media playback from ${from}`,
  );
}

const hasTag = ({ participants }: CallState, wanted: string): boolean =>
  participants.some(({ tag, aliases }) => tag === wanted || aliases.includes(wanted));
