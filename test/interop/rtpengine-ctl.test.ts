/** Debian's rtpengine-ctl, unmodified: what rtpengine 10.5 has at each level is there, with texts of the same form. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon, rtpengineInstalled, type DaemonKind } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp } from '../support/ng-client.js';

const program = '/usr/bin/rtpengine-ctl';
const run = promisify(execFile);

/** Numbers, addresses and blanks left out; rtpengine names the tags of a call in an order that changes. */
const form = (text: string): string => {
  const [head = '', ...tags] = text
    .replace(/\d+\.\d+\.\d+\.\d+/g, 'A')
    .replace(/\d+(\.\d+)?/g, 'N')
    .replace(/[ \t]+/g, ' ')
    .trim()
    .split(/^(?=-* ?--- Tag )/m);
  return [head, ...tags.map((tag) => tag.trim()).toSorted()].join('\n');
};

const levels = [
  'help',
  'list help',
  'set help',
  'params help',
  'call c1 help',
  'call c1 tag a help',
];

const alike: readonly string[] = [
  ...['list numsessions', 'list sessions all', 'list sessions own', 'list sessions foreign'],
  ...['list sessions c1', 'list sessions zz', 'list totals', 'list counters', 'list interfaces'],
  ...['list transcoders', 'list loglevels', 'list loglevel', 'list loglevel core', 'get timeout'],
  ...['list maxsessions', 'list maxopenfiles', 'list maxcpu', 'list maxload', 'list maxbw'],
  ...['list timeout', 'list silenttimeout', 'list finaltimeout', 'list offertimeout'],
  ...['list redisallowederrors', 'list redisdisabletime', 'list redisconnecttimeout'],
  ...['list rediscmdtimeout', 'list controltos', 'list deletedelay', 'call c1 info'],
  ...['call c1 tag a info', 'set maxsessions 5', 'set maxcpu 50.5', 'set maxload 3.5'],
  ...['set maxsessions x', 'set timeout 61', 'set silenttimeout 100', 'set finaltimeout 0'],
  ...['set offertimeout 100', 'set loglevel core 6', 'set deletedelay 3', 'list', 'set', 'params'],
  ...['terminate', 'bogus', 'list bogus', 'call zz info', 'terminate zz', 'terminate c1'],
  ...['call c2 terminate'],
];

describe('rtpengine-ctl', function () {
  this.timeout(120_000);
  const daemons: MediaDaemon[] = [];
  const ports: number[] = [];

  before(async function () {
    if (!existsSync(program) || !rtpengineInstalled) return this.skip();
    for (const kind of ['rtpengine', 'rtprelayd'] as const satisfies readonly DaemonKind[]) {
      const port = freeTcpPort();
      const daemon = await MediaDaemon.start(kind, { extra: [`--listen-cli=127.0.0.1:${port}`] });
      const client = daemon.client();
      const ids = { 'call-id': 'c1', 'from-tag': 'a' };
      await client.request({ command: 'offer', ...ids, sdp: audioSdp(4000) });
      await client.request({ command: 'answer', ...ids, 'to-tag': 'b', sdp: audioSdp(4002) });
      const turned = { 'call-id': 'c1', 'from-tag': 'b', 'to-tag': 'a' };
      await client.request({ command: 'offer', ...turned, sdp: audioSdp(4002) });
      await client.request({ command: 'answer', ...turned, sdp: audioSdp(4000) });
      const forked = { 'call-id': 'c2', 'from-tag': 'a', sdp: audioSdp(4000) };
      for (const branch of ['x', 'y'])
        await client.request({ command: 'offer', ...forked, 'via-branch': branch });
      for (const branch of ['x', 'y']) {
        const answer = { command: 'answer', ...forked, 'to-tag': branch, 'via-branch': branch };
        await client.request(answer);
      }
      client.close();
      daemons.push(daemon);
      ports.push(port);
    }
  });
  after(async () => {
    for (const daemon of daemons) await daemon.stop();
  });

  /** By the program, or what it would send. */
  const ask = async (line: string, byProgram = true): Promise<readonly string[]> =>
    Promise.all(
      ports.map(async (port) => {
        if (!byProgram) return cliAsk(port, line);
        const where = ['-ip', '127.0.0.1', '-port', String(port)];
        return (await run(program, [...where, ...line.split(' ')], { encoding: 'latin1' })).stdout;
      }),
    );

  it('finds all that rtpengine has at each level', async () => {
    for (const level of levels) {
      const [theirs = [], ours = []] = (await ask(level)).map((text) =>
        text
          .split('\n')
          .slice(1)
          .map((name) => name.trim())
          .filter((name) => name !== ''),
      );
      expect(theirs, level).not.to.be.empty;
      expect(ours, level).to.include.members(theirs);
    }
  });

  it('names who called, of two that have answered and of one that has offered last', async () => {
    for (const call of ['c1', 'c2']) {
      const [theirs = [], ours = []] = (await ask(`list sessions ${call}`)).map((text) =>
        [...text.matchAll(/Tag '\w', type: \w+/g)].map(String),
      );
      expect(theirs).to.have.length(call === 'c1' ? 2 : 3);
      expect(ours.toSorted()).to.deep.equal(theirs.toSorted());
    }
  });

  it('names the parameters alike, in the same order', async () => {
    const names = (text: string): readonly string[] => {
      const all = text.split('\n').map((line) => line.split(' = ')[0] ?? '');
      // 10.5 has a line for each of two sockets of a listener, whether they are open or not.
      return all.filter((name, at) => name !== all[at - 1] && !/^listen-(?:tcp|udp)$/.test(name));
    };
    for (const form of ['start', 'current']) {
      const [theirs = [], ours = []] = (await ask(`params ${form}`)).map(names);
      // Since 12.5.
      expect(ours.filter((name) => name !== 'max-recv-iters')).to.deep.equal(theirs);
    }
  });

  it('prints the same texts', async () => {
    for (const [at, line] of alike.entries()) {
      const [theirs = '', ours = ''] = await ask(line, at % 4 === 2 || line.startsWith('list '));
      // What 10.5 does not count.
      const then = ours.replaceAll(/^.*pause recording.*\n/gm, '');
      expect(form(then), line).to.equal(form(theirs));
      expect(theirs, line).not.to.equal('');
    }
  });
});
