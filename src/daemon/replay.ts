/** The replay at takeover, as the daemon opens it and looks after it. */
import type { ReplayConfig } from '../config/replay.js';
import { ConfigError } from '../config/errors.js';
import type { NativeRelay } from '../native/relay.js';
import type { ReplayStatus } from '../native/replay.js';
import type { Log } from '../observe/log.js';
import { isReadByOthers, readKeyFile } from './key-file.js';

/** Room for packets, bytes: 100 ms of 2.5 Gbit/s. */
const packetBytes = 32 * 1024 * 1024;
/** A peer that has been silent for so long is said to be. */
const silentMicros = 3_000_000;
const keyOption = 'replay-key-file';

export interface ReplayOptions {
  readonly config: ReplayConfig;
  readonly portMin: number;
  readonly portMax: number;
  readonly hosts: readonly string[];
  readonly relay: NativeRelay;
  readonly log: Log;
}

export class Replay {
  readonly #options: ReplayOptions;
  #isHeard: boolean | null = null;
  #takeovers = 0;
  /** Of what somebody sends who does not have the key, or of an earlier life: said already. */
  readonly #said = new Set<string>();

  private constructor(options: ReplayOptions) {
    this.#options = options;
  }

  /** @throws ConfigError */
  static open(options: ReplayOptions): Replay {
    const { config, portMin, portMax, hosts, relay, log } = options;
    const keys = readKeyFile(config.keyFile, keyOption).map(({ key }) => key);
    if (isReadByOthers(config.keyFile))
      log.warning(
        'core',
        `${config.keyFile} (--${keyOption}) can be read by others than its owner`,
      );
    const fault = relay.startReplay({
      ...{ keys, hosts, portMin, portMax, bytes: packetBytes },
      windowMicros: config.windowMs * 1000,
      ...{ paths: config.paths, devices: config.devices },
    });
    if (fault !== null) throw new ConfigError('bad-value', 'replay-interface', `Replay: ${fault}`);
    const { length } = config.paths;
    log.info(
      'core',
      `Replay at takeover: the other node is heard on ${config.devices.join(', ')}, heartbeats by ${length} path${length === 1 ? '' : 's'}`,
    );
    return new Replay(options);
  }

  get status(): ReplayStatus | null {
    return this.#options.relay.replayStatus();
  }

  everySecond(): void {
    const { status } = this;
    if (status === null) return;
    const { log } = this.#options;
    const isHeard = status.silentMicros !== null && status.silentMicros < silentMicros;
    if (isHeard !== this.#isHeard && (isHeard || this.#isHeard !== null)) {
      if (isHeard) log.notice('core', 'Replay: the other node is heard');
      else log.warning('core', 'Replay: the other node is silent');
    }
    if (isHeard || this.#isHeard !== null) this.#isHeard = isHeard;
    this.#warnOnce('forged', status.forged, 'that were made without the key');
    this.#warnOnce('malformed', status.malformed, 'that are none');
    this.#warnOnce('untold', status.untold + status.missedFrames, '', () =>
      log.warning('core', 'Replay: its thread does not get enough of a processor'),
    );
    if (status.takeovers > this.#takeovers) {
      this.#takeovers = status.takeovers;
      const { replayed, alreadySent, unknown, secret } = status;
      log.notice(
        'core',
        `Replay: ${replayed} packets relayed in the other node's place since the start, ${alreadySent} had been sent already, ${unknown} not known of, ${secret} not encrypted again`,
      );
    }
  }

  #warnOnce(
    what: string,
    count: number,
    text: string,
    warn = (): void => this.#options.log.warning('core', `Replay: heartbeats come ${text}`),
  ): void {
    if (count === 0 || this.#said.has(what)) return;
    this.#said.add(what);
    warn();
  }
}
