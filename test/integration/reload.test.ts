/** The configuration is read again on SIGHUP, and no call notices it. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { existsSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { CertificateAuthority } from '../support/certificates.js';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpRange } from '../support/free-ports.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

const ctl = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));

describe('the configuration of a running daemon', () => {
  let folder: TemporaryFolder;
  let daemon: MediaDaemon;
  let ng: NgClient;
  let cliPort: number;
  let reloads = 0;

  beforeEach(async () => {
    folder = new TemporaryFolder('reload');
    cliPort = freeTcpPort();
    reloads = 0;
  });
  afterEach(async () => {
    ng.close();
    await daemon.stop();
    folder.remove();
  });

  const write = (...lines: readonly string[]): void =>
    writeFileSync(folder.file('conf'), `[rtpengine]\n${lines.join('\n')}\n`);

  async function start(...lines: readonly string[]): Promise<void> {
    write(...lines);
    const extra = [`--config-file=${folder.file('conf')}`, `--listen-cli=127.0.0.1:${cliPort}`];
    daemon = await MediaDaemon.start('rtprelayd', { extra, interfaces: [], mediaPorts: 60 });
    ng = daemon.client();
  }

  const ask = (...words: readonly string[]): string => {
    const { stdout, stderr } = spawnSync(ctl, ['-port', String(cliPort), ...words], {
      encoding: 'latin1',
    });
    return stdout + stderr;
  };

  /** Writes the file, sends HUP, and returns what the log says. */
  async function reload(...lines: readonly string[]): Promise<string> {
    write(...lines);
    const before = daemon.process.log().length;
    const done = /Configuration (not )?read again.*/g;
    daemon.process.signal('SIGHUP');
    reloads += 1;
    await until(
      () => (daemon.process.log().match(done)?.length ?? 0) >= reloads,
      'a word about the reload',
    );
    await ng.ask({ command: 'ping' });
    return daemon.process.log().slice(before);
  }

  const offer = (callId: string, more: Record<string, string | readonly string[]> = {}) =>
    ng.ask({ command: 'offer', 'call-id': callId, 'from-tag': 'a', sdp: audioSdp(6000), ...more });

  const local = 'interface = one/127.0.0.1';

  it('is taken where it can be; what needs a restart is named; the call goes on', async () => {
    await start(local, 'max-sessions = 5', 'timeout = 60', 'log-level-control = 6');
    const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    const keys = { 'call-id': 'one', 'from-tag': 'a' };
    await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(caller.port) });
    const answer = { command: 'answer', ...keys, 'to-tag': 'b', sdp: audioSdp(callee.port) };
    const target = mediaTarget(String((await ng.ask(answer))['sdp']));
    const said = await reload(
      ...[local, 'max-sessions = 1', 'timeout = 33', 'log-level-control = 3', 'tos = 184'],
    );
    expect(said).to.match(
      /NOTICE: \[core\] Configuration read again from .*conf: 3 options taken, 1 need/,
    );
    expect(said).to.include('Taken: max-sessions = 1 (was 5)');
    expect(said).to.include('Taken: timeout = 33 (was 60)');
    expect(said).to.include('Taken: log-level-control = 3 (was 6)');
    expect(said).to.include('Needs a restart: tos = 184 (was 0)');
    expect(ask('list', 'timeout')).to.equal('TIMEOUT=33\n');
    expect(ask('list', 'loglevel', 'control')).to.equal('3\n');
    const refusal = { 'error-reason': 'Parallel session limit reached' };
    expect(await offer('two')).to.include(refusal);
    caller.sendNext(target);
    await until(() => callee.received > 0, 'a packet through the call');
    // What was not taken is named again.
    expect(await reload(local, 'max-sessions = 1', 'tos = 184')).to.include('Needs a restart: tos');
    expect(await reload(local)).to.include('Taken: max-sessions = -1 (was 1)');
    expect(await reload(local)).to.include('nothing has changed');
    caller.close();
    callee.close();
  });

  it('has sections for interfaces, with ports of their own; one that is added is used', async () => {
    const main = 'interfaces-config = if';
    const one = '[if-one]\naddress = 127.0.0.1';
    const { min } = freeUdpRange(8);
    const ofTwo = (max: number): string =>
      `[if-two]\naddress = 127.0.0.2\nport-min = ${min}\nport-max = ${max}\nexclude-ports = ${min + 2}`;
    const two = ofTwo(min + 5);
    await start(main, one);
    const ports = async (callId: string): Promise<readonly (string | number)[]> => {
      const reply = await offer(callId, { direction: ['one', 'two'] });
      const { address, port } = mediaTarget(String(reply['sdp']));
      return [address, port];
    };
    expect((await ports('early'))[0]).to.equal('127.0.0.1');
    const said = await reload(main, one, two);
    expect(said).to.include('Taken: interfaces-config = if;[one] address=127.0.0.1;[two]');
    const used = [await ports('first'), await ports('second')];
    expect(used).to.have.deep.members([
      ['127.0.0.2', min],
      ['127.0.0.2', min + 4],
    ]);
    expect((await offer('third', { direction: ['one', 'two'] }))['result']).to.equal('error');
    const moved = await reload(main, one, ofTwo(min + 7));
    expect(moved).to.include('the ports of interface two are others');
  });

  it('stays as it is when the file has a mistake', async () => {
    await start(local, 'max-sessions = 5', 'timeout = 60');
    const mistakes: readonly (readonly [line: string, reason: string])[] = [
      ['timeout = soon', "value 'soon' of timeout is not a whole number"],
      ['log-level = 99', "value '99' of log-level must not be greater than 7"],
      ['no equals sign', 'neither a section nor key = value'],
      ['interface = two/nosuchdevice.invalid', "'two/nosuchdevice.invalid'"],
      ['interface = one/127.0.0.1;two/192.0.2.77', 'Address 192.0.2.77'],
      ['redis = nonsense', 'Invalid Redis endpoint'],
    ];
    for (const [line, reason] of mistakes) {
      const said = await reload(local, 'max-sessions = 1', line);
      expect(said).to.match(
        /ERR: \[core\] Configuration not read again, everything stays as it is/,
      );
      expect(said, line).to.include(reason);
    }
    expect(ask('list', 'maxsessions')).to.include(': 5\n');
    expect(ask('list', 'timeout')).to.equal('TIMEOUT=60\n');
    expect(await offer('one')).to.include({ result: 'ok' });
    // And so it does when there is no file any more.
    folder.remove();
    daemon.process.signal('SIGHUP');
    await until(() => /not read again.*Cannot read/.test(daemon.process.log()), 'a complaint');
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  });

  it('gives way to the operator, until it changes itself', async () => {
    await start(local, 'max-sessions = 5', 'timeout = 60', 'log-level = 6');
    ask('set', 'maxsessions', '0');
    ask('set', 'timeout', '44');
    ask('set', 'loglevel', 'rtcp', '7');
    daemon.process.signal('SIGUSR1');
    await until(() => ask('list', 'loglevel', 'core') === '5\n', 'a lower level');
    await reload(local, 'max-sessions = 5', 'timeout = 70', 'log-level = 6');
    expect(ask('list', 'maxsessions')).to.include(': 0\n');
    expect(ask('list', 'timeout')).to.equal('TIMEOUT=70\n');
    expect(ask('list', 'loglevel', 'core')).to.equal('5\n');
    expect(ask('params', 'diff')).to.include('max-sessions: 5 => 0\n');
    ask('params', 'revert');
    expect(ask('params', 'diff')).to.equal('');
    expect(ask('list', 'timeout')).to.equal('TIMEOUT=70\n');
    expect(ask('list', 'maxsessions')).to.include(': 5\n');
    expect(ask('list', 'loglevel', 'core')).to.equal('6\n');
  });

  it('gets further interfaces for new calls, and no other ones', async () => {
    await start(local);
    const before = String((await offer('one'))['sdp']);
    const two = { direction: ['one', 'two'] };
    const both = 'interface = one/127.0.0.1;one/::1;two/127.0.0.2!192.0.2.9;other=two';
    const said = await reload(both);
    expect(said).to.include('Taken: interface = one/127.0.0.1;one/::1;two/127.0.0.2!192.0.2.9');
    expect(String((await offer('two', two))['sdp'])).to.include('c=IN IP4 192.0.2.9\r\n');
    expect(String((await offer('six', { 'address-family': 'IP6' }))['sdp'])).to.include(
      'c=IN IP6 ::1\r\n',
    );
    expect(String((await offer('alias', { direction: ['one', 'other'] }))['sdp'])).to.include(
      'c=IN IP4 192.0.2.9\r\n',
    );
    expect(ask('list', 'interfaces')).to.include("Interface 'two' address '127.0.0.2' (IPv4)");
    // The call that was there has its ports still.
    expect(mediaTarget(String((await offer('one'))['sdp']))).to.deep.equal(mediaTarget(before));
    const refused: readonly (readonly [string, string])[] = [
      ['interface = two/127.0.0.2!192.0.2.9;one/127.0.0.1;one/::1;other=two', 'default interface'],
      ['interface = one/127.0.0.1;one/::1', 'an alias is missing'],
      ['interface = one/127.0.0.1;one/::1;three/127.0.0.3;other=three', 'an alias is missing'],
      ['interface = one/::1;one/127.0.0.1;two/127.0.0.2!192.0.2.9;other=two', 'another order'],
      ['interface = one/127.0.0.1;one/::1;two/127.0.0.2!192.0.2.8;other=two', 'another order'],
    ];
    for (const [line, reason] of refused) {
      const answer = await reload(line);
      expect(answer, line).to.match(new RegExp(`Needs a restart: interface = .*${reason}`));
    }
    expect(String((await offer('three', two))['sdp'])).to.include('c=IN IP4 192.0.2.9\r\n');
  });

  it('moves the log', async () => {
    await start(local);
    await reload(local, 'log-format = json', 'log-mark-prefix = <', 'log-mark-suffix = >');
    await ng.ask({ command: 'query', 'call-id': 'none' });
    const json = (): string[] =>
      daemon.process
        .log()
        .split('\n')
        .filter((line) => line.startsWith('{'));
    await until(() => json().some((line) => line.includes('"callId":"<none>"')), 'a line of JSON');
    await reload(local, 'no-log-timestamps = true');
    await ng.ask({ command: 'list' });
    await until(() => /^INFO: \[control\] .*'list'/m.test(daemon.process.log()), 'a plain line');
  });

  it('is read again by the operator’s command, with the same answer', async () => {
    await start(local, 'offer-timeout = 100');
    write(local, 'offer-timeout = 200', 'num-threads = 3');
    const answer = ask('reload');
    expect(answer).to.match(
      /^Configuration read again from .*: 1 options taken, 1 need a restart\n/,
    );
    expect(answer).to.include('Taken: offer-timeout = 200 (was 100)\n');
    expect(answer).to.include('Needs a restart: num-threads = 3 (was none)\n');
    const theirs = '/usr/bin/rtpengine-ctl';
    if (!existsSync(theirs)) return;
    const words = ['-ip', '127.0.0.1', '-port', String(cliPort), 'reload'];
    expect(spawnSync(theirs, words, { encoding: 'latin1' }).stdout).to.include('Needs a restart');
  });

  it('may be signalled before the start is over', async () => {
    write(local, 'max-sessions = 5');
    const extra = [`--config-file=${folder.file('conf')}`, `--listen-cli=127.0.0.1:${cliPort}`];
    daemon = await MediaDaemon.start('rtprelayd', { extra, interfaces: [] });
    ng = daemon.client();
    for (let i = 0; i < 20; i += 1) daemon.process.signal('SIGHUP');
    await until(() => /read again.*nothing has/.test(daemon.process.log()), 'a reload');
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  });

  describe('of Redis', () => {
    let first: RedisProcess;
    let second: RedisProcess;
    before(async function () {
      first = await RedisProcess.start();
      second = await RedisProcess.start();
    });
    after(async () => {
      await first?.stop();
      await second?.stop();
    });

    const keys = async (server: RedisProcess): Promise<readonly string[]> => {
      const client = server.connect();
      const found = await client.keys('*');
      client.disconnect();
      return found.filter((key) => !key.includes(':')).sort();
    };

    it('moves to other servers, with all calls', async () => {
      const redis = (...servers: readonly RedisProcess[]): string =>
        `redis = ${servers.map(({ port }) => `127.0.0.1:${port}`).join(',')}/0`;
      await start(local, redis(first));
      await offer('one');
      expect(await keys(first)).to.include('one');
      // Still named: nothing happens to the connection.
      await reload(local, redis(first, second));
      expect(daemon.process.log()).not.to.include('Lost connection');
      await reload(local, redis(second));
      await until(async () => (await keys(second)).includes('one'), 'the call on the other server');
      await offer('two');
      expect(await keys(second)).to.include.members(['one', 'two']);
      expect(await keys(first)).not.to.include('two');
      const other = redis(second).replace('/0', '/3');
      expect(await reload(local, other)).to.match(/Needs a restart: redis = .*another database/);
      expect(await reload(local)).to.match(/Needs a restart: redis = none .*without Redis/);
      const secured = `redis = rediss://127.0.0.1:${second.port}/0`;
      const pem = 'redis-tls-ca = /nonexistent.pem';
      expect(await reload(local, secured, pem)).to.match(
        /Needs a restart: redis = .*TLS on or off/,
      );
      await offer('three');
      expect(await keys(second)).to.include('three');
    });

    it('keeps its TLS when a certificate cannot be read', async () => {
      const authority = new CertificateAuthority('reload');
      const { cert, key } = authority.issue('server', 'IP:127.0.0.1');
      const port = freeTcpPort();
      const settings = ['--tls-port', String(port), '--tls-cert-file', cert, '--tls-key-file', key];
      const server = await RedisProcess.start({
        settings: [...settings, '--tls-ca-cert-file', authority.file, '--tls-auth-clients', 'no'],
      });
      try {
        const redis = `redis = rediss://127.0.0.1:${port}/0`;
        await start(local, redis, `redis-tls-ca = ${authority.file}`);
        writeFileSync(folder.file('bad.pem'), 'no certificate');
        const refusals: readonly (readonly [string, RegExp])[] = [
          ['redis-tls-ca = /nonexistent.pem', /not read again.*Cannot read \/nonexistent.pem/],
          [`redis-tls-cert = ${folder.file('bad.pem')}`, /not read again.*redis-tls-key/],
          [
            `redis-tls-cert = ${folder.file('bad.pem')}\nredis-tls-key = ${key}`,
            /not read again.*Bad certificate in .*bad\.pem/,
          ],
        ];
        for (const [line, said] of refusals) {
          expect(await reload(local, redis, `redis-tls-ca = ${authority.file}`, line)).to.match(
            said,
          );
        }
        const own = authority.issue('client', 'IP:127.0.0.1');
        const pair = [`redis-tls-cert = ${own.cert}`, `redis-tls-key = ${own.key}`];
        const said = await reload(local, redis, `redis-tls-ca = ${authority.file}`, ...pair);
        expect(said).to.include('Taken: redis-tls-cert = ');
        await offer('secured');
        expect(await keys(server)).to.include('secured');
      } finally {
        await server.stop();
        authority.remove();
      }
    });

    it('has limits that the operator and the file change', async () => {
      await start(local, `redis = 127.0.0.1:${first.port}/0`, 'redis-allowed-errors = 3');
      expect(ask('list', 'redisallowederrors')).to.equal('3\n');
      expect(ask('set', 'redisdisabletime', '5')).to.match(
        /^Success setting redis-disable-time to 5/,
      );
      expect(ask('list', 'redisdisabletime')).to.equal('5\n');
      const said = await reload(
        ...[local, `redis = 127.0.0.1:${first.port}/0`, 'redis-allowed-errors = 4'],
        ...['redis-expires = 600', 'redis-commit-timeout = 150', 'redis-wait-replicas = 0'],
      );
      expect(said).to.include('Taken: redis-expires = 600 (was 86400)');
      expect(ask('list', 'redisallowederrors')).to.equal('4\n');
      expect(ask('list', 'redisdisabletime')).to.equal('5\n');
      await offer('four');
      const client = first.connect();
      expect(await client.ttl('four')).to.be.within(500, 600);
      client.disconnect();
    });

    it('follows other databases', async () => {
      const redis = `redis = 127.0.0.1:${first.port}/0`;
      await start(local, redis, 'subscribe-keyspace = 5');
      await reload(local, redis, 'subscribe-keyspace = 6;7');
      await until(() => ask('kslist') === '\nSubscribed-on keyspaces:\n6 7 \n', 'new keyspaces');
      await reload(local, redis, 'subscribe-keyspace = 6;7', 'redis-connect-timeout = 900');
      await until(() => ask('kslist') === '\nSubscribed-on keyspaces:\n6 7 \n', 'the same ones');
      ask('ksadd', '9');
      await reload(local, redis, 'subscribe-keyspace = 6;7', 'redis-subscribe = 127.0.0.1:1');
      await until(() => ask('kslist') === '\nSubscribed-on keyspaces:\n6 7 9 \n', 'all of them');
    });
  });
});
