/** NG commands -> the call service -> reply dictionaries (ng-protocol.md §3). */
import type { Config, LimitConfig } from '../config/config.js';
import { SignallingError, type SignallingErrorCode } from '../media/errors.js';
import type {
  DeleteRequest,
  ForwardingRequest,
  ListRequest,
  NgRequest,
  OfferAnswerRequest,
  QueryRequest,
  RecordingRequest,
  RestrictionRequest,
  SoundRequest,
} from '../ng-protocol/commands.js';
import { Members, type NgDictionary, type NgValue } from '../ng-protocol/dictionary.js';
import { formatSource, type FitsReply, type NgSource } from '../ng-protocol/endpoint.js';
import { NgError, unmatched } from '../ng-protocol/errors.js';
import type { Counters } from '../observe/counters.js';
import type { Log } from '../observe/log.js';
import { callDictionary, type QueryOptions } from '../observe/query-reply.js';
import { statisticsDictionary, type ReadGauges } from '../observe/statistics.js';
import { committed } from '../redis-store/store.js';
import { SdpError } from '../sdp/types.js';
import type { CallService } from './calls/call-service.js';
import type { ControlClient } from './calls/signalling.js';
import {
  answering,
  connecting,
  createAnswering,
  creating,
  forwarding,
  meshing,
  newTag,
  publishing,
  refusingSound,
  subscribing,
  transforming,
  unsubscribing,
} from './ng-subscriptions.js';
import { dialling } from './ng-dial.js';
import type { LoadGuard, LoadRefusal } from './load-guard.js';

export interface NgHandlerParts {
  readonly calls: CallService;
  readonly counters: Counters;
  readonly log: Log;
  readonly config: Config;
  readonly limits: LimitConfig;
  readonly gauges: ReadGauges;
  readonly load: LoadGuard;
  readonly draining: () => boolean;
  /** What a command has to wait for: its call may still be on its way from Redis; null: nothing. */
  readonly waitsFor?: (request: NgRequest, bytes: number) => Promise<void> | null;
  /** Runs a line of the operator's. */
  readonly cli: (line: string) => Promise<string>;
  /** As they are configured now. */
  readonly templates: () => ReadonlyMap<string, string>;
  /**
   * As many as there are media ports. A call with media needs two; without any (all sections refused, no
   * body) it costs memory, and who may send those is not limited by ports.
   */
  readonly maxCalls: () => number;
}

const ok: readonly [string, NgValue] = ['result', 'ok'];

/** Runs one parsed command. @throws NgError */
export function handleNg(
  parts: NgHandlerParts,
  request: NgRequest,
  source: NgSource,
  fits: FitsReply,
  bytes: number,
): NgDictionary | Promise<NgDictionary> {
  const waiting = parts.waitsFor?.(request, bytes) ?? null;
  const answer = (): NgDictionary | Promise<NgDictionary> =>
    run(parts, aboutTheCall(parts, request), { source, fits });
  return waiting === null ? answer() : waiting.then(answer);
}

/** The request with the id under which its call is kept: it may have been merged into another one. */
function aboutTheCall({ calls: { table } }: NgHandlerParts, request: NgRequest): NgRequest {
  if (!('callId' in request) || request.callId === null) return request;
  const callId = table.nameOf(request.callId);
  return callId === request.callId ? request : { ...request, callId };
}

/** From whom a command came, and which replies fit into his datagram. */
interface Caller {
  readonly source: NgSource;
  readonly fits: FitsReply;
}

type RequestOf<Command, Request = NgRequest> = Request extends { readonly command: infer Known }
  ? Command extends Known
    ? Request
    : never
  : never;

type Handler<Request> = (
  parts: NgHandlerParts,
  request: Request,
  caller: Caller,
) => NgDictionary | Promise<NgDictionary>;

/** A command about subscriptions in a call that is there already. */
const subscription =
  <Request extends { readonly callId: string }>(
    run: (parts: NgHandlerParts, request: Request, client: ControlClient) => Promise<NgDictionary>,
  ): Handler<Request> =>
  (parts, request, caller) =>
    signalled(parts, request.callId, () => run(parts, request, clientOf(caller)));

/** A command that makes the call it names, or one of a name of ours where it names none. */
const making =
  <Request extends { readonly callId: string | null; readonly supportsLoadLimit: boolean }>(
    run: (
      parts: NgHandlerParts,
      request: Request & { readonly callId: string },
      client: ControlClient,
    ) => Promise<NgDictionary>,
  ): Handler<Request> =>
  (parts, request, caller) => {
    const callId = request.callId ?? newTag();
    const named = { ...request, callId };
    return (
      refusalOf(parts, named) ?? signalled(parts, callId, () => run(parts, named, clientOf(caller)))
    );
  };

