import { expect } from 'chai';
import { runCommand } from '../../../../src/daemon/cli/commands.js';
import { parameterLines } from '../../../../src/daemon/cli/parameters.js';
import { configOf, minimal } from '../../../support/unit/config.js';
import { answerTo, FakeTarget, observedCall } from '../../../support/unit/cli.js';

describe('operator command', () => {
  let target: FakeTarget;
  beforeEach(() => {
    target = new FakeTarget();
  });
  const run = (line: string): string => {
    const reply = runCommand(target, line);
    return typeof reply === 'string' ? reply : expect.fail('a promise');
  };

  it('drains with a time limit, with the one of the option, and takes new calls again', () => {
    expect(run('drain 30')).to.equal('Draining, 0 calls left.\n');
    run('drain');
    run('drain off');
    expect(run('drain soon')).to.match(/^Fail draining; 'soon' is neither/);
    expect(target.asked).to.deep.equal(['drain 30', 'drain default', 'cancel drain']);
  });

  /** Texts of rtpengine 10.5, observed. */
  const observed: readonly (readonly [line: string, text: string])[] = [
    ['list', 'More parameters required.\n'],
    ['list sessions', 'More parameters required.\n'],
    ['foo', 'Unknown or incomplete command::foo\n'],
    ['list foo', 'Unknown or incomplete command::foo\n'],
    ['GET numsessions', 'Unknown or incomplete command::GET numsessions\n'],
    ['list sessions all', 'No sessions on this media relay.\n'],
    ['list sessions own', 'No own sessions on this media relay.\n'],
    ['list sessions foreign', 'No foreign sessions on this media relay.\n'],
    ['list sessions recording', 'No recording sessions on this media relay.\n'],
    ['list sessions nosuch', '\nCall ID not found (nosuch).\n\n'],
    ['list maxsessions', 'Maximum sessions configured on rtpengine: -1\n'],
    [
      'list maxopenfiles',
      'Maximum open-files configured on rtpengine: 20000; cat /proc/4711/limits\n',
    ],
    ['list maxcpu', 'Maximum CPU usage configured on rtpengine: 0.0\n'],
    ['list maxload', 'Maximum load average configured on rtpengine: 0.00\n'],
    ['list maxbw', 'Maximum bandwidth configured on rtpengine: 0\n'],
    ['list timeout', 'TIMEOUT=60\n'],
    ['list silenttimeout', 'SILENT_TIMEOUT=3600\n'],
    ['get finaltimeout', 'FINAL_TIMEOUT=0\n'],
    ['list offertimeout', 'OFFER_TIMEOUT=3600\n'],
    ['list redisconnecttimeout', '1000\n'],
    ['list deletedelay', '30\n'],
    ['list loglevel core', '6\n'],
    ['list transcoders', 'No stats entries\n'],
    ['set', 'More parameters required.\n'],
    ['set maxsessions', 'More parameters required.\n'],
    ['set maxsessions 5', 'Success setting maxsessions to 5\n'],
    ['set maxsessions -1', 'Success setting maxsessions to -1; disable feature\n'],
    [
      'set maxsessions -7',
      'Fail setting maxsessions to -7; either positive or -1 values allowed\n',
    ],
    ['set maxsessions abc', 'Fail setting maxsessions to abc; no digists found\n'],
    ['set maxcpu 1.5', 'Success setting maxcpu to 1.5\n'],
    ['set maxload 3.5', 'Success setting maxload to 3.50\n'],
    ['set timeout 70', 'Success setting timeout to 70\n'],
    ['set silenttimeout 100', 'Success setting timeout to 100\n'],
    ['set loglevel 7', 'Success setting loglevel to 7\n'],
    ['set loglevel core', 'More parameters required.\n'],
    ['set redisallowederrors 3', 'Success setting redis-allowed-errors to 3\n'],
    ['set deletedelay 5', 'Success setting delete-delay to 5\n'],
    ['set redisdisable', 'More parameters required.\n'],
    ['set redisdisable 0', 'No redis write to re-enable\n'],
    ['set redisdisable 1', 'Success disable redis write\n'],
    ['set redisdisable x', 'Fail setting redisdisable to x; no digists found\n'],
    ['set foo 3', 'Unknown or incomplete command::foo 3\n'],
    ['terminate', 'More parameters required.\n'],
    ['terminate nosuch', '\nCall Id not found (nosuch).\n\n'],
    ['terminate all', 'All calls terminated by operator.\n'],
    ['terminate own', 'All own calls terminated by operator.\n'],
    ['terminate foreign', 'All foreign calls terminated by operator.\n'],
    ['params', 'More parameters required.\n'],
    ['params foo', 'Unknown or incomplete command::foo\n'],
    ['params diff', ''],
    ['params revert', ''],
    ['kslist', '\nSubscribed-on keyspaces:\n\n'],
    ['ksadd', 'More parameters required.\n'],
    ['debug', 'No call ID specified\n'],
    ['debug nosuch on', "Call ID 'nosuch' not found\n"],
    ['call', 'More parameters required.\n'],
    ['call nosuch info', "No such call 'nosuch'\n"],
    [
      'list interfaces',
      "Interface 'lo' address '127.0.0.1' (IPv4)\n Port range: 42000 - 42999\n" +
        ' Ports used:     4 /  1000 (  0.4%)\n Last port used: 42022\n',
    ],
  ];
  for (const [line, text] of observed) {
    it(`answers '${line}' as rtpengine does`, async () => {
      expect(await answerTo(target, line)).to.equal(text);
    });
  }

  it('counts and lists calls', async () => {
    target.calls = [observedCall, { ...observedCall, callId: 'f', foreign: true }];
    expect(run('list numsessions')).to.equal(
      'Current sessions own: 1\nCurrent sessions foreign: 1\nCurrent sessions total: 2\n' +
        'Current transcoded media: 0\nCurrent sessions ipv4 only media: 1\n' +
        'Current sessions ipv6 only media: 0\nCurrent sessions ip mixed  media: 0\n',
    );
    expect(await answerTo(target, 'list sessions own')).to.equal(
      'callid:                                                         mosx | deletionmark:  no | ' +
        'created:  1795401470 | proxy:127.0.0.1:44293 | redis_keyspace:0 | foreign:no\n',
    );
    expect((await answerTo(target, 'list sessions all')).split('\n')).to.have.length(3);
    expect(await answerTo(target, 'list sessions foreign')).to.include('foreign:yes');
  });

  it('shows a call in full', () => {
    target.calls = [observedCall];
    const text =
      '\ncallid: mosx\ndeletionmark: no\ncreated: 1795401470\nproxy: 127.0.0.1:44293\ntos: 0\n' +
      'last_signal: 1795401470\nredis_keyspace: 0\nforeign: no\n\n' +
      "--- Tag 'a', type: FROM_TAG, label 'A', branch '', callduration 4.066892\n" +
      "---     subscribed to 'b'\n---     subscription of 'b'\n" +
      '------ Media #1 (audio over RTP/AVP) using PCMU/8000\n' +
      '-------- Port       127.0.0.1:42020 <>       127.0.0.1:24000, SSRC 1111, 150 p, 25800 b, 0 e, 1795401473 ts\n' +
      '-------- Port       127.0.0.1:42021 <>                :0     (RTCP), SSRC 0, 0 p, 0 b, 0 e, 1795401473 ts\n\n';
    expect(run('list sessions mosx')).to.equal(text);
    expect(run('call mosx info')).to.equal(text);
    expect(run('call mosx tag a info')).to.match(/^--- Tag 'a'/);
    expect(run('call mosx tag zz info')).to.equal("No such tag 'zz'\n");
  });

  it('ends one call or all of a kind', async () => {
    target.calls = [observedCall, { ...observedCall, callId: 'f', foreign: true }];
    expect(run('terminate mosx')).to.equal(
      '\nCall Id (mosx) successfully terminated by operator.\n\n',
    );
    expect(await runCommand(target, 'terminate own')).to.equal(
      'All own calls terminated by operator.\n',
    );
    expect(target.calls.map(({ callId }) => callId)).to.deep.equal(['f']);
    expect(await runCommand(target, 'terminate all')).to.equal(
      'All calls terminated by operator.\n',
    );
    expect(target.calls).to.deep.equal([]);
  });

  it('changes settings, names what changed, and takes it back', () => {
    run('set timeout 70');
    run('set maxsessions 5');
    expect(run('params diff')).to.equal('timeout: 60 => 70\nmax-sessions: -1 => 5\n');
    expect(run('params current')).to.equal('table = -1\ntimeout = 70\nmax-sessions = 5\n');
    run('params revert');
    expect(run('params diff')).to.equal('');
    expect(run('params start')).to.include('timeout = 60\n');
  });

  it('says whose all calls are from then on', async () => {
    expect(await runCommand(target, 'active')).to.equal("Ok, all calls set to 'owned (active)'\n");
    expect(await runCommand(target, 'standby')).to.equal(
      "Ok, all calls set to 'foreign (standby)'\n",
    );
  });

  it('sets what is a number as a whole, and nothing else', () => {
    for (const word of ['1e9', '10x', '0x10', '5s', '1.5', '', '--5', '99999999999999999999']) {
      for (const name of ['maxsessions', 'timeout', 'maxbw', 'deletedelay', 'redisdisabletime']) {
        const before = run(`list ${name}`);
        const reply = run(`set ${name} ${word}`);
        expect(reply).to.match(word === '' ? /^More parameters/ : /^Fail setting /);
        expect(run(`list ${name}`)).to.equal(before);
      }
    }
    for (const word of ['1.5x', 'nan', 'Infinity', '1,5']) {
      expect(run(`set maxload ${word}`)).to.match(/^Fail setting maxload /);
    }
    expect(run('set maxload 1.5')).to.equal('Success setting maxload to 1.50\n');
    expect(run('set maxcpu 101')).to.match(/^Fail setting maxcpu to 101; out of range/);
    expect(run('set timeout 2147483648')).to.match(/out of range, at most 2147483647/);
    expect(run('set maxbw 99999999999')).to.equal('Success setting maxbw to 99999999999\n');
  });

  it('lists what can stand at each level', () => {
    expect(run('help')).to.include('\n\tdrain\n').and.include('\n\treload\n');
    expect(run('list help')).to.include('\n\tsessions\n').and.include('\n\tmaxopenfiles\n');
    expect(run('set help')).to.include('\n\tmaxsessions\n');
  });

  it('shows no control character of a call, and takes the name that it shows', async () => {
    const callId = 'a\x1b[2J\nINFO: forged\x9b31m b';
    const [participant] = observedCall.participants;
    const nasty = { ...participant, tag: 'x\x07', label: '\x9d0;t\x9c', viaBranch: 'z\ny' };
    target.calls = [
      {
        ...observedCall,
        callId,
        participants: participant === undefined ? [] : [{ ...participant, ...nasty }],
      },
    ];
    const list = await answerTo(target, 'list sessions all');
    const shown = 'a\\x1b[2J\\nINFO: forged\\x9b31m b';
    expect(list).to.include(shown);
    for (const text of [list, run(`list sessions ${shown}`)]) {
      expect(text).to.not.match(/[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    }
    const details = run(`list sessions ${shown}`);
    expect(details).to.include("Tag 'x\\x07'").and.include("branch 'z\\ny'");
    expect(run(`terminate ${shown}`)).to.include('successfully terminated');
  });

  it('says why a setting cannot be had', () => {
    expect(run('set maxopenfiles 200000')).to.equal(
      'Fail setting open_files to 200000; not permitted\n',
    );
    expect(run('set controltos 300')).to.match(/^Fail setting control-tos to 300/);
    expect(run('set redisconnecttimeout 0')).to.match(/^Fail setting redis-connect-timeout to 0/);
    expect(target.settings.controltos).to.equal(0);
  });

  it('sets log levels of one subsystem or of all', () => {
    run('set loglevel rtcp 3');
    expect([target.logLevel('rtcp'), target.logLevel('core')]).to.deep.equal([3, 6]);
    run('set loglevel 5');
    expect([target.logLevel('rtcp'), target.logLevel('core')]).to.deep.equal([5, 5]);
    // All of them, beyond the scale too, as 10.5.
    expect(run('set loglevel 9')).to.equal('Success setting loglevel to 9\n');
    expect(run('list loglevel')).to.include('core = 9\n').and.include('internals = 9\n');
    expect(run('list loglevel core')).to.equal('9\n');
    expect(run('set loglevel -5')).to.equal('More parameters required.\n');
    expect(run('set loglevel 3x')).to.equal('Fail setting loglevel to 3x; no digists found\n');
    expect(run('list loglevels')).to.include(
      "core - Everything that isn't part of another subsystem\n",
    );
    expect(run('set loglevel nope 5')).to.equal("Unknown log subsystem 'nope'\n");
  });

  it('turns debugging of a call on and off', () => {
    target.calls = [observedCall];
    expect(run('debug mosx')).to.equal("Enabled debugging for call 'mosx'\n");
    expect(run('call mosx debug off')).to.equal("Disabled debugging for call 'mosx'\n");
    expect(run('debug mosx foo')).to.equal("Invalid on/off flag ('foo') specified\n");
    expect(target.debugged).to.deep.equal(['mosx on', 'mosx off']);
  });

  it('shows the statistics as text and as JSON', () => {
    const totals = run('list totals');
    expect(totals).to.match(
      /^\nStatistics over currently running sessions:\n\n Owned sessions {34}:1\n/,
    );
    expect(totals).to.include(' Uptime of rtpengine                             :6 seconds\n');
    expect(totals).to.include(
      ' Average call duration                           :0.050309 seconds\n',
    );
    expect(totals).to.include(
      ' Min/Max/Avg ping processing delay               :0.100000/0.300000/0.200000 sec\n',
    );
    expect(totals).to.include('                Proxy |       Ping |      Offer |');
    expect(totals).to.include('            127.0.0.1 |          0 |          2 |');
    expect(run('list counters')).to.include(
      ' Packets per second (total)                      :91\n',
    );
    expect(JSON.parse(run('list jsonstats'))).to.have.nested.property('totalstatistics.uptime', 6);
  });

  it('lists its commands', () => {
    expect(run('help')).to.include('\n\tterminate\n');
  });
});

describe('parameters of the configuration', () => {
  const shown = (form: 'start' | 'current', ...argv: readonly string[]): readonly string[] => {
    const target = new FakeTarget();
    const config = configOf([...minimal, ...argv]);
    return parameterLines(config, target, form).map(([name, value]) => `${name} = ${value}`);
  };

  it("have rtpengine's names and no passwords", () => {
    const redis = ['-r', 'geheim@10.0.0.1:6379/3'];
    const text = shown('start', ...redis, '--max-sessions=7').join('\n');
    expect(text).to.include('log-level-core = 6');
    expect(text).to.include('redis = 10.0.0.1:6379/3');
    expect(text).to.include('listen-ng = 127.0.0.1:2223');
    expect(text).to.include('interface[0] = default\\127.0.0.1 ');
    expect(text).to.not.include('geheim');
    const now = shown('current', ...redis);
    expect(now).to.include.members(['redis-db = 3', 'redis-write-db = -1', 'max-bw = 0']);
  });

  it('tell what else is configured', () => {
    const lines = shown(
      'start',
      ...['--table=4', '--graphite=127.0.0.1:2003', '--graphite-interval=5', '--no-fallback'],
      ...['--homer=127.0.0.1:9060', '--homer-protocol=tcp', '--homer-id=7', '--xmlrpc-format=2'],
      ...['--b2b-url=http://127.0.0.1/', '--log-format=json', '--recording-method=proc'],
    );
    expect(lines).to.include.members([
      ...['table = 4', 'graphite-interval = 5', 'no-fallback = 1', 'homer-protocol = 1'],
      ...['homer-id = 7', 'xmlrpc-format = 2', 'b2b_url = http://127.0.0.1/', 'log_format = 2'],
      ...['recording-method = proc', 'recording-format = raw', 'iptables-chain = (null)'],
    ]);
  });
});
