import { expect } from 'chai';
import { loadConfig } from '../../../src/config/config.js';
import { configError, configOf, files, minimal } from '../../support/unit/config.js';

const replay = [
  ...['--replay-interface=eth1', '--replay-listen=10.0.0.11:2230', '--replay-peer=10.0.0.12:2230'],
  ...['--replay-listen=[fd00::1]:2230', '--replay-peer=[fd00::2]:2231', '--replay-key-file=/key'],
];

describe('the options of replay', () => {
  const refusal = (...argv: string[]): { message: string; option: string | null } =>
    configError(() => configOf([...minimal, ...argv]));

  it('are none by default, and pairs of addresses otherwise', () => {
    expect(configOf(minimal).media.replay).to.equal(null);
    expect(configOf([...minimal, ...replay]).media.replay).to.deep.equal({
      devices: ['eth1'],
      paths: [
        {
          local: { address: '10.0.0.11', port: 2230 },
          peer: { address: '10.0.0.12', port: 2230 },
        },
        { local: { address: 'fd00::1', port: 2230 }, peer: { address: 'fd00::2', port: 2231 } },
      ],
      keyFile: '/key',
      windowMs: 100,
    });
  });

  it('come from a file as well', () => {
    const file =
      '[rtpengine]\nreplay-interface = eth1;eth2\nreplay-listen = 10.0.0.11:2230;10.1.0.11:2230\n' +
      'replay-peer = 10.0.0.12:2230;10.1.0.12:2230\nreplay-key-file = /key\n';
    const config = configOf([...minimal, '--config-file=/f'], { '/f': file });
    expect(config.media.replay?.devices).to.deep.equal(['eth1', 'eth2']);
    expect(config.media.replay?.paths).to.have.lengthOf(2);
  });

  it('are wanted all, with media in user space', () => {
    for (const missing of ['interface', 'listen', 'peer', 'key-file']) {
      const rest = replay.filter((each) => !each.startsWith(`--replay-${missing}=`));
      expect(refusal(...rest)).to.deep.include({ option: `replay-${missing}` });
    }
    expect(refusal(...replay, '--table=0').message).to.include('--kernel-forward=none');
    expect(configOf([...minimal, ...replay, '--table=0', '--kernel-forward=none']).media.replay).to
      .not.be.null;
  });

  it('keep packets for as long as is asked, if there are any', () => {
    const window = '--replay-window=500';
    expect(configOf([...minimal, ...replay, window]).media.replay?.windowMs).to.equal(500);
    expect(configOf([...minimal, window]).warnings.join()).to.include('there is no --replay-int');
    expect(refusal(...replay, '--replay-window=5000').option).to.equal('replay-window');
  });

  it('are refused when they cannot be right', () => {
    const more = (...argv: string[]): string => refusal(...replay, ...argv).message;
    expect(more('--replay-peer=10.0.0.13:2230')).to.include('one of each for each path');
    const pair = (local: string, peer: string): string =>
      more(`--replay-listen=${local}`, `--replay-peer=${peer}`);
    expect(pair('node1:2230', '10.0.0.13:2230')).to.include("Invalid IP or port 'node1:2230'");
    expect(pair('2230', '10.0.0.13:2230')).to.include("Invalid IP or port '2230'");
    expect(pair('10.0.0.11:0', '10.0.0.13:2230')).to.include("Invalid IP or port '10.0.0.11:0'");
    expect(pair('10.0.0.11:2230', '[fd00::2]:2230')).to.include('IPv4 and IPv6');
    const third = ['--replay-listen=10.2.0.11:1', '--replay-peer=10.2.0.12:1'];
    expect(more(...third, ...third, ...third)).to.include('More than 4 paths');
    const devices = ['a', 'b', 'c', 'd'].map((each) => `--replay-interface=${each}`);
    expect(more(...devices)).to.include('More than 4 devices');
  });

  it('are looked at by --check', () => {
    const argv = ['--check', ...minimal, ...replay, '--kernel-forward=tc'];
    const invocation = loadConfig(argv, {}, files({}), { cores: 2 });
    expect(JSON.stringify(invocation)).to.include('Replay takes media in user space');
  });
});