const forward: Handler<ForwardingRequest> = (parts, request) =>
  signalled(parts, request.callId, () => forwarding(parts, request));

const refuseSound: Handler<SoundRequest> = (parts, request) =>
  signalled(parts, request.callId, () => refusingSound(parts, request));

/** What each command does. */
const handlers: { readonly [Command in NgRequest['command']]: Handler<RequestOf<Command>> } = {
  ping: () => new Map([['result', 'pong']]),
  offer: signal,
  answer: signal,
  delete: remove,
  'block media': restrict,
  'unblock media': restrict,
  'block DTMF': restrict,
  'unblock DTMF': restrict,
  'silence media': restrict,
  'unsilence media': restrict,
  publish: making(publishing),
  'subscribe request': subscription(subscribing),
  'subscribe answer': subscription(answering),
  unsubscribe: subscription(unsubscribing),
  connect: subscription(connecting),
  mesh: (parts, request, caller) =>
    signalled(parts, request.calls[0] ?? '', () => meshing(parts, request, clientOf(caller))),
  create: making(creating),
  'create answer': subscription(createAnswering),
  transform: making(transforming),
  'start forwarding': forward,
  'stop forwarding': forward,
  'start recording': record,
  'stop recording': record,
  'pause recording': record,
  'play media': refuseSound,
  'stop media': refuseSound,
  'inject start': refuseSound,
  'inject stop': refuseSound,
  'play DTMF': (parts, request) => signalled(parts, request.callId, () => dialling(parts, request)),
  cli: (parts, { line }) =>
    parts.cli(line).then((response) => new Map<string, NgValue>([['response', response], ok])),
  query,
  list,
  statistics: ({ counters, gauges }) =>
    new Map<string, NgValue>([['statistics', statisticsDictionary(counters, gauges())], ok]),
};

function run(
  parts: NgHandlerParts,
  request: NgRequest,
  caller: Caller,
): NgDictionary | Promise<NgDictionary> {
  // The table's own type says that each handler takes the request of its name.
  const handler = handlers[request.command] as Handler<NgRequest>;
  return handler(parts, request, caller);
}

function record({ calls, config }: NgHandlerParts, { callId }: RecordingRequest): NgDictionary {
  if (calls.table.call(callId) === null) throw new NgError('rejected', 'Unknown call-id');
  // Whoever has named a folder for it counts on it.
  if (config.media.recordingDir !== null) {
    throw new NgError('command-not-supported', 'Unrecognized command');
  }
  return new Map([ok]);
}

function query(parts: NgHandlerParts, request: QueryRequest): NgDictionary {
  const { calls } = parts;
  const state = calls.table.call(request.callId);
  if (state === null) throw new NgError('rejected', 'Unknown call-id');
  const shown = calls.inWallTime(state, calls.table.statisticsOf(request.callId));
  // Where both are given the other side is meant (10.5 and 12.5 seen).
  const options = queryOptions(parts, request.callId, request.toTag ?? request.fromTag);
  return callDictionary(shown.state, shown.statistics, options).add(...ok);
}

function list(
  { calls: { table } }: NgHandlerParts,
  request: ListRequest,
  { fits }: Caller,
): NgDictionary {
  const calls: string[] = [];
  const reply = new Map<string, NgValue>([['calls', calls], ok]);
  let looksAt = manyIds;
  for (const callId of table.calls.keys()) {
    if (calls.length >= request.limit) break;
    calls.push(callId);
    if (calls.length < looksAt) continue;
    // What comes after those would be left out.
    if (!fits(reply)) break;
    looksAt *= 2;
  }
  return reply;
}

/** With so many call-ids the reply to `list` is looked at whether it still fits. */
const manyIds = 1024;

function queryOptions(
  { calls, config }: NgHandlerParts,
  callId: string,
  tag: QueryOptions['tag'],
): QueryOptions {
  return {
    tag,
    localAddressOf: calls.table.localAddressOf,
    storedMicros: calls.storedMicros(callId),
    ssrcReporting: config.media.ssrcReporting,
  };
}

const drainRefusal: LoadRefusal = {
  message: 'Draining, no new calls',
  logText: 'New call refused: draining',
  logLevel: 'error',
};

const fullRefusal: LoadRefusal = {
  message: 'Parallel session limit reached',
  logText: 'New call refused: there are as many calls as media ports',
  logLevel: 'error',
};

/** The answer to a command that would make a new call, when there is to be none; null: there may be. @throws NgError */
function refusalOf(
  { calls, load, counters, log, draining, maxCalls }: NgHandlerParts,
  request: { readonly callId: string; readonly supportsLoadLimit: boolean },
): NgDictionary | null {
  if (calls.table.call(request.callId) !== null) return null;
  const refusal = draining()
    ? drainRefusal
    : calls.table.ownCount >= maxCalls()
      ? fullRefusal
      : load.refusal(calls.table.ownCount);
  if (refusal === null) return null;
  counters.rejectedSessions += 1;
  log[refusal.logLevel]('core', refusal.logText, request.callId);
  if (!request.supportsLoadLimit) throw new NgError('rejected', 'Parallel session limit reached');
  return new Map([
    ['result', 'load limit'],
    ['message', refusal.message],
  ]);
}

