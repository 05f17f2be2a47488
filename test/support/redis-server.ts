/** A Redis server of the test's own, without persistence. */
import { Redis } from 'ioredis';
import { freeTcpPort } from './free-ports.js';
import { TemporaryFolder, TestProcess } from './child-process.js';

export interface RedisOptions {
  readonly password?: string;
  /** Default: a free one. */
  readonly port?: number;
  /** Further settings, as on the command line (`--name value`). */
  readonly settings?: readonly string[];
}

export class RedisProcess {
  private constructor(
    readonly process: TestProcess,
    readonly port: number,
    private readonly options: RedisOptions,
    private readonly folder: TemporaryFolder,
  ) {}

  static async start(options: RedisOptions = {}): Promise<RedisProcess> {
    const folder = new TemporaryFolder('redis');
    const port = options.port ?? (await freeTcpPort());
    const words = [
      '--port',
      String(port),
      '--bind',
      '127.0.0.1',
      '--save',
      '',
      '--appendonly',
      'no',
    ];
    words.push('--dir', folder.path, ...(options.settings ?? []));
    if (options.password !== undefined) words.push('--requirepass', options.password);
    const child = new TestProcess('redis-server', 'redis-server', words);
    const server = new RedisProcess(child, port, options, folder);
    await child.untilLogged('Ready to accept connections');
    return server;
  }

  /** `[password@]host:port/database`, the form of the daemons' `--redis`. */
  url(database = 0): string {
    const password = this.options.password === undefined ? '' : `${this.options.password}@`;
    return `${password}127.0.0.1:${this.port}/${database}`;
  }

  /** A connection to one database; the caller disconnects it. */
  connect(database = 0): Redis {
    const address = { host: '127.0.0.1', port: this.port, db: database };
    const { password } = this.options;
    const connection = new Redis(password === undefined ? address : { ...address, password });
    connection.on('error', () => {}); // Tests stop the server under their connections on purpose.
    return connection;
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.process.stop(signal);
    this.folder.remove();
  }
}
