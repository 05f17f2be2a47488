/** Offer, answer, block and silence: from a request to the call's next state. */
import type { Config } from '../../config/config.js';
import type { CallState } from '../../media/call-state.js';
import { PortAllocationError, SignallingError } from '../../media/errors.js';
import type { InterfaceTable } from '../../media/interfaces.js';
import { answer, offer, type SignallingResult } from '../../media/offer-answer.js';
import { PortReservation, type PortPool } from '../../media/port-pool.js';
import type { PortFailure } from '../../media/relay.js';
import { describeRestriction, restricted, type Restriction } from '../../media/restriction.js';
import type { SignallingContext, SignallingRequest } from '../../media/signalling.js';
import { tooLong } from '../../ng-protocol/errors.js';
import type { Log } from '../../observe/log.js';
import { CommitError, type CallTable } from './call-table.js';

export interface SignallingOptions {
  readonly table: CallTable;
  readonly pool: PortPool;
  readonly interfaces: InterfaceTable;
  readonly log: Log;
  readonly config: Config;
  /** Value of the loop-protection mark. */
  readonly instanceId: string;
  /** Makes a foreign call this node's own. */
  readonly takeOver: (callId: string, cause: string) => Promise<void>;
}

export interface ControlClient {
  /** `ip:port` and `ip`. */
  readonly client: string;
  readonly address: string;
  /** Whether the reply can carry this body; if not, nothing changes. */
  readonly accepts: (sdp: string) => boolean;
}

/** What has become of a command. */
export interface Signalled {
  readonly result: SignallingResult;
  /** Resolves once the store has the call (bounded). */
  readonly saved: Promise<unknown>;
}

/** A port that another program holds is passed over at most this often for one command. */
const maxPortRetries = 16;

/** Thread: control. */
export class CallSignalling {
  readonly #options: SignallingOptions;

  constructor(options: SignallingOptions) {
    this.#options = options;
  }

  /** Offer or answer. @throws SignallingError; nothing has changed then. */
  signal(kind: 'offer' | 'answer', request: SignallingRequest, client: ControlClient): Signalled {
    const { table, log } = this.#options;
    const { callId } = request;
    const previous = table.call(callId);
    if (previous === null && kind === 'offer') log.notice('core', 'Creating new call', callId);
    const signalled = this.#negotiate(kind, previous, request, client);
    const { state } = signalled.result;
    if (state === null) return signalled;
    table.touch(state);
    if (!this.#takesOver(previous)) return signalled;
    return { result: signalled.result, saved: this.#options.takeOver(callId, `'${kind}'`) };
  }

  /**
   * Block and silence commands. Resolves once the store has the call (bounded).
   * @throws SignallingError; nothing has changed then.
   */
  restrict(callId: string, restriction: Restriction): Promise<unknown> {
    const { table, log, takeOver } = this.#options;
    const state = table.call(callId);
    if (state === null) throw new SignallingError('unknown-call', 'Unknown call-ID');
    log.info('core', describeRestriction(state, restriction), callId);
    const saved = table.commit(restricted(state, restriction), { media: 'reserved' });
    return this.#takesOver(state) ? takeOver(callId, `'${restriction.command}'`) : saved;
  }

  #takesOver(state: CallState | null): boolean {
    return state?.ownership === 'foreign' && this.#options.config.redis?.activeSwitchover === true;
  }

  /** The model, then the relay; a port held by another program costs another turn. */
  #negotiate(
    kind: 'offer' | 'answer',
    previous: CallState | null,
    request: SignallingRequest,
    client: ControlClient,
  ): Signalled {
    const { table, pool } = this.#options;
    const model = kind === 'offer' ? offer : answer;
    const nowMicros = table.now();
    for (let attempt = 0; ; attempt++) {
      const ports = new PortReservation(pool);
      try {
        const result = model(previous, request, this.#contextOf(client, ports, nowMicros));
        const { sdp, state } = result;
        if (sdp !== null && !client.accepts(sdp)) {
          throw new SignallingError('reply-too-long', tooLong);
        }
        if (state === null) return { result, saved: Promise.resolve() };
        const save = !request.flags.has('no-redis-update');
        return { result, saved: table.commit(state, { media: 'reserved', save }) };
      } catch (error) {
        ports.rollback();
        if (!(error instanceof CommitError)) {
          this.#logExhausted(error, request.callId, previous === null);
          throw error;
        }
        this.#retryWithout(error.failures, attempt, request.callId);
      }
    }
  }

  #contextOf(
    { client, address }: ControlClient,
    ports: PortReservation,
    nowMicros: number,
  ): SignallingContext {
    const { interfaces, config, instanceId } = this.#options;
    const { media, control, redis } = config;
    return {
      nowMicros,
      controlClient: client,
      controlAddress: address,
      interfaces,
      ports,
      instanceId,
      endpointLearning: media.endpointLearning,
      tos: media.tos,
      sipSource: control.sipSource,
      rejectInvalidSdp: control.rejectInvalidSdp,
      redisHostedDb: redis?.write.database ?? 0,
    };
  }

  #logExhausted(error: unknown, callId: string, isNewCall: boolean): void {
    if (!(error instanceof SignallingError && error.cause instanceof PortAllocationError)) return;
    const { log } = this.#options;
    log.error('core', error.cause.message, callId);
    log.error('core', 'Error allocating media ports', callId);
    if (isNewCall) log.error('core', 'Destroying call', callId);
  }

  /** @throws SignallingError when trying other ports is of no use. */
  #retryWithout(failures: readonly PortFailure[], attempt: number, callId: string): void {
    const { pool, log } = this.#options;
    let retry = attempt < maxPortRetries;
    for (const failure of failures) {
      if (failure.cause === 'port-busy') {
        pool.markBusy(failure.localAddress, failure.localPort);
        continue;
      }
      retry = false;
      log.error(
        'core',
        `Failed to open ${failure.localAddress}:${failure.localPort}: ${failure.errno}`,
        callId,
      );
    }
    if (retry) return;
    log.error('core', 'Error allocating media ports', callId);
    throw new SignallingError('out-of-ports', 'Ran out of ports');
  }
}
