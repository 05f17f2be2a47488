/** The ways in which `--redis` may name a server, each with a real server of that kind. */
import { expect } from 'chai';
import { createServer } from 'node:net';
import { once } from 'node:events';
import { CertificateAuthority, type CertificateFiles } from '../support/certificates.js';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp } from '../support/ng-client.js';
import { RedisProcess, startReplicated, Sentinels } from '../support/redis-server.js';
import { until } from '../support/wait.js';

/** What docs/redis.md tells to give: nothing dangerous but what is named. */
const documentedRights = [
  ...['~*', '&*', '+@read', '+@write', '+@connection', '+@pubsub', '+@scripting'],
  ...['-@dangerous', '+info', '+client|kill', '+config|get', '+time'],
];

describe('a Redis server', function () {
  this.timeout(30_000);
  const servers: RedisProcess[] = [];
  let daemon: MediaDaemon | undefined;

  async function server(...options: Parameters<typeof RedisProcess.start>): Promise<RedisProcess> {
    const started = await RedisProcess.start(...options);
    servers.push(started);
    return started;
  }

  async function start(
    options: readonly string[],
    env: Readonly<Record<string, string>> = {},
  ): Promise<MediaDaemon> {
    daemon = await MediaDaemon.start('rtprelayd', { extra: options, env });
    return daemon;
  }

  /** The reason for which the daemon does not start. */
  async function refusal(options: readonly string[]): Promise<string> {
    let reason = '';
    await start(options).then(
      (started) => started.stop('SIGKILL'),
      (error: unknown) => (reason = String(error)),
    );
    daemon = undefined;
    return reason;
  }

  async function ask(running: MediaDaemon, request: Parameters<typeof audioSdp>[0] | object) {
    const client = running.client();
    try {
      return await client.ask(request as never);
    } finally {
      client.close();
    }
  }

  /** Sets a call up, then restores it in a new daemon. Neither may write a secret into its log. */
  async function keepsCalls(
    options: readonly string[],
    stored: { readonly at: RedisProcess; readonly database: number },
    env: Readonly<Record<string, string>> = {},
  ): Promise<string> {
    const first = await start(options, env);
    const offer = { command: 'offer', 'call-id': 'kept', 'from-tag': 'a', sdp: audioSdp(6000) };
    expect(await ask(first, offer)).to.include({ result: 'ok' });
    const connection = stored.at.connect(stored.database);
    try {
      expect(await connection.exists('kept')).to.equal(1);
    } finally {
      connection.disconnect();
    }
    const portRange = first.ports;
    await first.stop('SIGKILL');
    daemon = await MediaDaemon.start('rtprelayd', { extra: options, env, portRange });
    expect((await ask(daemon, { command: 'list' }))['calls']).to.deep.equal(['kept']);
    const log = first.process.log() + daemon.process.log();
    expect(log).to.not.match(/geheim|p@ss|p%40ss/);
    return log;
  }

  afterEach(async () => {
    await daemon?.stop('SIGKILL');
    daemon = undefined;
    for (const each of servers.splice(0)) await each.stop('SIGKILL');
  });

  it('may want a password', async () => {
    const redis = await server({ password: 'p@ss/1' });
    const stored = { at: redis, database: 3 };
    await keepsCalls([`--redis=redis://:p%40ss%2F1@127.0.0.1:${redis.port}/3`], stored);
  });

  it('may want a password that only the environment knows', async () => {
    const redis = await server({ password: 'geheim' });
    const env = { RTPENGINE_REDIS_AUTH_PW: 'geheim' };
    const stored = { at: redis, database: 3 };
    await keepsCalls([`--redis=127.0.0.1:${redis.port}/3`], stored, env);
    const reason = await refusal([`--redis=redis://:geheim2@127.0.0.1:${redis.port}/3`]);
    expect(reason).to.match(/WRONGPASS/);
    expect(reason).to.not.include('geheim');
  });

  it('needs to grant a user no more than docs/redis.md says', async () => {
    const redis = await server();
    const admin = redis.connect();
    await admin.call('ACL', 'SETUSER', 'calls', 'on', '>p@ss', ...documentedRights);
    const url = `redis://calls:p%40ss@127.0.0.1:${redis.port}/0`;
    await admin.config('SET', 'notify-keyspace-events', 'KA');
    const standby = '--subscribe-keyspace=7';
    const log = await keepsCalls([`--redis=${url}`, standby], { at: redis, database: 0 });
    expect(log).to.not.match(/NOPERM|does not notify|refuses/);
    const denied = await admin.call('ACL', 'LOG');
    expect(denied).to.deep.equal([]);
    const dryRun = (...command: readonly string[]): Promise<unknown> =>
      admin.call('ACL', 'DRYRUN', 'calls', ...command);
    await daemon?.stop('SIGKILL');
    await admin.call('ACL', 'SETUSER', 'calls', 'resetchannels');
    const running = await start([`--redis=${url}`, standby]);
    await running.process.untilLogged(/refuses the subscription .*compared every second/);
    expect(await dryRun('KEYS', '*')).to.match(/no permissions/);
    expect(await dryRun('FLUSHDB')).to.match(/no permissions/);
    expect(await dryRun('FLUSHALL')).to.match(/no permissions/);
    admin.disconnect();
  });

  it('may be reached by a Unix socket', async () => {
    const folder = new TemporaryFolder('redis-socket');
    const path = folder.file('redis.sock');
    const redis = await server({ settings: ['--unixsocket', path] });
    await keepsCalls([`--redis=unix:${path}/2`], { at: redis, database: 2 });
    await daemon?.stop('SIGKILL');
    await keepsCalls([`--redis=redis+unix://${path}?db=4`], { at: redis, database: 4 });
    folder.remove();
  });

  it('may have a name with several addresses, not all of which answer', async () => {
    const redis = await server();
    // The server listens on 127.0.0.1 only; the name may stand for ::1 as well.
    await keepsCalls([`--redis=localhost:${redis.port}/0`], { at: redis, database: 0 });
  });

  it('may be one of several, of which the master is used', async () => {
    const nowhere = freeTcpPort();
    const [master, replica] = await startReplicated(1);
    servers.push(master, ...(replica === undefined ? [] : [replica]));
    const list = [nowhere, replica?.port, master.port].map((port) => `127.0.0.1:${port}`).join();
    await keepsCalls([`--redis=${list}/1`], { at: master, database: 1 });
  });

  it('that nobody can reach ends the start by its name, soon', async () => {
    const ports = [freeTcpPort(), freeTcpPort()];
    const list = ports.map((port) => `127.0.0.1:${port}`);
    const reason = await refusal([`--redis=geheim@${list.join()}/1`]);
    for (const each of list) expect(reason).to.include(`${each}: Connection refused`);
    expect(reason).to.not.include('geheim');
    const sentinel = await refusal([`--redis=sentinel://:geheim@${list.join()}/calls/1`]);
    for (const each of list) expect(sentinel).to.include(`sentinel ${each}: Connection refused`);
    expect(sentinel).to.not.include('geheim');
  });

  it('that accepts and never answers ends the start', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const address = silent.address();
    const port = typeof address === 'object' ? address?.port : 0;
    for (const url of [`rediss://127.0.0.1:${port}`, `sentinel://127.0.0.1:${port}/calls`]) {
      expect(await refusal([`--redis=${url}`])).to.match(/timed out|ETIMEDOUT/);
    }
    silent.close();
  });

  describe('with TLS', () => {
    let authority: CertificateAuthority;
    let other: CertificateAuthority;
    let certificate: CertificateFiles;
    let ours: CertificateFiles;

    before(() => {
      authority = new CertificateAuthority('test authority');
      other = new CertificateAuthority('other authority');
      certificate = authority.issue('redis', 'DNS:localhost,IP:127.0.0.1');
      ours = authority.issue('rtprelayd', 'DNS:node.example');
    });
    after(() => {
      authority?.remove();
      other?.remove();
    });

    async function secured(
      files: CertificateFiles,
      clients: 'yes' | 'no',
    ): Promise<{ readonly redis: RedisProcess; readonly port: number }> {
      const port = freeTcpPort();
      const settings = ['--tls-port', String(port), '--tls-ca-cert-file', authority.file];
      settings.push('--tls-cert-file', files.cert, '--tls-key-file', files.key);
      settings.push('--tls-auth-clients', clients);
      return { redis: await server({ settings }), port };
    }

    it('is verified by the authority that is told, and by its name', async () => {
      const { redis, port } = await secured(certificate, 'no');
      const stored = { at: redis, database: 1 };
      const ca = `--redis-tls-ca=${authority.file}`;
      await keepsCalls([`--redis=rediss://127.0.0.1:${port}/1`, ca], stored);
      await daemon?.stop('SIGKILL');
      expect(await refusal([`--redis=rediss://127.0.0.1:${port}/1`])).to.match(/certificate/);
      const wrong = `--redis-tls-ca=${other.file}`;
      expect(await refusal([`--redis=rediss://localhost:${port}/1`, wrong])).to.match(
        /certificate/,
      );
      const missing = '--redis-tls-ca=/nonexistent/ca.pem';
      expect(await refusal([`--redis=rediss://localhost:${port}/1`, missing])).to.include(
        '/nonexistent/ca.pem',
      );
      expect(await refusal([`--redis=rediss://127.0.0.1:${redis.port}/1`, ca])).to.not.equal('');
    });

    it('is refused under another name, unless nothing is to be verified', async () => {
      const elsewhere = authority.issue('elsewhere', 'DNS:elsewhere.example');
      const { redis, port } = await secured(elsewhere, 'no');
      const url = `--redis=rediss://localhost:${port}/1`;
      const reason = await refusal([url, `--redis-tls-ca=${authority.file}`]);
      expect(reason).to.match(/does not match certificate/);
      await keepsCalls([url, '--redis-tls-insecure'], { at: redis, database: 1 });
    });

    it('may want a certificate of ours', async () => {
      const { redis, port } = await secured(certificate, 'yes');
      const options = [`--redis=rediss://localhost:${port}/1`, `--redis-tls-ca=${authority.file}`];
      expect(await refusal(options)).to.include('Failed to connect to Redis localhost');
      const own = [`--redis-tls-cert=${ours.cert}`, `--redis-tls-key=${ours.key}`];
      await keepsCalls([...options, ...own], { at: redis, database: 1 });
    });
  });

  it('may be found by sentinels that want a password of their own', async () => {
    const [master, replica] = await startReplicated(1);
    servers.push(master, ...(replica === undefined ? [] : [replica]));
    const sentinels = await Sentinels.start(1, master, 1, ['requirepass geheim']);
    try {
      const nowhere = freeTcpPort();
      const url = `sentinel://127.0.0.1:${nowhere},${sentinels.addresses}/calls/6`;
      const env = { RTPENGINE_REDIS_SENTINEL_AUTH_PW: 'geheim' };
      await keepsCalls([`--redis=${url}`], { at: master, database: 6 }, env);
      await daemon?.stop('SIGKILL');
      expect(await refusal([`--redis=${url}`])).to.match(/NOAUTH/);
      const unknown = `sentinel://${sentinels.addresses}/others/6`;
      const password = '--redis-sentinel-password=geheim';
      const reason = await refusal([`--redis=${unknown}`, password]);
      expect(reason).to.include("it does not know a master 'others'");
    } finally {
      await sentinels.stop();
    }
  });

  it('is found by its name anew at each attempt', async () => {
    const redis = await server();
    const running = await start([`--redis=localhost:${redis.port}/0`]);
    await redis.stop('SIGKILL');
    const again = await server({ port: redis.port });
    const connection = again.connect();
    const offer = { command: 'offer', 'call-id': 'late', 'from-tag': 'a', sdp: audioSdp(6000) };
    expect(await ask(running, offer)).to.include({ result: 'ok' });
    await until(async () => (await connection.exists('late')) === 1, 'the call');
    connection.disconnect();
  });
});
