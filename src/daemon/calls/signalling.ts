/** Offer, answer, block and silence: from a request to the call's next state. */
import type { Config } from '../../config/config.js';
import type { CallState } from '../../media/call-state.js';
import { PortAllocationError, SignallingError } from '../../media/errors.js';
import type { InterfaceTable } from '../../media/interfaces.js';
import type { DtlsIdentity } from '../../media/media-attributes.js';
import { answer, offer, type SignallingResult } from '../../media/offer-answer.js';
import { PortReservation, type PortPool } from '../../media/port-pool.js';
import type { CallStatistics, PortFailure } from '../../media/relay.js';
import {
  describeRestriction,
  labelled,
  restricted,
  type Restriction,
} from '../../media/restriction.js';
import type { Selection } from '../../media/selection.js';
import type { SignallingContext, SignallingRequest } from '../../media/signalling.js';
import {
  connect,
  type ConnectOptions,
  type Connection,
} from '../../media/subscriptions/connect.js';
import { create, createAnswer, type WantedMedia } from '../../media/subscriptions/create.js';
import { publish, type Published } from '../../media/subscriptions/publish.js';
import type { Subscribing } from '../../media/subscriptions/sources.js';
import { transform, type Transformed } from '../../media/subscriptions/transform.js';
import {
  subscribeAnswer,
  subscribeRequest,
  unsubscribe,
  type OfferedSubscription,
  type SubscriptionResult,
} from '../../media/subscriptions/subscribe.js';
import type { TransformMedia } from '../../ng-protocol/commands.js';
import { tooLong } from '../../ng-protocol/errors.js';
import type { Log } from '../../observe/log.js';
import { CommitError, type CallTable } from './call-table.js';
import { mergedCalls, type MergeWords } from './merging.js';

