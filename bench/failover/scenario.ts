/** What a scenario does to the cluster, and what it tells about when it did it. */
import type { Cluster, Settings } from './cluster.js';

/** Moments on CLOCK_MONOTONIC, microseconds. */
export interface Phase {
  readonly name: string;
  /** What happened, and the end of what is looked at. */
  readonly event: number;
  readonly end: number;
  /** Packets sent before it do not count; default: shortly before the event. */
  readonly from?: number;
  /** The failure was noticed and acted on: the process started anew, the address was added. */
  readonly acted?: number;
  /** The first packet for the virtual address came to the node that has it now. */
  readonly media?: number;
}

export interface Acts {
  readonly phases: readonly Phase[];
  /** Further spans whose latency is of interest, by name. */
  readonly latency?: Readonly<Record<string, { readonly from: number; readonly to: number }>>;
  /** Further figures, by name with its unit. */
  readonly figures?: Readonly<Record<string, number>>;
}

export interface Scenario {
  readonly name: string;
  /** One line: what happens. */
  readonly title: string;
  /** The second node: absent, standing by, or started when the address arrives. */
  readonly standby: 'none' | 'hot' | 'cold';
  readonly redundantRedis?: boolean;
  /** Redis is elsewhere than on the nodes. */
  readonly sharedRedis?: boolean;
  /** How long the media goes on after the event. */
  readonly seconds: number;
  /** Number of the node that has the calls in the end. */
  readonly endsOn: 0 | 1;
  /** Why it cannot be run with these settings. */
  readonly unsupported?: (settings: Settings) => string | null;
  readonly act: (cluster: Cluster) => Promise<Acts>;
}
