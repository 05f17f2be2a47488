/** The operator's way in: rtprelayctl, and a CLI port that nobody can take away. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { fileURLToPath } from 'node:url';
import { programVersion } from '../../src/daemon/process/version.js';
import { commandUsage } from '../../src/daemon/cli/usage.js';
import { settingNames } from '../../src/daemon/cli/settings.js';
import { TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { pause, until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayctl.js', import.meta.url));

const ctl = (
  ...words: readonly string[]
): { code: number | null; stdout: string; stderr: string } => {
  const { status, stdout, stderr } = spawnSync(program, words, { encoding: 'latin1' });
  return { code: status, stdout, stderr };
};

describe('rtprelayctl', () => {
  let folder: TemporaryFolder;
  let daemon: MediaDaemon;
  let port: number;
  before(async () => {
    folder = new TemporaryFolder('ctl');
    port = freeTcpPort();
    daemon = await MediaDaemon.start('rtprelayd', { extra: [`--listen-cli=127.0.0.1:${port}`] });
  });
  after(async () => {
    await daemon?.stop();
    folder?.remove();
  });

  const file = (text: string): string => {
    writeFileSync(folder.file('conf'), text);
    return folder.file('conf');
  };

  it('finds the daemon by its configuration', () => {
    const answer = { code: 0, stdout: 'TIMEOUT=60\n', stderr: '' };
    for (const line of [
      `127.0.0.1:${port}`,
      String(port),
      `0.0.0.0:${port}`,
      `localhost:${port};9`,
    ]) {
      const path = file(`[rtpengine]\nlisten-cli = ${line}\n`);
      expect(ctl('-config-file', path, 'list', 'timeout'), line).to.deep.equal(answer);
      expect(ctl(`--config-file=${path}`, 'list', 'timeout'), line).to.deep.equal(answer);
    }
    const other = file(`[two]\nlisten-cli = ${port}\n`);
    const section = ['-config-file', other, '--config-section=two'];
    expect(ctl(...section, 'list', 'timeout')).to.deep.equal(answer);
    // An address that is given counts more.
    expect(ctl('-config-file', file('x'), '-port', String(port), 'list', 'timeout')).to.include(
      answer,
    );
  });

  it('says what is wrong with it', () => {
    expect(ctl('-config-file', '/nonexistent', 'help').stderr).to.include('/nonexistent');
    expect(ctl('-config-file', '/nonexistent', 'help').code).to.equal(1);
    const bad = file('[rtpengine]\nlisten-cli = nonsense:x\n');
    expect(ctl('-config-file', bad, 'help').stderr).to.include("'nonsense:x' (--listen-cli)");
    expect(ctl('-nonsense', 'help').stderr).to.include('unknown option -nonsense');
    expect(ctl('-ip').code).to.equal(1);
    expect(ctl().code).to.equal(1);
  });

  it('tells its version, without a daemon', () => {
    for (const word of ['-version', '--version', '-v'])
      expect(ctl(word)).to.deep.include({ code: 0, stdout: `Version: ${programVersion()}\n` });
  });

  it('lists its commands, and all that there are', () => {
    for (const word of ['-help', '--help', '-h']) {
      const { code, stdout } = ctl(word);
      expect(code).to.equal(0);
      for (const [command] of commandUsage) expect(stdout).to.include(command);
    }
    const drain = ctl('drain', '--help');
    expect(drain.code).to.equal(0);
    expect(drain.stdout).to.match(/^ {4}drain \[SECONDS\] \| drain off +refuses new calls.*\n$/);
    const capture = ctl('capture', '-h').stdout.trimEnd().split('\n');
    expect(capture).to.have.length(2);
    expect(capture[1]).to.include('--decrypt');
    expect(ctl('standby', '--help').stdout).to.include('active | standby');
    const text = commandUsage.flat().join(' ');
    for (const name of settingNames) expect(text).to.include(name);
    const [, ...names] = ctl('-port', String(port), 'help').stdout.trim().split('\n\t');
    expect(names).to.have.length.greaterThan(10);
    for (const name of names) expect(text, name).to.match(new RegExp(`\\b${name}\\b`));
  });

  const failing: readonly string[] = [
    ...['foo', 'list', 'list foo', 'set', 'set foo 3', 'set maxsessions 1e9', 'set maxsessions'],
    ...['list sessions nosuch', 'terminate nosuch', 'call nosuch info', 'set loglevel nope 3'],
    ...['debug', 'debug nosuch on', 'ksadd x', 'ksrm 5', 'drain soon', 'set controltos 300'],
    'set maxopenfiles 2000',
  ];
  for (const line of failing) {
    it(`fails on '${line}'`, () => {
      const { code, stdout } = ctl('-port', String(port), ...line.split(' '));
      expect(stdout).not.to.equal('');
      expect(code).to.equal(1);
    });
  }

  it('adds an interface and removes it when no call uses it', async () => {
    const ask = (...words: readonly string[]): ReturnType<typeof ctl> =>
      ctl('-port', String(port), 'interface', ...words);
    expect(ask('add', 'two/127.0.0.2!192.0.2.7')).to.include({ code: 0 });
    expect(ask('add', 'two/127.0.0.2!192.0.2.7').stdout).to.match(/^Fail .* there already/);
    expect(ask('add', 'three/192.0.2.99')).to.include({ code: 1 });
    expect(ask('add', 'a/b/c')).to.include({ code: 1 });
    const ng = daemon.client();
    const ids = { 'call-id': 'on-two', 'from-tag': 'a' };
    const direction = ['default', 'two'];
    const reply = await ng.request({ command: 'offer', ...ids, sdp: audioSdp(4000), direction });
    expect(String(reply['sdp'])).to.include('c=IN IP4 192.0.2.7');
    expect(ask('del', 'two').stdout).to.equal('Fail removing interface two; calls use it\n');
    await ng.request({ command: 'delete', ...ids, 'delete-delay': 0 });
    expect(ask('del', 'two')).to.include({ code: 0, stdout: 'Success removing interface two\n' });
    expect(ask('del', 'two')).to.include({ code: 1 });
    expect(ask('del', 'default').stdout).to.include('it is the default interface');
    const refused = await ng.request({ command: 'offer', ...ids, sdp: audioSdp(4000), direction });
    expect(String(refused['sdp'] ?? '')).not.to.include('192.0.2.7');
    ng.close();
  });

  /** TOS byte of the answer to a ping. */
  function tosOfReply(): number {
    const script = [
      'import socket, sys',
      's = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)',
      's.setsockopt(socket.IPPROTO_IP, socket.IP_RECVTOS, 1)',
      's.settimeout(20)',
      "s.sendto(b'tos d7:command4:pinge', ('127.0.0.1', int(sys.argv[1])))",
      '_, control, _, _ = s.recvmsg(1000, 100)',
      'print(control[0][2][0])',
    ];
    const ng = String(daemon.controlPort);
    const { stdout } = spawnSync('python3', ['-c', script.join('\n'), ng], { encoding: 'utf8' });
    return Number(stdout);
  }

  it('set controltos marks what the NG port sends from then on', () => {
    expect(tosOfReply()).to.equal(0);
    expect(ctl('-port', String(port), 'set', 'controltos', '184').code).to.equal(0);
    expect(ctl('-port', String(port), 'list', 'controltos').stdout).to.equal('184\n');
    expect(tosOfReply()).to.equal(184);
  });

  it('succeeds otherwise', () => {
    for (const line of [
      'list totals',
      'set timeout 61',
      'params diff',
      'kslist',
      'list sessions all',
    ]) {
      expect(ctl('-port', String(port), ...line.split(' ')).code, line).to.equal(0);
    }
    expect(ctl('-port', '1', 'help')).to.include({ code: 1, stdout: '' });
  });
});

