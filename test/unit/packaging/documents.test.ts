/** Man pages, completion and configuration file of the package say what the programs' tables say. */
import { expect } from 'chai';
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { inspect } from 'node:util';
import {
  bashCompletion,
  commandPatterns,
  zshCompletion,
} from '../../../packaging/documents/completion.js';
import { configFile } from '../../../packaging/documents/config-file.js';
import { configPage, controlPage, daemonPage } from '../../../packaging/documents/man-pages.js';
import { ConfigSource } from '../../../src/config/config.js';
import { options } from '../../../src/config/options.js';
import { commandUsage, controlOptions } from '../../../src/daemon/cli/usage.js';
import { isInstalled, TemporaryFolder } from '../../support/child-process.js';

const edition = { version: '1.2.3', date: '2026-01-02' };
const done = options.filter(({ status }) => status === 'honoured');
const plain = (roff: string): string => roff.replaceAll('\\-', '-').replaceAll('\\e', '\\');

describe('the man pages', () => {
  it('have every option and every command', () => {
    const [daemon, config, control] = [daemonPage, configPage, controlPage].map((page) =>
      plain(page(edition)),
    );
    for (const { name } of options) expect(daemon, name).to.match(new RegExp(`--${name}\\b`));
    for (const { name } of done) {
      if (/^(version|codecs|check|config-.*)$/.test(name)) continue;
      expect(config, name).to.match(new RegExp(`fB${name} = `));
    }
    for (const [command] of commandUsage) expect(control).to.include(command);
    for (const [name] of controlOptions) expect(control).to.include(`fB-${name} `);
  });

  it('are taken by groff without a warning', function () {
    if (!isInstalled('groff')) this.skip();
    for (const page of [daemonPage, configPage, controlPage]) {
      const words = ['-man', '-ww', '-Tutf8', '-K', 'utf8'];
      const { stderr, stdout } = spawnSync('groff', words, {
        input: page(edition),
        encoding: 'utf8',
      });
      expect(stderr).to.equal('');
      expect(stdout).to.include('rtprelay 1.2.3');
    }
  });
});

describe('the configuration file of the package', () => {
  const text = configFile();
  const load = (content: string) =>
    new ConfigSource(['--config-file=/x'], {}, () => content, { cores: 4 }).load();

  it('starts the daemon without a warning, and has every option that is done', () => {
    const invocation = load(text);
    expect(invocation.kind).to.equal('run');
    if (invocation.kind === 'run') expect(invocation.config.warnings).to.deep.equal([]);
    for (const { name } of done) {
      if (/^(version|codecs|check|config-.*|foreground|pidfile|socket-store)$/.test(name)) continue;
      expect(text, name).to.match(new RegExp(`^#?${name} = `, 'm'));
    }
  });

  it('has defaults behind the comment signs', () => {
    const without = (line: string): string =>
      line.replace(/^#([a-z][a-z0-9-]* = [^<\n]*)$/gm, '$1');
    const [asShipped, uncommented] = [load(text), load(without(text))];
    if (asShipped.kind !== 'run' || uncommented.kind !== 'run') throw new Error('does not run');
    const shown = (config: object): string =>
      inspect({ ...config, warnings: [], given: null }, { depth: null, sorted: true });
    expect(shown(uncommented.config)).to.equal(shown(asShipped.config));
  });
});

describe('completion', () => {
  const folder = new TemporaryFolder('completion');
  after(() => folder.remove());

  /** What bash offers behind `line`. */
  const bash = (line: string): readonly string[] => {
    writeFileSync(folder.file('bash'), bashCompletion());
    const words = line.split(' ');
    const script = `source "$1"; COMP_LINE=$2; COMP_POINT=\${#2}; read -ra COMP_WORDS <<<"$2"
      [[ $2 != *' ' ]] || COMP_WORDS+=(''); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); _${words[0]}
      printf '%s\\n' "\${COMPREPLY[@]}"`;
    const output = execFileSync('bash', ['-c', script, 'bash', folder.file('bash'), line], {
      encoding: 'utf8',
    });
    return output.split('\n').filter((word) => word !== '');
  };
  /** What zsh offers for a command of rtprelayctl. */
  const zsh = (line: string): readonly string[] => {
    writeFileSync(folder.file('zsh'), zshCompletion());
    const script = `service=none; _arguments() { : }; compadd() { shift; print -l -- "$@" }; source $1
      words=("\${(@s: :)2}"); CURRENT=\${#words}; _rtprelayctl_commands`;
    const output = execFileSync('zsh', ['-fc', script, 'zsh', folder.file('zsh'), line], {
      encoding: 'utf8',
    });
    return output.split('\n').filter((word) => word !== '');
  };

  it('of bash offers options, their words, and commands word by word', () => {
    expect(bash('rtprelayd --redis-form')).to.deep.equal(['--redis-format=']);
    expect(bash('rtprelayd --redis-format=JSON-')).to.deep.equal(['JSON-10.5', 'JSON-12.5']);
    expect(bash('rtprelayd --foreground --kernel-forward=xd')).to.deep.equal([
      'xdp',
      'xdp-generic',
    ]);
    expect(bash('rtprelayctl expl')).to.deep.equal(['explain']);
    expect(bash('rtprelayctl -port 9900 list sessions ')).to.have.members([
      'all',
      'own',
      'foreign',
    ]);
    expect(bash('rtprelayctl set max')).to.deep.equal([
      'maxsessions',
      'maxopenfiles',
      'maxcpu',
      'maxload',
      'maxbw',
    ]);
    expect(bash('rtprelayctl call some-id ')).to.include.members(['info', 'terminate', 'tag']);
    expect(bash('rtprelayctl -conf')).to.deep.equal(['-config-file', '-config-section']);
  });

  it('of zsh offers the same commands', function () {
    if (!isInstalled('zsh')) this.skip();
    for (const line of ['', 'list ', 'call x ', 'call x debug ', 'params ', 'drain ', 'set ']) {
      const expected = bash(`rtprelayctl ${line}`);
      expect(expected, line).to.not.deep.equal([]);
      expect(new Set(zsh(line)), line).to.deep.equal(new Set(expected));
    }
  });

  it('of zsh is one that zsh can read, with every option', function () {
    if (!isInstalled('zsh')) this.skip();
    writeFileSync(folder.file('zsh'), zshCompletion());
    const script = 'service=rtprelayd; _arguments() { print -l -- "$@" }; source $1';
    const output = execFileSync('zsh', ['-fc', script, 'zsh', folder.file('zsh')], {
      encoding: 'utf8',
    });
    for (const { name } of options) expect(output).to.match(new RegExp(`^\\*?--${name}[=[]`, 'm'));
  });

  it('knows every command', () => {
    const patterns = commandPatterns();
    for (const [command] of commandUsage) {
      const first = /^[a-z]+/.exec(command)?.[0];
      if (first === undefined) continue;
      expect(
        patterns.some((each) => each.split(' ')[0]?.split('|').includes(first)),
        command,
      ).to.equal(true);
    }
  });
});
