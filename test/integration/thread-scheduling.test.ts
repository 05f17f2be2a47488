/** How the daemon's threads are scheduled, as /proc has it. */
import { expect } from 'chai';
import { readFileSync, readdirSync } from 'node:fs';
import { getPriority } from 'node:os';
import { schedulingRefusal } from '../../src/native/relay.js';
import { MediaDaemon } from '../support/daemons.js';
import { limitMs, ProcessPair } from '../support/process-pair.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { audio, buildSdp, mediaTarget } from '../support/sdp.js';
import { pause, until } from '../support/wait.js';

/** Threads of Node and V8, which have the name of the program, or since Node 24 names of their own. */
const ofNode = /^(?!rtprelay-)/;

/** Of threads of that name: `policy nice real-time-priority`, each once (proc_pid_stat(5), fields 41, 19, 40). */
function scheduled(pid: number, name: string | RegExp): readonly string[] {
  const found = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'latin1');
    if (!isNamed(stat.slice(stat.indexOf('(') + 1, stat.lastIndexOf(')')), name)) return [];
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
    return [`${fields[38]} ${fields[16]} ${fields[37]}`];
  });
  return [...new Set(found)];
}

/** Where threads of that name may run, each list once (proc(5), Cpus_allowed_list). */
function allowed(pid: number, name: string | RegExp): readonly string[] {
  const found = readdirSync(`/proc/${pid}/task`).flatMap((thread) => {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'latin1');
    return isNamed(/^Name:\t(.*)$/m.exec(status)?.[1] ?? '', name)
      ? [/^Cpus_allowed_list:\s*(\S+)$/m.exec(status)?.[1] ?? '']
      : [];
  });
  return [...new Set(found)].sort();
}

/** The numbers of the system calls that threads of that name are in (proc(5), /proc/PID/syscall). */
const systemCalls = (pid: number, name: string): readonly number[] =>
  readdirSync(`/proc/${pid}/task`)
    .filter((thread) => readFileSync(`/proc/${pid}/task/${thread}/comm`, 'latin1').trim() === name)
    .map((thread) =>
      Number.parseInt(readFileSync(`/proc/${pid}/task/${thread}/syscall`, 'latin1')),
    );

/** clock_nanosleep, on x86-64 and arm64. */
const isSleepUntil = (number: number): boolean => number === (process.arch === 'arm64' ? 115 : 230);

const isNamed = (thread: string, name: string | RegExp): boolean =>
  typeof name === 'string' ? thread === name : name.test(thread);

