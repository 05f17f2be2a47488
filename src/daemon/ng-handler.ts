/** NG commands -> the call service -> reply dictionaries (ng-protocol.md §3), and their log lines. */
import type { Config, LimitConfig } from '../config/config.js';
import { SignallingError, type SignallingErrorCode } from '../media/errors.js';
import {
  isCommandName,
  type DeleteRequest,
  type NgRequest,
  type OfferAnswerRequest,
  type RestrictionRequest,
} from '../ng-protocol/commands.js';
import { Members, type NgDictionary, type NgValue } from '../ng-protocol/dictionary.js';
import {
  formatSource,
  type FitsReply,
  type NgObserver,
  type NgSource,
} from '../ng-protocol/endpoint.js';
import { isUnmatched, NgError, unmatched } from '../ng-protocol/errors.js';
import type { Counters } from '../observe/counters.js';
import { dumpText, withoutKeys } from '../observe/dump.js';
import type { Log } from '../observe/log.js';
import type { MalformedLog } from '../observe/malformed-log.js';
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
import { NotesSaid } from './note-log.js';
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
    run(parts, aboutTheCall(parts, request), source, fits);
  return waiting === null ? answer() : waiting.then(answer);
}

/** The request with the id under which its call is kept: it may have been merged into another one. */
function aboutTheCall({ calls: { table } }: NgHandlerParts, request: NgRequest): NgRequest {
  if (!('callId' in request) || request.callId === null) return request;
  const callId = table.nameOf(request.callId);
  return callId === request.callId ? request : { ...request, callId };
}

function run(
  parts: NgHandlerParts,
  request: NgRequest,
  source: NgSource,
  fits: FitsReply,
): NgDictionary | Promise<NgDictionary> {
  switch (request.command) {
    case 'ping':
      return new Map([['result', 'pong']]);
    case 'offer':
    case 'answer':
      return signal(parts, request, source, fits);
    case 'delete':
      return remove(parts, request);
    case 'block media':
    case 'unblock media':
    case 'block DTMF':
    case 'unblock DTMF':
    case 'silence media':
    case 'unsilence media':
      return restrict(parts, request);
    case 'publish': {
      const callId = request.callId ?? newTag();
      return (
        refusalOf(parts, { ...request, callId }) ??
        signalled(parts, callId, () =>
          publishing(parts, { ...request, callId }, clientOf(source, fits)),
        )
      );
    }
    case 'subscribe request':
      return signalled(parts, request.callId, () =>
        subscribing(parts, request, clientOf(source, fits)),
      );
    case 'subscribe answer':
      return signalled(parts, request.callId, () =>
        answering(parts, request, clientOf(source, fits)),
      );
    case 'unsubscribe':
      return signalled(parts, request.callId, () =>
        unsubscribing(parts, request, clientOf(source, fits)),
      );
    case 'connect':
      return signalled(parts, request.callId, () =>
        connecting(parts, request, clientOf(source, fits)),
      );
    case 'mesh':
      return signalled(parts, request.calls[0] ?? '', () =>
        meshing(parts, request, clientOf(source, fits)),
      );
    case 'create': {
      const callId = request.callId ?? newTag();
      const named = { ...request, callId };
      return (
        refusalOf(parts, named) ??
        signalled(parts, callId, () => creating(parts, named, clientOf(source, fits)))
      );
    }
    case 'transform': {
      const callId = request.callId ?? newTag();
      const named = { ...request, callId };
      return (
        refusalOf(parts, named) ??
        signalled(parts, callId, () => transforming(parts, named, clientOf(source, fits)))
      );
    }
    case 'create answer':
      return signalled(parts, request.callId, () =>
        createAnswering(parts, request, clientOf(source, fits)),
      );
    case 'start forwarding':
    case 'stop forwarding':
      return signalled(parts, request.callId, () => forwarding(parts, request));
    case 'start recording':
    case 'stop recording':
    case 'pause recording':
      if (parts.calls.table.call(request.callId) === null) {
        throw new NgError('rejected', 'Unknown call-id');
      }
      // Whoever has named a folder for it counts on it.
      if (parts.config.media.recordingDir !== null) {
        throw new NgError('command-not-supported', 'Unrecognized command');
      }
      return new Map([ok]);
    case 'play media':
    case 'stop media':
    case 'inject start':
    case 'inject stop':
      return signalled(parts, request.callId, () => refusingSound(parts, request));
    case 'play DTMF':
      return signalled(parts, request.callId, () => dialling(parts, request));
    case 'cli':
      return parts
        .cli(request.line)
        .then((response) => new Map<string, NgValue>([['response', response], ok]));
    case 'query': {
      const state = parts.calls.table.call(request.callId);
      if (state === null) throw new NgError('rejected', 'Unknown call-id');
      const shown = parts.calls.inWallTime(state, parts.calls.table.statisticsOf(request.callId));
      // Where both are given the other side is meant (10.5 and 12.5 seen).
      const options = queryOptions(parts, request.callId, request.toTag ?? request.fromTag);
      return callDictionary(shown.state, shown.statistics, options).add(...ok);
    }
    case 'list': {
      const calls: string[] = [];
      const reply = new Map<string, NgValue>([['calls', calls], ok]);
      let looksAt = manyIds;
      for (const callId of parts.calls.table.calls.keys()) {
        if (calls.length >= request.limit) break;
        calls.push(callId);
        if (calls.length < looksAt) continue;
        // What comes after those would be left out.
        if (!fits(reply)) break;
        looksAt *= 2;
      }
      return reply;
    }
    case 'statistics':
      return new Map<string, NgValue>([
        ['statistics', statisticsDictionary(parts.counters, parts.gauges())],
        ok,
      ]);
  }
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
};

