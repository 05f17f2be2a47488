/** The daemon as a process: the command lines of operators, exit codes, errors. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, TestProcess, withDescendants } from '../support/child-process.js';
import { freeUdpPort } from '../support/free-ports.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { NgClient } from '../support/ng-client.js';
import { pause, until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const program = `${root}dist/bin/rtprelayd.js`;
const loadgen = `${root}build/bench/loadgen`;
const debianConfig = '/etc/rtpengine/rtpengine.conf';

const { NODE_EXTRA_CA_CERTS: _certificates, ...environment } = process.env;

interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function run(...words: readonly string[]): Ended {
  const { status, stdout, stderr } = spawnSync(program, words, {
    encoding: 'latin1',
    timeout: 50_000,
    env: environment,
  });
  return { code: status, stdout, stderr };
}

const foreground = ['--config-file=none', '--foreground', '--log-stderr', '--table=-1'];

describe('the command line', () => {
  it('prints its version and its options and ends with 0', () => {
    const version = run('--version');
    expect(version.code).to.equal(0);
    expect(version.stdout + version.stderr).to.match(/\d+\.\d+\.\d+/);
    const help = run('--help');
    expect(help.code).to.equal(0);
    expect(help.stdout).to.include('--listen-ng');
  });

  const local = ['--interface=127.0.0.1', '--listen-ng=127.0.0.1:29'];
  const mistakes: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an unknown option', [...foreground, ...local, '--nonsense'], /nonsense/],
    ['a number that is none', [...foreground, ...local, '--timeout=soon'], /timeout.*soon|soon/],
    ['no interface', [...foreground, '--listen-ng=127.0.0.1:2'], /interface/],
    [
      'an interface address that is not there',
      [...foreground, '--interface=192.0.2.1', '--listen-ng=127.0.0.1:29'],
      /192\.0\.2\.1/,
    ],
    [
      'an NG address that is not there',
      [...foreground, '--interface=127.0.0.1', '--listen-ng=192.0.2.1:2223'],
      /192\.0\.2\.1/,
    ],
    [
      'a Redis server that is not there',
      [...foreground, '--interface=127.0.0.1', '--listen-ng=127.0.0.1:29', '--redis=127.0.0.1:1/0'],
      /127\.0\.0\.1:1\b/,
    ],
    [
      'a Redis address that is none',
      [...foreground, '--interface=127.0.0.1', '--listen-ng=127.0.0.1:29', '--redis=somewhere'],
      /somewhere.*--redis/,
    ],
    [
      'a pidfile that cannot be written',
      [...foreground, ...local, '--pidfile=/nonexistent/pid'],
      /\/nonexistent\/pid/,
    ],
    [
      'the same for a process pair',
      [...foreground, ...local, '--pair=yes', '--pidfile=/nonexistent/pid'],
      /\/nonexistent\/pid/,
    ],
    ['a file that is not there', ['-f', '-E', '--config-file=/nonexistent.conf'], /nonexistent/],
  ];
  for (const [what, words, text] of mistakes) {
    it(`refuses ${what} by name, with 1`, () => {
      const { code, stderr } = run(...words);
      expect(stderr).to.match(text);
      expect(code).to.equal(1);
    });
  }

  it('tells who started it that the start failed, from the background too', () => {
    const folder = new TemporaryFolder('background');
    try {
      const words = ['--config-file=none', `--pidfile=${folder.file('pid')}`, ...local];
      const { code, stderr } = run(...words, '--redis=127.0.0.1:1/0');
      expect(stderr).to.match(/Redis 127\.0\.0\.1:1\b/);
      expect(code).to.equal(1);
      expect(existsSync(folder.file('pid'))).to.equal(false);
    } finally {
      folder.remove();
    }
  });

  it('refuses an NG port that is taken by name, with 1', async () => {
    const port = freeUdpPort();
    const options = [...foreground, '--interface=127.0.0.1', `--listen-ng=127.0.0.1:${port}`];
    const first = new TestProcess('rtprelayd', program, options);
    try {
      await first.untilLogged('Startup complete');
      const { code, stderr } = run(...options);
      expect(stderr).to.match(new RegExp(`127\\.0\\.0\\.1:${port}.*EADDRINUSE`));
      expect(code).to.equal(1);
    } finally {
      await first.stop();
    }
  });
});

describe('listeners', () => {
  it('answers on IPv4 and IPv6, on every address it was given', async () => {
    const ports = [freeUdpPort(), freeUdpPort(), freeUdpPort()] as const;
    const daemon = new TestProcess('rtprelayd', program, [
      ...foreground,
      '--interface=127.0.0.1',
      `--listen-ng=127.0.0.1:${ports[0]}`,
      `--listen-ng=127.0.0.2:${ports[1]}`,
      '--listen-ng',
      `[::1]:${ports[2]}`,
    ]);
    const clients = [
      new NgClient(ports[0]),
      new NgClient(ports[1], '127.0.0.2'),
      new NgClient(ports[2], '::1'),
    ];
    try {
      for (const client of clients) {
        expect(await client.ask({ command: 'ping' })).to.deep.equal({ result: 'pong' });
      }
    } finally {
      for (const client of clients) client.close();
      await daemon.stop();
    }
  });

  it('answers soon after its start', async () => {
    const times: number[] = [];
    for (let i = 0; i < 5; i++) {
      const port = freeUdpPort();
      const client = new NgClient(port);
      const start = performance.now();
      const words = [...foreground, '--interface=127.0.0.1', `--listen-ng=127.0.0.1:${port}`];
      const daemon = new TestProcess('rtprelayd', program, words);
      await client.ask({ command: 'ping' }, { intervalMs: 1, tries: 15_000 });
      times.push(performance.now() - start);
      client.close();
      await daemon.stop();
    }
    const [fastest = 0] = times.sort((a, b) => a - b);
    console.log(
      `      start to first pong: ${fastest.toFixed(0)}-${times[4]?.toFixed(0)} ms, median ${times[2]?.toFixed(0)} ms`,
    );
    expect(times).to.have.length(5);
  });
});

/** The words of a process' command line; none of one that has ended. */
const processCommand = (pid: number): string => {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ').trim();
  } catch {
    return '';
  }
};

