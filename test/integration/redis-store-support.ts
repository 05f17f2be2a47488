/** A Redis server of the test's own, and the real rtpengine where it is installed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import type { CallState } from '../../src/media/call-state.js';
import { nativeExchange } from '../../src/native/exchange.js';
import { decodeBencode, encodeBencode } from '../../src/ng-protocol/bencode.js';
import type { NgValue } from '../../src/ng-protocol/dictionary.js';
import type { RedisServer } from '../../src/redis-store/server-address.js';
import type { StoreLog } from '../../src/redis-store/log.js';
import { RedisStore } from '../../src/redis-store/redis-store.js';
import type { RedisStoreOptions } from '../../src/redis-store/redis-store-options.js';
import { asItIs } from '../../src/redis-store/store.js';
import { freeTcpPort, freeUdpPort } from '../support/free-ports.js';
import { until } from '../support/wait.js';

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGCONT');
  child.kill('SIGKILL');
  await exited;
}

export class TestRedis {
  readonly #folder = mkdtempSync(join(tmpdir(), 'redis-store-'));
  #child: ChildProcess | null = null;
  #clients: Redis[] = [];

  constructor(
    readonly port: number,
    readonly password: string | null,
  ) {}

  async start(): Promise<void> {
    const options = ['--port', String(this.port), '--bind', '127.0.0.1', '--save', ''];
    options.push('--appendonly', 'no', '--dir', this.#folder);
    if (this.password !== null) options.push('--requirepass', this.password);
    this.#child = spawn('redis-server', options, { stdio: 'ignore' });
    await until(async () => {
      const probe = new Redis({
        ...this.#address(0),
        lazyConnect: true,
        retryStrategy: () => null,
      });
      probe.on('error', () => {});
      try {
        await probe.connect();
        return (await probe.ping()) === 'PONG';
      } catch {
        return false;
      } finally {
        probe.disconnect();
      }
    }, 'redis-server answers');
  }

  #address(database: number): { host: string; port: number; db: number; password?: string } {
    const address = { host: '127.0.0.1', port: this.port, db: database };
    return this.password === null ? address : { ...address, password: this.password };
  }

  server(database = 0): RedisServer {
    const locations = [{ host: '127.0.0.1', port: this.port }];
    return { locations, database, password: this.password };
  }

  client(database = 0): Redis {
    const client = new Redis(this.#address(database));
    client.on('error', () => {});
    this.#clients.push(client);
    return client;
  }

  signal(signal: NodeJS.Signals): void {
    this.#child?.kill(signal);
  }

  async kill(): Promise<void> {
    if (this.#child !== null) await stop(this.#child);
    this.#child = null;
  }

  async end(): Promise<void> {
    for (const client of this.#clients) client.disconnect();
    await this.kill();
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

export async function startRedis(password: string | null = null): Promise<TestRedis> {
  const redis = new TestRedis(freeTcpPort(), password);
  await redis.start();
  return redis;
}

/** Keeps the lines. */
export class TestLog implements StoreLog {
  readonly lines: string[] = [];
  readonly critical = (message: string): void => void this.lines.push(`CRIT ${message}`);
  readonly error = (message: string): void => void this.lines.push(`ERR ${message}`);
  readonly warning = (message: string): void => void this.lines.push(`WARNING ${message}`);
  readonly notice = (message: string): void => void this.lines.push(`NOTICE ${message}`);
  readonly info = (message: string): void => void this.lines.push(`INFO ${message}`);
}

/** A store with the calls that its daemon would have in memory. */
export interface TestStore {
  readonly store: RedisStore;
  readonly memory: Map<string, CallState>;
  readonly log: TestLog;
}

export function makeStore(
  server: RedisServer,
  changes: Partial<RedisStoreOptions> = {},
): TestStore {
  const memory = new Map<string, CallState>();
  const log = new TestLog();
  const store = new RedisStore({
    read: server,
    write: server,
    format: 'auto',
    required: true,
    expiresSeconds: 86_400,
    connectTimeoutMs: 1000,
    commandTimeoutMs: 0,
    allowedErrors: -1,
    disableTimeSeconds: 10,
    commitTimeoutMs: 200,
    endpointLearning: 'heuristic',
    indexOfPosition: (_, __, position) => position,
    secrets: null,
    bencode: { decode: (bytes) => decodeBencode(bytes), encode: (value) => encodeBencode(value) },
    log,
    snapshot: () => memory.values(),
    moment: () => asItIs,
    // As in a daemon that serves one command.
    exchange: nativeExchange(),
    mayWait: () => true,
    ...changes,
  });
  return { store, memory, log };
}

/** The reference daemon on loopback. */
export class TestRtpengine {
  #cookie = 0;

  private constructor(
    readonly child: ChildProcess,
    readonly ngPort: number,
    readonly output: { text: string },
  ) {}

  static async start(redis: TestRedis, database: number, portMin: number): Promise<TestRtpengine> {
    const ngPort = freeUdpPort();
    const options = [
      '--config-file=none',
      '--interface=lo/127.0.0.1',
      '--interface=ext/127.0.0.1!203.0.113.5',
      `--listen-ng=127.0.0.1:${ngPort}`,
      '--table=-1',
      '-f',
      '-E',
      `--port-min=${portMin}`,
      `--port-max=${portMin + 400}`,
      `--redis=127.0.0.1:${redis.port}/${database}`,
      '--pidfile=/dev/null',
    ];
    const child = spawn('rtpengine', options, { stdio: ['ignore', 'ignore', 'pipe'] });
    const output = { text: '' };
    child.stderr?.on('data', (chunk: Buffer) => (output.text += chunk.toString('latin1')));
    const daemon = new TestRtpengine(child, ngPort, output);
    await until(async () => {
      const reply = await daemon.request({ command: 'ping' }, 500).catch(() => null);
      return reply?.get('result') === 'pong';
    }, 'rtpengine answers');
    return daemon;
  }

  async request(
    fields: Readonly<Record<string, NgValue>>,
    timeoutMs = 20_000,
  ): Promise<ReadonlyMap<string, NgValue>> {
    const socket = createSocket('udp4');
    this.#cookie += 1;
    const message = encodeBencode(new Map(Object.entries(fields)));
    try {
      socket.send(
        Buffer.concat([Buffer.from(`c${this.#cookie} `), message]),
        this.ngPort,
        '127.0.0.1',
      );
      const answer: unknown[] = await once(socket, 'message', {
        signal: AbortSignal.timeout(timeoutMs),
      });
      const bytes = answer[0];
      if (!Buffer.isBuffer(bytes)) throw new Error('no datagram');
      const reply = decodeBencode(bytes.subarray(bytes.indexOf(' ') + 1));
      if (!(reply instanceof Map)) throw new Error('no dictionary');
      return reply;
    } finally {
      socket.close();
    }
  }

  async end(): Promise<void> {
    await stop(this.child);
  }
}
