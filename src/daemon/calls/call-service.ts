/** The calls of this node: puts together what changes them, and shows them to others. */
import type { Config, LimitConfig } from '../../config/config.js';
import type { CallState } from '../../media/call-state.js';
import type { DtlsIdentity } from '../../media/media-attributes.js';
import type { CallStatistics, MediaRelay } from '../../media/relay.js';
import { inSlices } from '../../media/slices.js';
import type { CallMoment } from '../../redis-store/store.js';
import { shiftedState, shiftedStatistics, type LivedTime } from '../clocks.js';
import type { HeldAddresses } from '../process/held-addresses.js';
import { CallSweep } from './call-sweep.js';
import { CallTable, type CallTableOptions } from './call-table.js';
import { CallEnding, type EndingOptions } from './ending.js';
import { applyRelayEvents, type DigitListener } from './media-events.js';
import { CallOwnership, type OwnershipOptions } from './ownership.js';
import { CallSignalling } from './signalling.js';

export interface CallServiceOptions
  extends
    Omit<CallTableOptions, 'logSrtpKeys' | 'planSettings'>,
    Pick<OwnershipOptions, 'release' | 'isFollowed'>,
    Pick<EndingOptions, 'onEnded'> {
  readonly config: Config;
  /** Changed by the CLI while running. */
  readonly limits: LimitConfig;
  readonly lived: LivedTime;
  readonly held: HeldAddresses;
  /** Value of the loop-protection mark. */
  readonly instanceId: string;
  readonly softwareId: string;
  /** The certificate of new DTLS associations. @throws Error: none can be made */
  readonly dtlsIdentity: () => DtlsIdentity;
  /** A digit was dialled (PlanSettings.tellsDigits). */
  readonly onDigit?: DigitListener;
}

/** Thread: control. */
export class CallService {
  readonly table: CallTable;
  readonly signalling: CallSignalling;
  readonly ownership: CallOwnership;
  readonly ending: CallEnding;
  readonly #options: CallServiceOptions;
  readonly #relay: MediaRelay;
  readonly #sweep: CallSweep;
  /** What the wall clock was set by, as far as it has been said and stored. */
  #wallOffset = 0;

  constructor(options: CallServiceOptions) {
    this.#options = options;
    const { relay, log, config } = options;
    const table = new CallTable({
      ...options,
      persistent: config.redis !== null,
      logSrtpKeys: config.media.logSrtpKeys,
      planSettings: {
        measureRtp: config.media.measureRtp,
        rtcpIntervalMs: config.media.rtcpIntervalMs,
        tellsDigits: config.telemetry.digits !== null,
      },
    });
    const ownership = new CallOwnership({ ...options, table });
    const takeOver = (callId: string, cause: string): Promise<void> =>
      ownership.takeOver(callId, cause);
    this.#relay = relay;
    this.table = table;
    this.ownership = ownership;
    this.signalling = new CallSignalling({ ...options, table, takeOver });
    this.ending = new CallEnding({ ...options, table, takeOver });
    this.#sweep = new CallSweep({
      ...{ table, relay, ownership, ending: this.ending, log },
      ...{ limits: options.limits, lived: options.lived, held: options.held },
      activeSwitchover: config.redis?.activeSwitchover === true,
    });
    relay.onEvents((events) => applyRelayEvents(table, log, events, options.onDigit));
  }

  /** A call as others are to see it: its moments are those of the wall clock. */
  inWallTime(
    state: CallState,
    statistics: CallStatistics,
  ): { readonly state: CallState; readonly statistics: CallStatistics } {
    const offset = this.#options.clock.wallOffsetMicros();
    return {
      state: shiftedState(state, offset),
      statistics: shiftedStatistics(statistics, offset),
    };
  }

  /** When the store last had the call, by the wall clock, µs; 0: never. */
  storedMicros(callId: string): number {
    const { stored } = this.table.timesOf(callId);
    return stored === 0 ? 0 : stored + this.#options.clock.wallOffsetMicros();
  }

  /** What the stored value of a call has besides its state. */
  storedMoment(callId: string): CallMoment {
    return {
      counters: this.#relay.counters(callId),
      offsetMicros: this.#options.clock.wallOffsetMicros(),
    };
  }

  /** Due deletions, timeouts, takeovers by media; called once a second. */
  sweep(): void {
    this.#followWallClock();
    this.#sweep.run();
    this.ownership.releaseLeftovers();
  }

  /** Writes all calls of this node again. */
  saveAll(): void {
    const { table } = this;
    // What changes meanwhile is written as it is then.
    inSlices(table.calls.values(), (state) => void table.save(state)).catch((error: unknown) => {
      const why = error instanceof Error ? error.message : String(error);
      this.#options.log.error('core', `Calls cannot be stored anew: ${why}`);
    });
  }

  /** What is stored must be right by the clock that the next process will have. */
  #followWallClock(): void {
    const { clock, log } = this.#options;
    const offset = clock.wallOffsetMicros();
    const step = (offset - this.#wallOffset) / 1e6;
    if (step === 0) return;
    this.#wallOffset = offset;
    const way = step > 0 ? 'forward' : 'back';
    log.notice(
      'core',
      `The clock was set ${way} by ${Math.abs(step).toFixed(1)} seconds, which no call notices`,
    );
    this.saveAll();
  }
}