const fullRefusal: LoadRefusal = {
  message: 'Parallel session limit reached',
  logText: 'New call refused: there are as many calls as media ports',
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
  log.error('control', refusal.logText, request.callId);
  if (!request.supportsLoadLimit) throw new NgError('rejected', 'Parallel session limit reached');
  return new Map([
    ['result', 'load limit'],
    ['message', refusal.message],
  ]);
}

const clientOf = (source: NgSource, fits: FitsReply): ControlClient => ({
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
    const where = cause.offset < 0 ? '' : ` at offset ${cause.offset}`;
    log.error('control', `Error parsing SDP${where}: ${cause.message}`, callId);
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
  source: NgSource,
  fits: FitsReply,
): NgDictionary | Promise<NgDictionary> {
  const { calls, counters, log } = parts;
  const refusal = request.command === 'offer' ? refusalOf(parts, request) : null;
  if (refusal !== null) return refusal;
  try {
    const client = clientOf(source, fits);
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

/** Of a command's name in a log line: it comes off the wire. */
const maxNameLength = 64;

/**
 * Writes rtpengine's log lines and counts commands.
 * @param showsKeys option log-srtp-keys.
 */
export function ngObserver(
  log: Log,
  counters: Counters,
  malformed: MalformedLog,
  showsKeys: boolean,
): NgObserver {
  const said = new NotesSaid();
  const shown = (text: string): string => (showsKeys ? text : withoutKeys(text));
  const dumped = (dictionary: NgDictionary): string => shown(dumpText(dictionary));
  return {
    received(command, source, callId, dictionary) {
      if (log.enabled(7, 'control', callId)) {
        const dump = dumped(dictionary);
        log.debug('control', `Dump for '${command}' from ${formatSource(source)}: ${dump}`, callId);
      }
      if (command === 'ping' || !log.enabled(6, 'control', callId)) return;
      if (!isCommandName(command) && !malformed.writes) return;
      if (malformed.isFlooding(source.address)) return;
      const name = command.slice(0, maxNameLength);
      log.info('control', `Received command '${name}' from ${formatSource(source)}`, callId);
    },
    replied(command, source, callId, elapsedMicros, reply) {
      if (log.enabled(7, 'control', callId)) {
        const to = formatSource(source);
        log.debug('control', `Response dump for '${command}' to ${to}: ${dumped(reply)}`, callId);
      }
      const seconds = elapsedMicros / 1e6;
      counters.commandDone(source.address, command, seconds, false);
      if (command === 'ping' || !log.enabled(6, 'control', callId)) return;
      const from = formatSource(source);
      const line = `Replying to '${command}' from ${from} (elapsed time ${seconds.toFixed(6)} sec)`;
      if (isUnmatched(reply)) malformed.unmatched(line, source.address, from, callId);
      else log.info('control', line, callId);
    },
    protocolError(error, source, raw, command, callId, elapsedMicros) {
      counters.commandDone(source.address, command ?? '', elapsedMicros / 1e6, true);
      const from = formatSource(source);
      const line = `Protocol error in packet from ${from}: ${error.message} [${shown(raw)}]`;
      if (error.isMalformed) malformed.warn(line, from, callId);
      else malformed.refused(line, source.address, from, callId);
    },
    noCookie(source, raw) {
      const from = formatSource(source);
      const line = `Received invalid data on NG port (no cookie) from ${from}: ${shown(raw)}`;
      malformed.warn(line, from, null);
    },
    duplicate(source) {
      log.info('control', `Detected command from ${formatSource(source)} as a duplicate`);
    },
    notes(request, _source, callId) {
      for (const text of request.unknown) log.warning('control', text, callId);
      const unsupported = said.unsaid(callId ?? '', request.unsupported).join(', ');
      const idle = said.unsaid(callId ?? '', request.idle).join(', ');
      if (unsupported !== '') {
        const what = 'Not supported by this version, without effect';
        log.warning('control', `${what}: ${unsupported}`, callId);
      }
      if (idle !== '') log.info('control', `Nothing to be done for: ${idle}`, callId);
    },
    internalError(error, command, source, callId) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      log.error(
        'internals',
        `Command '${command}' from ${formatSource(source)} failed: ${text}`,
        callId,
      );
      log.error('control', `Command '${command}' failed: internal error`, callId);
    },
  };
}
