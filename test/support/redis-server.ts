/** A Redis server of the test's own, without persistence. */
import { writeFileSync } from 'node:fs';
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
    const port = options.port ?? (freeTcpPort());
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

  /** Whether the server is the master of others, as it says itself. */
  async isMaster(): Promise<boolean> {
    const connection = this.connect();
    try {
      return (await connection.info('replication')).includes('role:master');
    } finally {
      connection.disconnect();
    }
  }

  /** Makes the server a replica of `master`, or a master. */
  async follow(master: RedisProcess | null): Promise<void> {
    const connection = this.connect();
    try {
      if (master === null) await connection.replicaof('NO', 'ONE');
      else await connection.replicaof('127.0.0.1', master.port);
    } finally {
      connection.disconnect();
    }
  }

  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    await this.process.stop(signal);
    this.folder.remove();
  }
}

/** A master and its replicas, all of them connected. */
export async function startReplicated(
  replicas: number,
  options: RedisOptions = {},
): Promise<readonly [master: RedisProcess, ...replicas: RedisProcess[]]> {
  const master = await RedisProcess.start({
    ...options,
    settings: [...(options.settings ?? []), '--repl-diskless-sync-delay', '0'],
  });
  const others: RedisProcess[] = [];
  for (let count = 0; count < replicas; count += 1)
    others.push(await startReplica(master, options));
  return [master, ...others];
}

/** A replica of `master` (its database 15 is used). Resolves when it has acknowledged a write. */
export async function startReplica(
  master: RedisProcess,
  options: RedisOptions = {},
): Promise<RedisProcess> {
  const words = ['--replicaof', `127.0.0.1 ${master.port}`, '--repl-diskless-sync-delay', '0'];
  const replica = await RedisProcess.start({
    ...options,
    settings: [...(options.settings ?? []), ...words],
  });
  // Not before its first acknowledgement is the replica sent what is written.
  const connection = master.connect(15);
  try {
    const online = `port=${replica.port},state=online`;
    await replica.process.until(async () => {
      await connection.set('sync', '1', 'EX', 1);
      const replicas = Number(await connection.call('WAIT', 999, 1));
      const facts = await connection.info('replication');
      return facts.includes(online) && facts.includes(`connected_slaves:${replicas}`);
    });
    await connection.del('sync');
  } finally {
    connection.disconnect();
  }
  return replica;
}

/** Sentinels that watch one master under the name `calls`. */
export class Sentinels {
  private constructor(
    readonly ports: readonly number[],
    private readonly processes: readonly TestProcess[],
    private readonly folders: readonly TemporaryFolder[],
  ) {}

  /**
   * @param settings further lines of each sentinel's configuration.
   * Resolves when each of them knows the others and `replicas` replicas.
   */
  static async start(
    count: number,
    master: RedisProcess,
    replicas: number,
    settings: readonly string[] = [],
  ): Promise<Sentinels> {
    const ports: number[] = [];
    const processes: TestProcess[] = [];
    const folders: TemporaryFolder[] = [];
    for (let index = 0; index < count; index += 1) {
      const folder = new TemporaryFolder('sentinel');
      const port = freeTcpPort();
      const lines = [`port ${port}`, 'bind 127.0.0.1', `dir ${folder.path}`];
      lines.push(`sentinel monitor calls 127.0.0.1 ${master.port} ${Math.floor(count / 2) + 1}`);
      lines.push('sentinel down-after-milliseconds calls 1000', ...settings);
      lines.push('sentinel failover-timeout calls 5000');
      writeFileSync(folder.file('sentinel.conf'), `${lines.join('\n')}\n`);
      const words = [folder.file('sentinel.conf'), '--sentinel'];
      processes.push(new TestProcess('sentinel', 'redis-server', words));
      ports.push(port);
      folders.push(folder);
    }
    const sentinels = new Sentinels(ports, processes, folders);
    for (const child of processes) {
      await child.until(() => {
        const found = (pattern: RegExp): number => (child.log().match(pattern) ?? []).length;
        return found(/\+sentinel /g) >= count - 1 && found(/\+slave /g) >= replicas;
      }, 30_000);
    }
    return sentinels;
  }

  /** `HOST:PORT,…` */
  get addresses(): string {
    return this.ports.map((port) => `127.0.0.1:${port}`).join(',');
  }

  async stop(): Promise<void> {
    for (const child of this.processes) await child.stop('SIGKILL');
    for (const folder of this.folders) folder.remove();
  }
}
