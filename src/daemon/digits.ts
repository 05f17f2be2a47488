/** Who is told of the digits that are dialled (options.md §9.2): those of the configuration, and whom calls name. */
import { randomBytes } from 'node:crypto';
import type { DigitsConfig } from '../config/telemetry.js';
import { encodeReply } from '../ng-protocol/message.js';
import { digitNotice, digitRecord } from '../observe/digit-text.js';
import type { DigitListener } from './calls/media-events.js';
import { NamedReceivers } from './exports/datagram-receiver.js';

export interface DigitTellerOptions {
  readonly config: DigitsConfig | null;
  /** By the wall clock. */
  readonly nowMicros: () => number;
  /** Those whom the configuration names, but for NG clients. */
  readonly tellExports: (json: string) => void;
  /** NG clients that are connected by TCP. */
  readonly tellTcp: (message: Buffer) => void;
  readonly onNotice: (message: string) => void;
}

/** Thread: control. Owns its sockets until `close`. */
export class DigitTeller {
  readonly #options: DigitTellerOptions;
  readonly #named: NamedReceivers;

  constructor(options: DigitTellerOptions) {
    this.#options = options;
    this.#named = new NamedReceivers('DTMF events', options.onNotice);
  }

  readonly tell: DigitListener = (state, event) => {
    const { config, nowMicros, tellExports, tellTcp } = this.#options;
    const record = digitRecord(state, event, nowMicros());
    if (record === null) return;
    const json = JSON.stringify(record);
    tellExports(json);
    if (state.digitsTo !== '') this.#named.send(state.digitsTo, Buffer.from(json, 'latin1'));
    if (config?.ngTcp !== true) return;
    const cookie = randomBytes(8).toString('hex');
    tellTcp(Buffer.from(encodeReply(cookie, digitNotice(record), 'bencode')));
  };

  close(): void {
    this.#named.close();
  }
}