const clientOf = ({ source, fits }: Caller): ControlClient => ({
  client: formatSource(source),
  address: source.address,
  // A shorter one always fits, JSON's escapes and the other keys included.
  accepts: (sdp) => sdp.length < 16_384 || fits(new Map([['sdp', sdp], ok])),
});

/** Errors whose cause is for the operator alone. */
const loggedCodes: ReadonlySet<SignallingErrorCode> = new Set<SignallingErrorCode>([
  ...(['not-readable', 'refused-answer', 'not-possible'] as const),
]);

/** Says in the log what was wrong with a body, and why somebody cannot be subscribed. */
function rejected({ log }: Pick<NgHandlerParts, 'log'>, callId: string, error: unknown): unknown {
  if (!(error instanceof SignallingError)) return error;
  const { cause, code } = error;
  if (cause instanceof SdpError) {
    const what =
      cause.offset < 0
        ? 'Failed to extract streams from SDP'
        : `Error parsing SDP at offset ${cause.offset}`;
    log.warning('core', `${what}: ${cause.message}`, callId);
  } else if (cause instanceof Error && loggedCodes.has(code)) {
    log.error('control', `${error.message}: ${cause.message}`, callId);
  }
  return new NgError('rejected', error.message, { cause: error });
}

async function signalled(
  parts: NgHandlerParts,
  callId: string,
  run: () => Promise<NgDictionary>,
): Promise<NgDictionary> {
  try {
    return await run();
  } catch (error) {
    throw rejected(parts, callId, error);
  }
}

function signal(
  parts: NgHandlerParts,
  request: OfferAnswerRequest,
  caller: Caller,
): NgDictionary | Promise<NgDictionary> {
  const { calls, counters, log } = parts;
  const refusal = request.command === 'offer' ? refusalOf(parts, request) : null;
  if (refusal !== null) return refusal;
  try {
    const client = clientOf(caller);
    const { result, saved } = calls.signalling.signal(request.command, request, client);
    if (request.flags.has('debug') && calls.table.call(request.callId) !== null)
      log.setCallDebug(request.callId, true);
    for (const warning of result.warnings) log.warning('control', warning, request.callId);
    const reply = new Map<string, NgValue>();
    if (result.sdp !== null) reply.set('sdp', result.sdp);
    reply.set(...ok);
    if (saved === committed) {
      counters.commits.add(calls.table.takeWaitedSeconds());
      return reply;
    }
    const began = performance.now();
    return saved.then(() => {
      counters.commits.add((performance.now() - began) / 1000);
      return reply;
    });
  } catch (error) {
    throw rejected(parts, request.callId, error);
  }
}

async function restrict(
  { calls, log }: NgHandlerParts,
  request: RestrictionRequest,
): Promise<NgDictionary> {
  try {
    await calls.signalling.restrict(request.callId, request);
    if (request.flags.has('debug')) log.setCallDebug(request.callId, true);
    return new Map([ok]);
  } catch (error) {
    if (!(error instanceof SignallingError)) throw error;
    throw new NgError('rejected', error.message, { cause: error });
  }
}

function remove(
  parts: NgHandlerParts,
  request: DeleteRequest,
): NgDictionary | Promise<NgDictionary> {
  const { calls, limits, log } = parts;
  if (request.flags.has('debug') && calls.table.call(request.callId) !== null)
    log.setCallDebug(request.callId, true);
  const delay = request.deleteDelaySeconds ?? limits.deleteDelaySeconds;
  const options = queryOptions(parts, request.callId, null);
  const deleted = calls.ending.delete(request.callId, request, Math.max(0, delay));
  if (deleted === null) {
    if (request.flags.has('fatal')) throw new NgError('rejected', unmatched);
    return new Map<string, NgValue>([['warning', unmatched], ok]);
  }
  const shown = calls.inWallTime(deleted.state, deleted.statistics);
  // 10.5 gives none without a from-tag; OpenSIPS never sends one and reads them.
  const tag = request.fromTag === null || request.fromTag === '' ? null : request.fromTag;
  const chosen = tag === null ? null : (request.toTag ?? tag);
  const reply = request.flags.has('fast')
    ? new Members()
    : callDictionary(shown.state, shown.statistics, { ...options, tag: chosen });
  reply.add(...ok);
  return deleted.saved === committed ? reply : deleted.saved.then(() => reply);
}
