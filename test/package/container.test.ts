/**
 * The container image, built by podman from a Debian that debootstrap has made, without a registry: as a user without
 * capabilities in a network of its own, one process tree, health, signals, drain, and calls that lose nothing.
 * scripts/package-test prepares the image's base.
 */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { chownSync, existsSync, statSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder, TestProcess } from '../support/child-process.js';
import { Commands } from '../support/document.js';
import { expectWaited, type LoadReport } from '../support/load.js';
import { NetworkNamespace, namespacesAllowed } from '../support/namespaces.js';
import { until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const base = `${root}build/roots/trixie-plain`;
const loadgen = `${root}build/bench/loadgen`;

describe('the container', function () {
  this.timeout(600_000);
  this.bail(true);
  const document = new Commands('packages.md');
  const storage = new TemporaryFolder('podman');
  const own = [
    ...['--root', storage.file('storage'), '--runroot', storage.file('run')],
    '--cgroup-manager=cgroupfs',
  ];
  const owner = statSync('/dev/null');
  let namespace: NetworkNamespace;
  let mounts: TestProcess;
  let image = '';

  /** Its mounts, and control groups of the one kind that crun takes, are in a namespace of their own. */
  const run = (...words: readonly string[]): { status: number | null; output: string } => {
    const inside = ['-m', '-t', String(mounts.pid), 'podman', ...own, ...words];
    const { status, stdout, stderr } = spawnSync('nsenter', inside, {
      encoding: 'utf8',
      timeout: 60_000,
    });
    return { status, output: stdout.trim() + stderr.trim() };
  };
  const podman = (...words: readonly string[]): string => {
    // Of podman's words about systemd, which is not here, none.
    const { status, output } = run('--log-level=fatal', ...words);
    if (status !== 0) throw new Error(`podman ${words.join(' ')}: ${output}`);
    return output;
  };

  before(async function () {
    const asked = process.env['RTPRELAY_SUITES'] !== undefined;
    const missing = ['podman', 'crun'].find((each) => !isInstalled(each));
    if (
      !asked ||
      missing !== undefined ||
      !existsSync(base) ||
      !existsSync(loadgen) ||
      !namespacesAllowed()
    ) {
      console.log(`      skipped: ${missing ?? 'what scripts/package-test prepares'} is missing`);
      this.skip();
    }
    namespace = new NetworkNamespace('container');
    const groups =
      'umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; echo mounted; exec sleep 3600';
    mounts = new TestProcess('mounts', 'unshare', [
      ...['--mount', '--propagation', 'private', 'sh', '-c', groups],
    ]);
    await mounts.untilLogged('mounted');
    const words = ['--', `--root=${base}`, '--', ...own];
    const command = [document.take('npm run package:container'), ...words].join(' ');
    const said = execFileSync('sh', ['-c', command], {
      ...{ cwd: root, encoding: 'utf8' },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    // Behind npm's own words.
    image = said.trim().split('\n').at(-1) ?? '';
  });
  after(async () => {
    if (mounts !== undefined) run('rm', '--all', '--force', '--time=1');
    await mounts?.stop('SIGKILL');
    // crun 1.8 makes the container's user the owner of what it is started with: of this machine's.
    chownSync('/dev/null', owner.uid, owner.gid);
    namespace?.remove();
    storage.remove();
  });

  /** No systemd that would run its health check is here. */
  const here = [
    ...['--detach', '--cgroups=disabled', '--health-interval=disable', '--log-driver=k8s-file'],
    ...['--ulimit=nofile=1024:4096', '--ulimit=nproc=1000:1000'],
  ];

  /** Starts a container in the namespace; its id. */
  function start(
    env: Readonly<Record<string, string>> = {},
    options: readonly string[] = [],
  ): string {
    return podman(
      ...['run', ...here, `--network=ns:/run/netns/${namespace.name}`],
      ...['--cap-drop=all', '--security-opt=no-new-privileges', '--read-only'],
      ...Object.entries(env).map(([name, value]) => `--env=${name}=${value}`),
      ...[image, ...options],
    );
  }
  const inside = (id: string, ...words: readonly string[]): string => podman('exec', id, ...words);
  const state = (id: string, what: string): string =>
    podman('inspect', '--format', `{{.State.${what}}}`, id);
  const answers = (id: string): boolean => run('healthcheck', 'run', id).status === 0;
  const local = { RTPRELAY_ADDRESS: '127.0.0.1', RTPRELAY_LISTEN_NG: '127.0.0.1:2223' };

  it('is healthy, one process tree without root and without capabilities, and relays calls', async () => {
    const id = start(local, ['--delete-delay=0']);
    await until(() => answers(id), 'its health');
    const status = inside(id, 'cat', '/proc/1/status');
    expect(status).to.match(/^Uid:\s+64064\s/m);
    expect(status).to.match(/^CapEff:\s+0+$/m);
    expect(status).to.match(/^CapBnd:\s+0+$/m);
    expect(inside(id, 'sh', '-c', 'tr "\\0" " " </proc/1/cmdline')).to.include(
      '/usr/bin/rtprelayd --foreground',
    );
    const words = ['relay', '--ng', '127.0.0.1:2223', '--calls', '10', '--seconds', '3'];
    const load = new TestProcess('loadgen', loadgen, words, { namespace: namespace.name });
    expect(await load.ended(60_000), load.log()).to.equal(0);
    const report = JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
    expect(report.received).to.be.greaterThan(0);
    expect(report.lost).to.equal(0);
    podman('rm', '--force', '--time=5', id);
  });

  it('runs as docs/packages.md has it, with its calls in Redis', async () => {
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'eth1');
    for (const device of ['eth0', 'eth1']) namespace.ip('link', 'set', device, 'up');
    namespace.addAddress('eth0', '10.0.0.1/24');
    const at = { namespace: namespace.name };
    const server = ['--bind', '10.0.0.1', '--protected-mode', 'no', '--save', ''];
    const redis = new TestProcess('redis-server', 'redis-server', server, {
      ...{ ...at, cwd: storage.path },
    });
    await redis.untilLogged('Ready to accept connections');
    const command = document.take(
      'podman run --network=host --cap-drop=all --read-only rtprelay:0.1.0 --redis=10.0.0.1:6379/1',
    );
    // The host is the namespace, and podman's own words are where its storage is.
    const known = `podman() { first=$1; shift; command podman --log-level=fatal ${own.join(' ')} "$first" ${here.join(' ')} "$@"; }`;
    const inside = ['-m', '-t', String(mounts.pid), `--net=/run/netns/${namespace.name}`];
    const id = execFileSync('nsenter', [...inside, 'sh', '-ec', `${known}; ${command}`], {
      encoding: 'utf8',
    }).trim();
    try {
      await until(() => answers(id), 'its health');
      const words = ['relay', '--ng', '127.0.0.1:2223', '--calls', '10', '--seconds', '2'];
      const load = new TestProcess('loadgen', loadgen, [...words, '--no-delete'], at);
      expect(await load.ended(60_000), load.log()).to.equal(0);
      const stored = ['exec', namespace.name, 'redis-cli', '-h', '10.0.0.1', '-n', '1', 'dbsize'];
      const count = execFileSync('ip', ['netns', ...stored], { encoding: 'utf8' });
      expect(Number(/\d+/.exec(count)?.[0])).to.equal(10);
    } finally {
      podman('rm', '--force', '--time=5', id);
      await redis.stop('SIGKILL');
      namespace.ip('link', 'del', 'eth0');
    }
  });

  it('loses nothing when a process of its tree is killed', async () => {
    const id = start(local, ['--delete-delay=0']);
    await until(() => answers(id), 'its health');
    await until(() => /Standing by for the active process/.test(run('logs', id).output), 'a spare');
    const words = ['relay', '--ng', '127.0.0.1:2223', '--calls', '10', '--seconds', '8'];
    // At this pace a socket holds more than a busy machine takes for anything here.
    const packetMs = 100;
    const load = new TestProcess('loadgen', loadgen, [...words, '--ptime', String(packetMs)], {
      namespace: namespace.name,
    });
    await load.untilLogged('ready');
    // The active one is the first that was started.
    inside(id, 'sh', '-c', 'set -- $(cat /proc/1/task/1/children); kill -9 "$1"');
    expect(await load.ended(60_000), load.log()).to.equal(0);
    const report = JSON.parse(load.log().slice(load.log().indexOf('{'))) as LoadReport;
    expect(run('logs', id).output).to.match(/is the active one now/);
    expectWaited(report, packetMs, 1);
    expect(report.lostAtEnd.max).to.equal(0);
    podman('rm', '--force', '--time=5', id);
  });

  it('ends by SIGTERM at once, with status 0', async () => {
    const id = start(local);
    await until(() => answers(id), 'its health');
    podman('kill', '--signal=TERM', id);
    await until(() => state(id, 'Running') === 'false', 'its end');
    expect(state(id, 'ExitCode')).to.equal('0');
    podman('rm', id);
  });

  it('reads its configuration again by SIGHUP, and is drained before it stops', async () => {
    const id = start(local);
    await until(() => answers(id), 'its health');
    podman('kill', '--signal=HUP', id);
    await until(() => /Configuration/.test(run('logs', id).output), 'a line about it');
    expect(state(id, 'Running')).to.equal('true');
    // Without calls it ends at once; the drain returns when it is gone, or with it.
    run('exec', id, '/usr/lib/rtprelay/container/drain', '30');
    await until(() => state(id, 'Running') === 'false', 'its end');
    expect(state(id, 'ExitCode')).to.equal('0');
    podman('rm', id);
  });

  it('ends with the reason when the cloud does not tell its address', async () => {
    const none = {
      RTPRELAY_METADATA_URL: 'http://127.0.0.1:9',
      RTPRELAY_METADATA_TIMEOUT_MS: '200',
    };
    const id = start({ ...local, ...none, RTPRELAY_ADVERTISED: 'aws' });
    await until(() => state(id, 'Running') === 'false', 'its end');
    expect(state(id, 'ExitCode')).to.not.equal('0');
    expect(run('logs', id).output).to.match(/no outer address from the cloud: aws: /);
    podman('rm', id);
  });
});
