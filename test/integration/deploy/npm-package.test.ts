/** `npm pack`, and `npm install --global` of what comes out: programs that run, or a refusal that says why. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, TestProcess } from '../../support/child-process.js';
import { Commands } from '../../support/document.js';
import { freeUdpPort, freeUdpRange } from '../../support/free-ports.js';
import { NgClient } from '../../support/ng-client.js';

const root = fileURLToPath(new URL('../../../', import.meta.url));

describe('the npm package', function () {
  this.timeout(120_000);
  const folder = new TemporaryFolder('npm-package');
  const installed = folder.file('prefix/lib/node_modules/rtprelay');
  const document = new Commands('packages.md');
  const run = (command: string, cwd: string, env: Readonly<Record<string, string>> = {}): void => {
    const quiet = { npm_config_audit: 'false', npm_config_fund: 'false' };
    execFileSync('sh', ['-c', command], {
      ...{ cwd, stdio: ['ignore', 'ignore', 'pipe'] },
      env: { ...process.env, ...quiet, npm_config_prefer_offline: 'true', ...env },
    });
  };

  before(() => {
    // What it is packed from is built already.
    const here = `--ignore-scripts --pack-destination=${folder.path}`;
    run(`${document.take('npm pack')} ${here}`, root);
    const install = document.take('npm install --global ./rtprelay-*.tgz');
    run(install, folder.path, { npm_config_prefix: folder.file('prefix') });
  });
  after(() => folder.remove());

  it('is installed with what runs, and nothing else', () => {
    expect(readdirSync(installed)).to.have.members([
      ...[
        'README.md',
        'build',
        'deploy',
        'dist',
        'docs',
        'node_modules',
        'package.json',
        'scripts',
      ],
    ]);
    expect(existsSync(`${installed}/dist/bin/cache/${process.version}`), 'compiled code').to.equal(
      true,
    );
  });

  it('gives programs that run', async () => {
    const [port, ports] = [freeUdpPort(), freeUdpRange(20)];
    const words = [
      '--config-file=none',
      '-f',
      '-E',
      '--interface=127.0.0.1',
      `--listen-ng=127.0.0.1:${port}`,
    ];
    words.push(`--port-min=${ports.min}`, `--port-max=${ports.max}`);
    const daemon = new TestProcess(
      'installed rtprelayd',
      folder.file('prefix/bin/rtprelayd'),
      words,
    );
    const client = new NgClient(port);
    try {
      const reply = await client.ask({ command: 'ping' }, { tries: 300, intervalMs: 100 });
      expect(reply['result']).to.equal('pong');
    } finally {
      client.close();
      await daemon.stop();
    }
    const help = execFileSync(folder.file('prefix/bin/rtprelayctl'), ['--help'], {
      encoding: 'utf8',
    });
    expect(help).to.include('list numsessions');
  });

  it('is refused, with the reason, where its native engine does not load', () => {
    const copy = folder.file('copy');
    for (const part of ['scripts', 'build', 'dist'])
      cpSync(`${installed}/${part}`, `${copy}/${part}`, { recursive: true });
    const install = (): { status: number | null; stderr: string } =>
      spawnSync(process.execPath, [`${copy}/scripts/npm-install.cjs`], { encoding: 'utf8' });
    const addon = `${copy}/build/Release/rtprelay.node`;
    writeFileSync(addon, 'not a library');
    expect(install()).to.include({ status: 1 });
    expect(install().stderr).to.match(
      /^rtprelay: its native engine does not load here .*: build it from a checkout/,
    );
    rmSync(addon);
    expect(install()).to.include({ status: 1 });
    expect(install().stderr).to.include('rtprelay: the package has no native engine');
  });
});