export interface SignallingOptions {
  readonly table: CallTable;
  readonly pool: PortPool;
  readonly interfaces: InterfaceTable;
  readonly log: Log;
  readonly config: Config;
  /** Value of the loop-protection mark. */
  readonly instanceId: string;
  /** Session name of bodies that are made here. */
  readonly softwareId: string;
  /** The certificate of new DTLS associations. @throws Error: none can be made */
  readonly dtlsIdentity: () => DtlsIdentity;
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

/** What the model makes of a command. */
interface ModelResult {
  /** null: nothing was taken in. */
  readonly state: CallState | null;
  readonly sdp?: string | null;
}

/** A command and the call that it changes. */
interface Change {
  readonly command: string;
  readonly callId: string;
  readonly previous: CallState | null;
  readonly flags: SignallingRequest['flags'];
  /** Calls that are part of `previous` and of its next state. */
  readonly absorbs?: readonly CallState[];
}

/** A command that joins participants, and the calls they are in. */
export interface Joining {
  readonly command: string;
  readonly callIds: readonly [string, ...string[]];
}

/** What has become of a command. */
export interface Signalled<Result = SignallingResult> {
  readonly result: Result;
  /** Resolves once the store has the call (bounded). */
  readonly saved: Promise<unknown>;
}

/**
 * Ports that another program holds are passed over at most this often for one command: rtpengine that is being drained
 * beside this process may hold half of the range.
 */
const maxPortRetries = 128;

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
    const model = kind === 'offer' ? offer : answer;
    const change = { command: kind, callId, previous, flags: request.flags };
    return this.#negotiate(change, client, (context) => model(previous, request, context));
  }

  /** A body that is answered here. @throws SignallingError; nothing has changed then. */
  publish(request: SignallingRequest, client: ControlClient): Signalled<Published> {
    const { table, log } = this.#options;
    const { callId, flags } = request;
    const previous = table.call(callId);
    if (previous === null) log.notice('core', 'Creating new call', callId);
    const change = { command: 'publish', callId, previous, flags };
    return this.#negotiate(change, client, (context) => publish(previous, request, context));
  }

  /** Offers somebody what others send. @throws SignallingError; nothing has changed then. */
  subscribeRequest(
    request: Subscribing,
    toTag: string,
    client: ControlClient,
  ): Signalled<OfferedSubscription> {
    const previous = this.#known(request.callId, 'Unknown call-ID(s)');
    const change = { command: 'subscribe request', previous, ...request };
    return this.#negotiate(change, client, (context) =>
      subscribeRequest(previous, request, toTag, context),
    );
  }

  /** @throws SignallingError; nothing has changed then. */
  subscribeAnswer(
    request: SignallingRequest,
    toTag: string,
    client: ControlClient,
  ): Signalled<SubscriptionResult> {
    const previous = this.#known(request.callId, 'Unknown call-ID');
    const change = { command: 'subscribe answer', previous, ...request };
    return this.#negotiate(change, client, (context) =>
      subscribeAnswer(previous, request, toTag, context),
    );
  }

  /** @throws SignallingError; nothing has changed then. */
  unsubscribe(
    request: Pick<SignallingRequest, 'callId' | 'flags'>,
    toTag: string,
    client: ControlClient,
  ): Signalled<SubscriptionResult> {
    const previous = this.#known(request.callId, 'Unknown call-ID');
    const change = { command: 'unsubscribe', previous, ...request };
    return this.#negotiate(change, client, ({ nowMicros }) =>
      unsubscribe(previous, toTag, nowMicros),
    );
  }

  /**
   * Joins participants of a call, or of several that become one. @throws SignallingError; nothing has changed then.
   */
  connect(
    request: Pick<SignallingRequest, 'flags'> & Joining,
    connections: readonly Connection[],
    options: ConnectOptions & MergeWords & { readonly unknownCall: string },
    client: ControlClient,
  ): Signalled<SubscriptionResult> {
    const { table, log } = this.#options;
    const [callId, ...others] = request.callIds;
    const first = this.#known(callId, options.unknownCall);
    const absorbs = [...new Set(others.map((id) => this.#known(id, options.unknownCall)))].filter(
      (state) => state !== first,
    );
    const statisticsOf = (id: string): CallStatistics => table.statisticsOf(id);
    const previous = mergedCalls([first, ...absorbs], statisticsOf, options);
    const change = { command: request.command, callId: first.callId, previous, absorbs };
    const signalled = this.#negotiate(
      { ...change, flags: request.flags },
      client,
      ({ nowMicros }) => connect(previous, connections, options, nowMicros),
    );
    for (const { callId: gone } of absorbs) {
      log.notice('core', `Call is part of '${first.callId}' from now on`, gone);
    }
    return signalled;
  }

  /** Offers somebody what nobody has sent. @throws SignallingError; nothing has changed then. */
  create(
    request: SignallingRequest,
    wanted: readonly WantedMedia[],
    client: ControlClient,
  ): Signalled<Published> {
    const { table, log } = this.#options;
    const { callId, flags } = request;
    const previous = table.call(callId);
    if (previous === null) log.notice('core', 'Creating new call', callId);
    const change = { command: 'create', callId, previous, flags };
    return this.#negotiate(change, client, (context) => create(previous, request, wanted, context));
  }

  /** Media that is sent back elsewhere. @throws SignallingError; nothing has changed then. */
  transform(
    request: SignallingRequest,
    wanted: readonly TransformMedia[],
    client: ControlClient,
  ): Signalled<Transformed> {
    const { table, log } = this.#options;
    const { callId, flags } = request;
    const previous = table.call(callId);
    if (previous === null) log.notice('core', 'Creating new call', callId);
    const change = { command: 'transform', callId, previous, flags };
    return this.#negotiate(change, client, (context) =>
      transform(previous, request, wanted, context),
    );
  }

  /** The loop-protection mark of this process. */
  get instanceId(): string {
    return this.#options.instanceId;
  }

  /** @throws SignallingError; nothing has changed then. */
  createAnswer(request: SignallingRequest, client: ControlClient): Signalled<SubscriptionResult> {
    const previous = this.#known(request.callId, 'unknown call-ID');
    const change = { command: 'create answer', previous, ...request };
    return this.#negotiate(change, client, (context) => createAnswer(previous, request, context));
  }

  /** @throws SignallingError */
  #known(callId: string, unknown: string): CallState {
    const state = this.#options.table.call(callId);
    if (state === null) throw new SignallingError('unknown-call', unknown);
    return state;
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

  /**
   * `set-label` of a command that changes nothing else; of one that is refused then, too (10.5 and 12.5 seen).
   * @throws SignallingError
   */
  async label(state: CallState, selection: Selection, label: string | null): Promise<void> {
    const { table } = this.#options;
    const changed = label === null ? state : labelled(state, selection, label);
    if (changed !== state) await table.commit(changed, { media: 'known' });
  }

  #takesOver(state: CallState | null): boolean {
    return state?.ownership === 'foreign' && this.#options.config.redis?.activeSwitchover === true;
  }

  #negotiate<Result extends ModelResult>(
    change: Change,
    client: ControlClient,
    model: (context: SignallingContext) => Result,
  ): Signalled<Result> {
    const signalled = this.#commit(change, client, model);
    const { state } = signalled.result;
    if (state === null) return signalled;
    const { table, takeOver } = this.#options;
    table.touch(state);
    if (!this.#takesOver(change.previous)) return signalled;
    return { ...signalled, saved: takeOver(change.callId, `'${change.command}'`) };
  }

  /** The model, then the relay; a port held by another program costs another turn. */
  #commit<Result extends ModelResult>(
    { callId, previous, flags, absorbs = [] }: Change,
    client: ControlClient,
    model: (context: SignallingContext) => Result,
  ): Signalled<Result> {
    const { table, pool } = this.#options;
    const nowMicros = table.now();
    for (let attempt = 0; ; attempt++) {
      const ports = new PortReservation(pool);
      try {
        const result = model(this.#contextOf(client, ports, nowMicros));
        const { sdp = null, state } = result;
        if (sdp !== null && !client.accepts(sdp)) {
          throw new SignallingError('reply-too-long', tooLong);
        }
        if (state === null) return { result, saved: Promise.resolve() };
        const save = !flags.has('no-redis-update');
        return { result, saved: table.commit(state, { media: 'reserved', save, absorbs }) };
      } catch (error) {
        ports.rollback();
        if (!(error instanceof CommitError)) {
          this.#logExhausted(error, callId, previous === null);
          throw error;
        }
        this.#retryWithout(error.failures, attempt, callId);
      }
    }
  }

  #contextOf(
    { client, address }: ControlClient,
    ports: PortReservation,
    nowMicros: number,
  ): SignallingContext {
    const { interfaces, config, instanceId, softwareId } = this.#options;
    const { media, control, redis } = config;
    return {
      nowMicros,
      controlClient: client,
      controlAddress: address,
      interfaces,
      ports,
      instanceId,
      softwareId,
      endpointLearning: media.endpointLearning,
      tos: media.tos,
      sipSource: control.sipSource,
      rejectInvalidSdp: control.rejectInvalidSdp,
      redisHostedDb: redis?.write.database ?? 0,
      dtlsIdentity: this.#options.dtlsIdentity,
      dtlsPassive: media.dtlsPassive,
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
