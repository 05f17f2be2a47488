/** What is said and counted of NG messages: rtpengine's log lines (ng-protocol.md §2). */
import { isCommandName } from '../ng-protocol/commands.js';
import type { NgDictionary } from '../ng-protocol/dictionary.js';
import { formatSource, type NgObserver } from '../ng-protocol/endpoint.js';
import { isUnmatched } from '../ng-protocol/errors.js';
import type { Counters } from '../observe/counters.js';
import { dumpText, withoutKeys } from '../observe/dump.js';
import type { Log } from '../observe/log.js';
import type { MalformedLog } from '../observe/malformed-log.js';
import { NotesSaid } from './note-log.js';

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
