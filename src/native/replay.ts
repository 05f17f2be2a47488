/** The replay at takeover, as the addon has it (native/core/replay.h says what the numbers mean). */
export interface ReplayStart {
  /** The first one signs, all of them are accepted; 32 bytes each. */
  readonly keys: readonly Buffer[];
  /** Media addresses of both nodes. */
  readonly hosts: readonly string[];
  readonly paths: readonly {
    readonly local: { readonly address: string; readonly port: number };
    readonly peer: { readonly address: string; readonly port: number };
  }[];
  /** Network devices on which the other node's packets are heard. */
  readonly devices: readonly string[];
  readonly portMin: number;
  readonly portMax: number;
  /** Memory for packets, and how long they are kept. */
  readonly bytes: number;
  readonly windowMicros: number;
}

export interface ReplayPathStatus {
  readonly received: number;
  /** Since the last one; null: none came. */
  readonly silentMicros: number | null;
  readonly sendFailures: number;
}

export interface ReplayStatus {
  /** Since the last heartbeat; null: none came. */
  readonly silentMicros: number | null;
  readonly longestGapMicros: number;
  readonly heartbeats: number;
  /** By another path, or by somebody who had recorded them. */
  readonly repeated: number;
  /** Of an earlier life of the other node, or for one of ours. */
  readonly outdated: number;
  readonly forged: number;
  readonly malformed: number;
  /** Packets in memory. */
  readonly kept: number;
  readonly keptBytes: number;
  /** Packets that were heard. */
  readonly heard: number;
  /** Addresses that have come, and what became of the packets that were kept. */
  readonly takeovers: number;
  readonly replayed: number;
  readonly alreadySent: number;
  readonly unknown: number;
  /** There was no room. */
  readonly crowdedOut: number;
  readonly sources: number;
  readonly tooManySources: number;
  /** Frames that came while the thread did not run, and packets that it told nobody of. */
  readonly missedFrames: number;
  readonly untold: number;
  /** Not relayed, because their SRTP would have been made a second time. */
  readonly secret: number;
  readonly paths: readonly ReplayPathStatus[];
}

/** Of the addon's relay. */
export interface AddonReplay {
  startReplay(
    keys: Buffer,
    hosts: readonly (string | number)[],
    locals: readonly (string | number)[],
    peers: readonly (string | number)[],
    devices: readonly string[],
    portMin: number,
    portMax: number,
    bytes: number,
    windowMicros: number,
  ): string | null;
  replayStatus(): ReplayStatus | null;
}

/** null: it has begun; otherwise why not. */
export function startReplay(relay: AddonReplay, start: ReplayStart): string | null {
  const flat = (of: 'local' | 'peer'): readonly (string | number)[] =>
    start.paths.flatMap((path) => [path[of].address, path[of].port]);
  return relay.startReplay(
    Buffer.concat(start.keys),
    start.hosts.flatMap((host) => [host, 0]),
    flat('local'),
    flat('peer'),
    start.devices,
    start.portMin,
    start.portMax,
    start.bytes,
    start.windowMicros,
  );
}