describe('npm start with options', () => {
  it('runs the daemon with them in the foreground', async () => {
    const port = freeUdpPort();
    const options = [
      '--interface=127.0.0.1',
      `--listen-ng=127.0.0.1:${port}`,
      '--config-file=none',
    ];
    const daemon = new TestProcess('start', `${root}scripts/start`, options);
    const client = new NgClient(port);
    try {
      const reply = await client.ask({ command: 'ping' }, { tries: 300, intervalMs: 100 });
      expect(reply).to.deep.equal({ result: 'pong' });
      daemon.signal('SIGTERM');
      expect(await daemon.ended()).to.equal(0);
    } finally {
      client.close();
      await daemon.stop();
    }
  });

  const ends = [
    ['npm', 'SIGTERM'],
    ['npm', 'SIGINT'],
    ['npm', 'SIGHUP'],
    ['npm', 'SIGKILL'],
    ['what npm has started', 'SIGTERM'],
  ] as const;
  for (const [whom, signal] of ends) {
    it(`ends with all that it has started when ${whom} gets ${signal}`, async function () {
      this.timeout(90_000);
      const port = freeUdpPort();
      const options = [
        '--interface=127.0.0.1',
        `--listen-ng=127.0.0.1:${port}`,
        '--config-file=none',
      ];
      const npm = new TestProcess('npm', 'npm', ['start', '--', ...options], { cwd: root });
      const client = new NgClient(port);
      let started: readonly number[] = [];
      try {
        const reply = await client.ask({ command: 'ping' }, { tries: 600, intervalMs: 100 });
        expect(reply).to.deep.equal({ result: 'pong' });
        started = withDescendants(npm.pid);
        expect(started.map(processCommand).join('\n')).to.include('rtprelayd.js');
        const [, child = 0] = started;
        process.kill(whom === 'npm' ? npm.pid : child, signal);
        await until(
          () => !started.map(processCommand).some((each) => each.includes(`:${port}`)),
          'the end',
        );
      } finally {
        client.close();
        for (const pid of started)
          if (processCommand(pid).includes(`:${port}`)) process.kill(pid, 'SIGKILL');
        await npm.stop();
      }
    });
  }
});

describe('npm test', () => {
  const alive = (pid: number): boolean => {
    try {
      return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
    } catch {
      return false;
    }
  };

  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGKILL'] as const) {
    it(`ends with all that it has started when npm gets ${signal}`, async function () {
      this.timeout(180_000);
      const npm = new TestProcess('npm', 'npm', ['test', '--', 'scenario'], { cwd: root });
      let started: readonly number[] = [];
      try {
        // A suite goes on: mocha reads its files.
        await npm.until(() => {
          started = withDescendants(npm.pid);
          const commands = started.map((pid) => processCommand(pid));
          return commands.some((each) => /^\S*node .*mocha/.test(each));
        }, 120_000);
        process.kill(npm.pid, signal);
        await until(() => !started.some(alive), 'the end of all of them', 60_000);
      } finally {
        for (const pid of started) if (alive(pid)) process.kill(pid, 'SIGKILL');
        await npm.stop();
      }
    });
  }
});

const seed =
  'rtprelayd --interface=10.10.0.142 --listen-ng=10.10.0.142:2223 --tos=184 ' +
  '--redis 10.10.0.144:6379/0 --pidfile=/var/run/rtpengine01.pid';
const pidfile = '/var/run/rtpengine01.pid';

