/** `play DTMF` (ng-protocol.md §3.12) -> the call table -> reply. */
import type { Config } from '../config/config.js';
import { SignallingError } from '../media/errors.js';
import { selectedParticipant } from '../media/selection.js';
import type { PlayDtmfRequest } from '../ng-protocol/commands.js';
import type { NgDictionary } from '../ng-protocol/dictionary.js';
import { NgError } from '../ng-protocol/errors.js';
import type { CallService } from './calls/call-service.js';

/** In the order in which rtpengine finds what is wrong (10.5 seen). @throws SignallingError, NgError */
export async function dialling(
  { calls, config }: { readonly calls: CallService; readonly config: Config },
  request: PlayDtmfRequest,
): Promise<NgDictionary> {
  const { callId, digit } = request;
  let state = calls.table.call(callId);
  if (state === null) throw new SignallingError('unknown-call', 'Unknown call-ID');
  if (selectedParticipant(state, request) === null && !request.all)
    throw new NgError('rejected', 'No participant party specified');
  await calls.signalling.label(state, request, request.setLabel);
  state = calls.table.call(callId) ?? state;
  if (digit === null) throw new NgError('rejected', "Out of range 'code' specified");
  calls.table.dial(state, {
    ...request,
    digit,
    durationMs: request.digitDurationMs,
    pauseMs: request.digitPauseMs,
    volume: request.digitVolume,
    told: config.telemetry.tellsOwnDigits,
  });
  return new Map([['result', 'ok']]);
}