describe('threads are scheduled', function () {
  this.timeout(120_000);
  const own = getPriority();

  interface Seen {
    readonly media: readonly string[];
    readonly dtls: readonly string[];
    readonly others: readonly string[];
    /** CPUs of the media threads; of all others. */
    readonly cpus: readonly string[];
    readonly otherCpus: readonly string[];
    readonly log: string;
  }

  async function seenWith(...extra: readonly string[]): Promise<Seen> {
    const daemon = await MediaDaemon.start('rtprelayd', { extra: ['--no-pair', ...extra] });
    try {
      const threads = (name: string | RegExp): readonly string[] =>
        scheduled(daemon.process.pid, name);
      return {
        media: threads('rtprelay-media'),
        dtls: threads('rtprelay-dtls'),
        others: threads(ofNode),
        cpus: allowed(daemon.process.pid, 'rtprelay-media'),
        otherCpus: [
          ...allowed(daemon.process.pid, 'rtprelay-dtls'),
          ...allowed(daemon.process.pid, ofNode),
        ],
        log: daemon.process.stderr,
      };
    } finally {
      await daemon.stop('SIGKILL');
    }
  }

  it('media before all others, handshakes after them', async () => {
    const { media, dtls, others, log } = await seenWith();
    const may = schedulingRefusal({ policy: 'default', priority: -10 }) === null;
    expect(media).to.deep.equal([`0 ${may ? -10 : own} 0`]);
    expect(dtls).to.deep.equal(['0 10 0']);
    expect(others).to.deep.equal([`0 ${own} 0`]);
    expect(log).to.not.match(/scheduling/);
  });

  it('as priority and scheduling say', async function () {
    if (schedulingRefusal({ policy: 'rr', priority: 2 }) !== null) this.skip();
    const nice = await seenWith('--priority=3', '--idle-scheduling=Batch', '--idle-priority=7');
    expect(nice.media).to.deep.equal(['0 3 0']);
    expect(nice.dtls).to.deep.equal(['3 7 0']);
    const untouched = await seenWith('--scheduling=none', '--idle-scheduling=default');
    expect(untouched.media).to.deep.equal([`0 ${own} 0`]);
    expect(untouched.dtls).to.deep.equal([`0 ${own} 0`]);
    const realtime = await seenWith('--scheduling=rr', '--priority=2');
    expect(realtime.media).to.deep.equal(['2 0 2']);
  });

  it('as the process, with a warning, where that is refused', async () => {
    const refused = await seenWith('--scheduling=fifo', '--priority=-5');
    expect(refused.media).to.deep.equal([`0 ${own} 0`]);
    expect(refused.log).to.match(/WARNING: .*scheduling=fifo, priority -5: Invalid argument/);
    const unknown = await seenWith('--scheduling=brisk', '--priority=4');
    expect(unknown.media).to.deep.equal(['0 4 0']);
    expect(unknown.log).to.match(/WARNING: .*scheduling=brisk: there is no such policy/);
  });

  it('where media-cpus says, the media threads alone', async function () {
    const own = allowed(process.pid, ofNode).join();
    const [first = 0, last = first] = own.split(/[-,]/).map(Number);
    if (first === last) this.skip();
    const free = await seenWith();
    expect(free.cpus).to.deep.equal([own]);
    const one = await seenWith(`--media-cpus=${last}`);
    expect(one.cpus).to.deep.equal([`${last}`]);
    expect(one.otherCpus).to.deep.equal([own, own]);
    const each = await seenWith(`--media-cpus=${first},${last}`, '--num-threads=3');
    expect(each.cpus).to.deep.equal([`${first}`, `${last}`].sort());
    expect(each.log).to.not.match(/media-cpus/);
    const absent = await seenWith(`--media-cpus=${first},8191`);
    expect(absent.cpus).to.deep.equal([`${first}`, own].sort());
    expect(absent.log).to.match(/WARNING: .*media-cpus: 8191: Invalid argument/);
    const few = await seenWith(`--media-cpus=${first},${last}`, '--num-threads=1');
    expect(few.cpus).to.deep.equal([`${first}`]);
    expect(few.log).to.match(/WARNING: .*media-cpus: 2 CPUs for 1 threads/);
  });

  it('to rest while many packets come, unless coalesce-usecs says that none waits', async () => {
    expect(await restsWith('--coalesce-usecs=2000', 10_000), 'up to 2 ms').to.equal(true);
    expect(await restsWith('--coalesce-usecs=0', 300), 'not at all').to.equal(false);
  });

  /** Whether a media thread is seen to sleep until a moment, in so many looks while bursts of packets come. */
  async function restsWith(option: string, looks: number): Promise<boolean> {
    const daemon = await MediaDaemon.start('rtprelayd', { extra: ['--no-pair', option] });
    const ng = daemon.client();
    const phone = await RtpEndpoint.open();
    try {
      const sdp = buildSdp({ address: phone.address, media: [audio(phone.port)] });
      const offered = await ng.ask({ command: 'offer', 'call-id': 'rest', 'from-tag': 'a', sdp });
      const target = mediaTarget(String(offered['sdp']));
      for (let look = 0; look < looks; look += 1) {
        for (let i = 0; i < 40; i += 1) phone.sendNext(target);
        await pause(1);
        if (systemCalls(daemon.process.pid, 'rtprelay-media').some(isSleepUntil)) return true;
      }
      return false;
    } finally {
      phone.close();
      ng.close();
      await daemon.stop('SIGKILL');
    }
  }

  it('of a pair at once where packets wait for them, and as usual when those are relayed', async function () {
    if (schedulingRefusal({ policy: 'fifo', priority: 1 }) !== null || own !== 0) this.skip();
    const pair = new ProcessPair(['--port-mode=bound']);
    try {
      await pair.warm(1);
      const active = pair.active();
      const [spare = 0] = pair.children().filter((pid) => pid !== active);
      expect(scheduled(pair.parent.pid, 'rtprelay-pair')).to.deep.equal(['1 0 1']);
      for (const pid of [active, spare]) {
        expect(scheduled(pid, 'rtprelay-pair')).to.deep.equal(['1 0 1']);
        expect(scheduled(pid, ofNode)).to.deep.equal(['0 0 0']);
      }
      expect(scheduled(active, 'rtprelay-media')).to.deep.equal(['0 -10 0']);
      expect(scheduled(spare, 'rtprelay-waits')).to.deep.equal(['1 -10 1']);
      process.kill(active, 'SIGKILL');
      await pair.serves(2);
      const media = (): string => scheduled(spare, 'rtprelay-media').join();
      await until(() => media() === '0 -10 0', 'media threads as usual', limitMs);
      expect(scheduled(spare, 'rtprelay-waits')).to.deep.equal([]);
      expect(scheduled(spare, 'rtprelay-dtls')).to.deep.equal(['0 10 0']);
      expect(scheduled(spare, ofNode)).to.deep.equal(['0 0 0']);
    } finally {
      await pair.stop();
    }
  });
});
