/** A daemon that may be killed: it goes on from a Redis of its own. With certificates for phones that speak DTLS. */
import { CertificateAuthority, type CertificateFiles } from './certificates.js';
import { MediaDaemon } from './daemons.js';
import { freeUdpPort, freeUdpRange } from './free-ports.js';
import type { NgClient } from './ng-client.js';
import { RedisProcess } from './redis-server.js';
import { until } from './wait.js';

export type Words = Parameters<NgClient['ask']>[0];

export class StoredDaemon {
  readonly #portRange = freeUdpRange(60);
  readonly #controlPort = freeUdpPort();
  readonly #authority: CertificateAuthority;
  /** Three phones'. */
  readonly files: readonly CertificateFiles[];
  #redis: RedisProcess | null = null;
  #daemon: MediaDaemon | null = null;
  #ng: NgClient | null = null;

  constructor(name: string) {
    this.#authority = new CertificateAuthority(name);
    this.files = ['one', 'two', 'three'].map((each) => this.#authority.issue(each, `DNS:${each}`));
  }

  async start(): Promise<void> {
    this.#redis ??= await RedisProcess.start();
    this.#daemon = await MediaDaemon.start('rtprelayd', {
      ...{ portRange: this.#portRange, controlPort: this.#controlPort },
      extra: [`--redis=127.0.0.1:${this.#redis.port}/0`],
    });
    this.#ng ??= this.#daemon.client();
  }

  /** What packets have taught is in Redis: while the daemon answers, nothing changes there any more. */
  async #isStored(): Promise<void> {
    const connection = this.#redis?.connect();
    let before = '';
    let alike = 0;
    try {
      await until(async () => {
        await this.#ng?.ask({ command: 'ping' });
        const names = (await connection?.keys('*')) ?? [];
        const values = names.length === 0 ? [] : await connection?.mget(names.sort());
        const now = JSON.stringify(values);
        alike = now === before ? alike + 1 : 0;
        before = now;
        return alike >= 3;
      }, 'all of it is stored');
    } finally {
      connection?.disconnect();
    }
  }

  /** Killed, and started again. */
  readonly kill = async (): Promise<void> => {
    await this.#isStored();
    await this.#daemon?.stop('SIGKILL');
    await this.start();
  };

  /** The body of the reply; '' if it has none. Rejects on any but `ok`. */
  readonly ask = async (words: Words): Promise<string> => {
    const reply = await this.#ng?.ask(words);
    if (reply?.['result'] !== 'ok') throw new Error(`reply ${JSON.stringify(reply)}`);
    return String(reply['sdp'] ?? '');
  };

  async stop(): Promise<void> {
    this.#ng?.close();
    await this.#daemon?.stop('SIGKILL');
    await this.#redis?.stop();
    this.#authority.remove();
  }
}
