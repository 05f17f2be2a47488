import type { NgEndpoint } from '../../ng-protocol/endpoint.js';

/** What the server serves. */
export interface HttpService {
  readonly ng: Pick<NgEndpoint, 'handleMessage' | 'handleBody'>;
  /** Runs one line of the operator's command line. */
  readonly cli: (line: string) => Promise<string>;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
  /** null: new calls are welcome; otherwise why not. */
  readonly notReady: () => string | null;
  readonly allowed: (address: string) => boolean;
  readonly onNotice: (message: string) => void;
}