describe('the command line of a platform that runs rtpengine', () => {
  let host: NetworkNamespace;
  let folder: TemporaryFolder;
  let redis: TestProcess | undefined;
  const started: TestProcess[] = [];

  before(async function () {
    if (!namespacesAllowed()) this.skip();
    execFileSync(`${root}scripts/build-bench`);
    folder = new TemporaryFolder('seed');
    mkdirSync(folder.file('bin'));
    symlinkSync(program, folder.file('bin/rtprelayd'));
    host = new NetworkNamespace('seed');
    host.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1');
    for (const device of ['eth0', 'eth1']) host.ip('link', 'set', device, 'up');
    host.addAddress('eth0', '10.10.0.142/24');
    host.addAddress('eth0', '10.10.0.144/24');
    const words = ['--bind', '10.10.0.144', '--protected-mode', 'no', '--save', ''];
    redis = new TestProcess('redis-server', 'redis-server', words, {
      cwd: folder.path,
      namespace: host.name,
    });
    await redis.untilLogged('Ready to accept connections');
  });
  after(async () => {
    if (redis === undefined) return;
    await redis.stop();
    host?.remove();
    folder?.remove();
    rmSync(pidfile, { force: true });
  });
  afterEach(async () => {
    for (const each of started.splice(0)) await each.stop();
  });

  function start(line: string): TestProcess {
    const path = `${folder.file('bin')}:${process.env['PATH'] ?? ''}`;
    const options = { namespace: host.name, env: { PATH: path } };
    const daemon = new TestProcess('rtprelayd', 'sh', ['-c', `exec ${line}`], options);
    started.push(daemon);
    return daemon;
  }

  const answers = (): boolean => {
    const words = ['netns', 'exec', host.name, 'rtpengine-ng-client'];
    const at = ['--proxy-address=10.10.0.142', '--proxy-port=2223', 'ping'];
    return spawnSync('ip', [...words, ...at], { stdio: 'ignore', timeout: 20_000 }).status === 0;
  };

  const calls = (prefix: string): readonly string[] => [
    ...['relay', '--ng', '10.10.0.142:2223', '--calls', '5', '--seconds', '1.5', '--no-delete'],
    ...['--bind-a', '10.10.0.144', '--bind-b', '10.10.0.144', '--call-prefix', prefix],
  ];

  const storedKeys = (): readonly string[] =>
    host.run('redis-cli', '-h', '10.10.0.144', '--scan').split('\n').filter(Boolean);

  it('runs in the foreground, marks its packets and leaves its calls in Redis', async () => {
    const daemon = start(`${seed} -f`);
    await until(answers, 'a pong');
    // Media goes to the phones on the other address; requests and replies stay on the first.
    const filter = 'udp and src host 10.10.0.142 and dst host 10.10.0.144';
    const fields = ['-T', 'fields', '-e', 'ip.dsfield'];
    const capture = ['-n', '-i', 'any', '-c', '20', '-f', filter, ...fields];
    const sniffer = new TestProcess('tshark', 'tshark', capture, { namespace: host.name });
    started.push(sniffer);
    await sniffer.untilLogged('Capturing on');
    const report = JSON.parse(host.run(loadgen, ...calls('foreground'))) as Record<string, unknown>;
    expect(report).to.include({ sent: 750, received: 750, lost: 0 });
    // The sniffer says that it captures before it does.
    for (let more = 1; sniffer.running && more <= 10; more++) {
      host.run(loadgen, ...calls(`more${more}`));
      await pause(200);
    }
    await sniffer.ended();
    const marks = sniffer.log().match(/^0x[0-9a-f]+$/gm) ?? [];
    expect(new Set(marks)).to.deep.equal(new Set(['0xb8']));
    daemon.signal('SIGTERM');
    expect(await daemon.ended()).to.equal(0);
    const expected = [0, 1, 2, 3, 4].map((call) => `foreground-${call}`);
    expect(storedKeys()).to.include.members(expected);
  });

  it('goes to the background, writes its pidfile and takes the calls over', async () => {
    const launcher = start(seed);
    expect(await launcher.ended()).to.equal(0);
    const pid = Number(readFileSync(pidfile, 'latin1'));
    try {
      expect(pid).to.be.greaterThan(1);
      expect(readFileSync(`/proc/${pid}/cmdline`, 'latin1')).to.include('--tos=184');
      expect(answers()).to.equal(true);
      const report = JSON.parse(host.run(loadgen, ...calls('background'))) as { lost: number };
      expect(report.lost).to.equal(0);
      expect(storedKeys()).to.include.members(['foreground-0', 'background-0']);
    } finally {
      process.kill(pid, 'SIGTERM');
    }
    await until(() => !existsSync(`/proc/${pid}`), 'the end of the daemon');
    expect(existsSync(pidfile)).to.equal(false);
    expect(storedKeys()).to.include.members(['foreground-0', 'background-0']);
  });

  it("reads Debian's configuration file of rtpengine as it is", async function () {
    if (!existsSync(debianConfig)) this.skip();
    const daemon = start(`rtprelayd --config-file=${debianConfig} --foreground --log-stderr`);
    await daemon.untilLogged('Startup complete');
    const at = ['--proxy-address=127.0.0.1', '--proxy-port=2223', 'ping'];
    expect(host.run('rtpengine-ng-client', ...at)).to.include('pong');
  });
});
