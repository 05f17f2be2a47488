/** The OCF resource agent, run as Pacemaker runs it: parameters in the environment, exit codes back. */
import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder } from '../../support/child-process.js';
import { freeTcpPort, freeUdpPort } from '../../support/free-ports.js';
import { audioSdp, NgClient } from '../../support/ng-client.js';
import { until } from '../../support/wait.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));
const agent = `${root}deploy/ocf/rtprelay`;

/** Exit codes of the OCF resource agent API. */
const success = 0;
const genericError = 1;
const unimplemented = 3;
const notInstalled = 5;
const badConfiguration = 6;
const notRunning = 7;
const runningPromoted = 8;
const failedPromoted = 9;

const { NODE_EXTRA_CA_CERTS: _certificates, ...environment } = process.env;

/** A daemon on a busy machine may take its time; one that is frozen need not be waited for. */
const [patient, impatient] = ['20', '0.3'];

describe('the OCF resource agent', function () {
  this.timeout(120_000);
  let folder: TemporaryFolder;
  let ngPort: number;
  let parameters: Record<string, string>;

  beforeEach(async () => {
    folder = new TemporaryFolder('ocf');
    ngPort = freeUdpPort();
    const cliPort = freeTcpPort();
    writeFileSync(
      folder.file('relay.conf'),
      `[rtpengine]\ninterface = 127.0.0.1\nlisten-ng = 127.0.0.1:${ngPort}\n` +
        `listen-cli = 127.0.0.1:${cliPort}\n`,
    );
    parameters = {
      binary: `${root}dist/bin/rtprelayd.js`,
      config: folder.file('relay.conf'),
      ng_port: String(ngPort),
      cli_port: String(cliPort),
      probe: `${root}deploy/bin/rtprelay-probe`,
      ping_timeout: patient,
      stop_grace: '20',
    };
  });
  afterEach(() => {
    run('stop');
    folder.remove();
  });

  /** @param path where it finds other programs. The daemon is found where this test's node is. */
  function run(
    action: string,
    path = `${dirname(process.execPath)}:${environment['PATH']}`,
  ): number | null {
    const given = Object.entries(parameters).map(([name, value]) => [`OCF_RESKEY_${name}`, value]);
    const { status, error } = spawnSync(agent, [action], {
      env: {
        ...environment,
        ...(Object.fromEntries(given) as Record<string, string>),
        PATH: path,
        HA_RSCTMP: folder.file('run'),
        OCF_RESOURCE_INSTANCE: 'relay:0',
      },
      stdio: 'ignore',
      timeout: 100_000,
    });
    if (error !== undefined) throw error;
    return status;
  }

  const pidfile = (): string => folder.file('run/rtprelay-relay-0.pid');
  const pid = (): number => Number(readFileSync(pidfile(), 'latin1'));

  /** Ends the daemon (by its own process id) and waits until the kernel has let go of it. */
  async function kill(process_: number): Promise<void> {
    process.kill(process_, 'SIGKILL');
    await until(() => run('monitor') === notRunning, 'the end of the daemon');
  }

  it('starts, is seen running, stops; all of it twice', () => {
    expect(run('monitor')).to.equal(notRunning);
    expect(run('start')).to.equal(success);
    const first = pid();
    expect(run('start')).to.equal(success);
    expect(pid()).to.equal(first);
    expect(run('monitor')).to.equal(success);
    expect(run('stop')).to.equal(success);
    expect(run('monitor')).to.equal(notRunning);
    expect(existsSync(pidfile())).to.equal(false);
    expect(run('stop')).to.equal(success);
  });

  it('needs no program but the probe for a monitor, which runs every second', async () => {
    const nothing = folder.file('nothing');
    expect(run('start')).to.equal(success);
    expect(run('monitor', nothing)).to.equal(success);
    expect(run('promote')).to.equal(success);
    expect(run('monitor', nothing)).to.equal(runningPromoted);
    await kill(pid());
    expect(run('monitor', nothing)).to.equal(notRunning);
  });

  it('sees that the daemon was killed, and starts it again over its stale pid file', async () => {
    expect(run('start')).to.equal(success);
    await kill(pid());
    expect(run('stop')).to.equal(success);
    expect(run('start')).to.equal(success);
    await kill(pid());
    expect(run('start')).to.equal(success);
    expect(run('monitor')).to.equal(success);
  });

  it('never takes another program for the daemon', () => {
    expect(run('start')).to.equal(success);
    const daemon = pid();
    writeFileSync(pidfile(), `${process.pid}\n`);
    expect(run('monitor')).to.equal(notRunning);
    expect(run('stop')).to.equal(success);
    process.kill(daemon, 'SIGKILL');
  });

  it('fails the monitor of a daemon that is frozen, and can stop it', () => {
    expect(run('start')).to.equal(success);
    parameters['ping_timeout'] = impatient;
    parameters['stop_grace'] = '1';
    const frozen = pid();
    process.kill(frozen, 'SIGSTOP');
    expect(run('monitor')).to.equal(genericError);
    expect(run('stop')).to.equal(success);
    expect(run('monitor')).to.equal(notRunning);
    expect(existsSync(`/proc/${frozen}/exe`)).to.equal(false);
  });

  it('replaces a frozen daemon at the start', () => {
    expect(run('start')).to.equal(success);
    parameters['ping_timeout'] = impatient;
    parameters['stop_grace'] = '1';
    const frozen = pid();
    process.kill(frozen, 'SIGSTOP');
    expect(run('start')).to.equal(success);
    expect(pid()).not.to.equal(frozen);
    parameters['ping_timeout'] = patient;
    expect(run('monitor')).to.equal(success);
  });

  it('promotes and demotes, and the calls change their owner with it', async () => {
    expect(run('promote')).to.equal(notRunning);
    expect(run('start')).to.equal(success);
    const client = new NgClient(ngPort);
    const sdp = audioSdp(9);
    await client.ask({ command: 'offer', 'call-id': 'call', 'from-tag': 'a', sdp });
    const statistics = async (): Promise<unknown> => {
      const reply = await client.request({ command: 'statistics' });
      const all = reply['statistics'] as Record<string, Record<string, unknown>>;
      const current = all['currentstatistics'];
      return [current?.['sessionsown'], current?.['sessionsforeign']];
    };
    expect(run('demote')).to.equal(success);
    expect(await statistics()).to.deep.equal([1, 0]);
    expect(run('promote')).to.equal(success);
    expect(run('promote')).to.equal(success);
    expect(run('monitor')).to.equal(runningPromoted);
    expect(run('demote')).to.equal(success);
    expect(run('demote')).to.equal(success);
    expect(run('monitor')).to.equal(success);
    expect(await statistics()).to.deep.equal([0, 1]);
    expect(run('promote')).to.equal(success);
    expect(await statistics()).to.deep.equal([1, 0]);
    client.close();
  });

  it('promotes without a ping where the daemon answers, and nothing that is frozen', async () => {
    expect(run('start')).to.equal(success);
    const { ng_port: port } = parameters;
    parameters['ng_port'] = String(freeUdpPort());
    expect(run('monitor')).to.equal(genericError);
    expect(run('promote')).to.equal(success);
    parameters['ng_port'] = port ?? '';
    expect(run('monitor')).to.equal(runningPromoted);
    expect(run('demote')).to.equal(success);
    parameters['ping_timeout'] = impatient;
    process.kill(pid(), 'SIGSTOP');
    expect(run('promote')).to.equal(genericError);
    await kill(pid());
  });

  it('says of a promoted daemon that it is frozen, and forgets the promotion with the daemon', async () => {
    expect(run('start')).to.equal(success);
    expect(run('promote')).to.equal(success);
    parameters['ping_timeout'] = impatient;
    process.kill(pid(), 'SIGSTOP');
    expect(run('monitor')).to.equal(failedPromoted);
    await kill(pid());
    parameters['ping_timeout'] = patient;
    expect(run('start')).to.equal(success);
    expect(run('monitor')).to.equal(success);
  });

  it('tells a mistake in its parameters from a daemon that cannot start', () => {
    const good = { ...parameters };
    expect(run('validate-all')).to.equal(success);
    expect(run('nonsense')).to.equal(unimplemented);
    parameters = { ...good, ng_port: 'ng' };
    expect(run('validate-all')).to.equal(badConfiguration);
    parameters = { ...good, ping_timeout: 'soon' };
    expect(run('start')).to.equal(badConfiguration);
    parameters = { ...good, binary: '/nowhere/rtprelayd' };
    expect(run('start')).to.equal(notInstalled);
    expect(run('monitor')).to.equal(notRunning);
    expect(run('stop')).to.equal(success);
    parameters = { ...good, config: folder.file('missing.conf') };
    expect(run('start')).to.equal(notInstalled);
    parameters = { ...good, options: '--no-such-option' };
    expect(run('start')).to.equal(genericError);
    expect(run('monitor')).to.equal(notRunning);
    parameters = good;
  });

  it('passes the tests of resource-agents', function () {
    this.timeout(300_000);
    if (!isInstalled('ocf-tester')) this.skip();
    const words = Object.entries(parameters).flatMap(([name, value]) => ['-o', `${name}=${value}`]);
    // It runs the agent as nobody, who may not see the folder of this checkout.
    const open = mkdtempSync('/tmp/ocf-tester-');
    chmodSync(open, 0o755);
    const copy = `${open}/rtprelay`;
    copyFileSync(agent, copy);
    const { stdout, stderr, status } = spawnSync('ocf-tester', ['-n', 'relay', ...words, copy], {
      encoding: 'latin1',
      env: { ...environment, OCF_ROOT: '/usr/lib/ocf', HA_RSCTMP: folder.file('tester') },
      timeout: 280_000,
    });
    rmSync(open, { recursive: true });
    expect(status, stdout + stderr).to.equal(0);
  });
});
