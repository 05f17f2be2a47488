import type { WebSocket } from 'ws';
import type { NgEndpoint } from '../../ng-protocol/endpoint.js';
import type { HeldBytes } from '../../ng-protocol/transports/held-bytes.js';
import type { LiveAsset } from '../live/assets.js';

/** The live page: its files by path, and those who look at it. */
export interface LivePage {
  readonly assets: ReadonlyMap<string, LiveAsset>;
  readonly viewers: {
    add(socket: WebSocket): void;
    receive(socket: WebSocket, message: Buffer): void;
    close(): void;
  };
}

/** What the server serves. */
export interface HttpService {
  readonly ng: Pick<NgEndpoint, 'handleMessage' | 'handleBody'>;
  /** Runs one line of the operator's command line: the bytes of its text. */
  readonly cli: (line: string) => Promise<Buffer>;
  /** Prometheus text. */
  readonly metrics: () => Promise<string>;
  /** null: new calls are welcome; otherwise why not. */
  readonly notReady: () => string | null;
  /** null: it is not served. */
  readonly live: LivePage | null;
  readonly allowed: (address: string) => boolean;
  readonly onNotice: (message: string) => void;
  /** What all connections hold together. */
  readonly held: HeldBytes;
}