describe('recording commands', () => {
  for (const [words, result] of [
    [[], 'ok'],
    [['--recording-dir=/tmp'], 'error'],
  ] as const) {
    it(`are answered ${result} with the options [${words.join(' ')}]`, async () => {
      const daemon = await MediaDaemon.start('rtprelayd', { extra: words, mediaPorts: 20 });
      const ng = daemon.client();
      try {
        const keys = { 'call-id': 'c', 'from-tag': 'a' };
        await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(5000) });
        const reply = await ng.ask({ command: 'start recording', ...keys });
        expect(reply['result']).to.equal(result);
        const said = 'without effect: start recording';
        await until(() => daemon.process.log().includes(said), 'the word about it');
      } finally {
        ng.close();
        await daemon.stop();
      }
    });
  }
});

describe('the CLI port', () => {
  let daemon: MediaDaemon;
  let ng: NgClient;
  let port: number;
  const sockets: Socket[] = [];

  async function start(...words: readonly string[]): Promise<void> {
    port = freeTcpPort();
    const extra = [`--listen-cli=127.0.0.1:${port}`, ...words];
    daemon = await MediaDaemon.start('rtprelayd', { extra, mediaPorts: 400 });
    ng = daemon.client();
  }
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    ng.close();
    await daemon.stop();
  });

  async function client(): Promise<Socket> {
    const socket = connect(port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    sockets.push(socket);
    return socket;
  }

  it('is there for the operator although others sit on it', async () => {
    await start();
    for (let i = 0; i < 200; i += 1) await client();
    expect(ctl('-port', String(port), 'list', 'timeout')).to.include({ stdout: 'TIMEOUT=60\n' });
  });

  it('is there when the calls have used up all descriptors', async () => {
    // Steered ports take none.
    await start('--port-mode=bound');
    expect(
      spawnSync('prlimit', ['--pid', String(daemon.process.pid), '--nofile=160']).status,
    ).to.equal(0);
    const reasons = new Set<unknown>();
    for (let i = 0; i < 40; i += 1) {
      const keys = { 'call-id': `call ${i}`, 'from-tag': 'a' };
      const reply = await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(6000) });
      reasons.add(reply['result']);
    }
    expect([...reasons]).to.deep.equal(['ok', 'error']);
    expect(ctl('-port', String(port), 'list', 'timeout')).to.include({ stdout: 'TIMEOUT=60\n' });
    // Strangers on it do not change that.
    for (let i = 0; i < 100; i += 1) void client().catch(() => undefined);
    await pause(200);
    await until(
      () => ctl('-port', String(port), 'list', 'timeout').stdout === 'TIMEOUT=60\n',
      'an answer to the operator',
    );
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
  });

  it('does not wait for a client that asks and never reads', async () => {
    await start();
    for (let i = 0; i < 80; i += 1) {
      const keys = { 'call-id': `${'long'.repeat(200)} ${i}`, 'from-tag': 'a' };
      await ng.ask({ command: 'offer', ...keys, sdp: audioSdp(6000) });
    }
    for (let i = 0; i < 100; i += 1) {
      const socket = await client();
      socket.pause();
      socket.write('list sessions all\n');
    }
    expect(await ng.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
    expect(ctl('-port', String(port), 'list', 'timeout')).to.include({ stdout: 'TIMEOUT=60\n' });
  });
});
