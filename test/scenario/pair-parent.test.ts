/** The parent of a process pair, with stand-ins for its daemons. */
import { expect } from 'chai';
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pairProgram } from '../../src/native/pair.js';
import { TemporaryFolder, TestProcess } from '../support/child-process.js';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';
import { until } from '../support/wait.js';

const member = fileURLToPath(new URL('../support/pair-member.py', import.meta.url));

/** What runs; a process that has ended and was not waited for does not. */
const runs = (pid: number): boolean => {
  try {
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
};

describe('the parent of a process pair', function () {
  this.timeout(60_000);
  let namespace: NetworkNamespace;
  let folder: TemporaryFolder;
  let parent: TestProcess;

  before(function () {
    if (!namespacesAllowed()) this.skip();
    namespace = new NetworkNamespace('pair-parent');
    // So many messages may wait for it; where the kernel has one number for all, they are told one by one.
    namespace.run('sh', '-c', 'echo 256 >/proc/sys/net/unix/max_dgram_qlen');
    folder = new TemporaryFolder('pair-parent');
    const words = ['5000', '1000', '/usr/bin/env', 'python3', member, folder.file('ended')];
    parent = new TestProcess('parent', pairProgram(), words, { namespace: namespace.name });
  });
  after(async () => {
    await parent?.stop();
    namespace?.remove();
    folder?.remove();
  });

  const told = (what: string): readonly number[] =>
    [...parent.log().matchAll(new RegExp(`^${what} (\\d+)$`, 'gm'))].map(([, pid]) => Number(pid));

  it('has one active process also where two tell it of the end of the former one', async () => {
    await until(() => told('active').length === 1 && told('spare').length === 1, 'a pair');
    const [[active = 0], [spare = 0]] = [told('active'), told('spare')];
    parent.signal('SIGSTOP');
    process.kill(active, 'SIGKILL');
    await until(() => !runs(active), 'the end of the active process');
    writeFileSync(folder.file('ended'), String(active));
    process.kill(spare, 'SIGUSR1');
    await until(() => told('told').length === 1, 'a queue of messages');
    parent.signal('SIGCONT');
    await until(() => told('spare').length === 2, 'another process that stands by');
    expect(told('active')).to.deep.equal([active, spare]);
    expect(parent.log().match(/the active process \d+ was ended/g)).to.have.lengthOf(1);
    // The one that stands by now is the second of two, and the parent still knows the first.
    process.kill(spare, 'SIGKILL');
    await until(() => told('active').length === 3, 'the second takeover');
    expect(told('active').at(-1)).to.equal(told('spare')[1]);
  });
});
