import { expect } from 'chai';
import { loadConfig, type CheckReport } from '../../../src/config/config.js';
import { checkText } from '../../../src/config/help.js';
import { files, minimal } from '../../support/unit/config.js';

const path = '/etc/rtpengine/rtpengine.conf';

function check(argv: readonly string[], text?: string): CheckReport {
  const texts = text === undefined ? {} : { [path]: text };
  const invocation = loadConfig(['--check', ...argv], {}, files(texts), { cores: 2 });
  if (invocation.kind !== 'check') throw new Error(`unexpected ${invocation.kind}`);
  return invocation.report;
}

describe('--check', () => {
  it('sorts what was given', () => {
    const report = check(
      [],
      '[rtpengine]\ninterface = 127.0.0.1\nlisten-ng = 2223\nkernel-slots = 5\nportmin = 4000\n',
    );
    expect(report).to.deep.equal({
      file: path,
      supported: ['interface', 'listen-ng'],
      ignored: [
        {
          name: 'kernel-slots',
          reason: 'tuning of the packet path by this option is not available in this version',
        },
        { name: 'portmin', reason: 'no such option' },
      ],
      wrong: [],
    });
  });

  it('names every mistake, not only the first', () => {
    const { wrong, supported } = check(
      [],
      '[rtpengine]\ninterface = 1.2.3\nlisten-ng = 2223\ntimeout = soon\nnftables-start = true\nport-min = 50000\n',
    );
    expect(wrong.map((line) => line.replaceAll(path, 'FILE'))).to.deep.equal([
      "FILE, line 4: value 'soon' of timeout is not a whole number",
      'Option --nftables-start is not supported: rtprelayd manages no firewall rules',
      "Invalid interface specification: '1.2.3' (no IP address or name)",
      'Invalid port range: --port-min=50000 is not below --port-max=39999',
    ]);
    expect(supported).to.deep.equal(['listen-ng']);
  });

  it('is content with a start that needs no file', () => {
    const report = check(minimal);
    expect(report.wrong).to.deep.equal([]);
    expect(checkText(report)).to.equal(
      'Configuration: the command line alone\n' +
        'Supported (3):\n  config-file\n  interface\n  listen-ng\nIgnored (0):\nWrong (0):\n',
    );
  });

  it('says that nothing listens', () => {
    expect(check(['--config-file=none', '--interface=127.0.0.1']).wrong.join()).to.include(
      'Missing option --listen-tcp',
    );
  });
});
