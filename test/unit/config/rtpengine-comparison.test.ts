import { expect } from 'chai';
import { spawnSync } from 'node:child_process';
import { rtpengineInstalled } from '../../support/daemons.js';
import { configError, configOf } from '../../support/unit/config.js';

const rtpengine = '/usr/bin/rtpengine';
const base = ['--config-file=none', '--table=-1', '-f', '-E', '--pidfile=/dev/null/x'];
const complete = [...base, '--interface=127.0.0.1', '--listen-ng=127.0.0.1:23911'];

/** Command lines that end before anything is opened, with the text both print (null: none there). */
const refused: readonly (readonly [argv: readonly string[], text: string | null])[] = [
  [[...complete, '--nosuch'], null],
  [[...complete, '--tim=3'], null],
  [[...complete, '--timeout=12abc'], null],
  [[...complete, '--timeout='], null],
  [[...complete, '--max-load=1.5x'], null],
  [[...complete, '--max-bandwidth=12z'], null],
  [[...complete, '-Z'], null],
  [[...complete, '--timeout'], null],
  [[...complete, '--tos=300'], 'Invalid TOS value'],
  [[...complete, '--control-tos=999'], 'Invalid control-ng TOS value'],
  [[...complete, '--redis=foo'], "Invalid Redis endpoint [IP:PORT/INT] 'foo' (--redis)"],
  [[...complete, '--listen-cli=:70000'], "Invalid IP or port ':70000' (--listen-cli)"],
  [[...base, '--listen-ng=23911'], null],
  [
    [...base, '--interface=127.0.0.1'],
    'Missing option --listen-tcp, --listen-udp, --listen-ng, --listen-tcp-ng, --listen-http, or --listen-https',
  ],
  [['--config-file=/no/such/file', '-f', '-E'], null],
];

describe('command lines that rtpengine 10.5 refuses', function () {
  before(function () {
    if (!rtpengineInstalled) this.skip();
  });

  for (const [argv, text] of refused) {
    it(`are refused by us: ${argv.slice(-1).join(' ')}`, () => {
      const theirs = spawnSync(rtpengine, argv, { encoding: 'latin1', timeout: 5000 });
      expect(theirs.status).to.be.a('number').and.not.equal(0);
      const ours = configError(() => configOf(argv)).message;
      if (text === null) return;
      expect(theirs.stderr).to.include(text);
      expect(ours).to.include(text);
    });
  }
});
