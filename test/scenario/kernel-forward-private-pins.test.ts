/** As in a container that is restarted in the network that it had: what was pinned is gone with its BPF file system. */
import { expect } from 'chai';
import type { TestProcess } from '../support/child-process.js';
import { obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { expectWhole, KernelRig, RigCall } from '../support/kernel-rig.js';

describe('kernel forwarding, pinned in a BPF file system of the daemon alone', function () {
  this.timeout(120_000);
  let rig: KernelRig;

  before(async function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
    rig = new KernelRig();
    await rig.start();
  });
  after(async () => {
    await rig?.remove();
  });

  it('goes on with the flows that the attached program has, again and again', async () => {
    // `ip netns exec` gives each process a /sys of its own, the daemon mounts the file system there.
    const extra = ['--kernel-forward-pins=/sys/fs/bpf/private', '--no-pair', '--log-level=6'];
    const start = (): Promise<TestProcess> => rig.startRelay({ mode: 'tc', extra });
    let daemon = await start();
    expect(daemon.log()).to.match(/There was no BPF file system on \/sys\/fs\/bpf/);
    const call = await new RigCall(rig, 'call.').begin();
    await call.inKernel();
    for (let kills = 0; kills < 2; kills++) {
      await daemon.stop('SIGKILL');
      daemon = await start();
      expect(daemon.log()).to.match(/There was no BPF file system on \/sys\/fs\/bpf/);
      expect(daemon.log()).to.match(/Kernel forwarding: tc; .*, 2 flows found there/);
      await call.inKernel();
    }
    const report = await call.hush();
    expectWhole(report.forth, 'call.b');
    expectWhole(report.back, 'call.a');
    await call.ask('delete', { 'from-tag': 'tag-a' });
    expect(await rig.flowCount()).to.equal(0);
    await daemon.stop();
  });

  it('says that XDP ends with the process, and begins anew with the calls of Redis', async () => {
    const extra = ['--kernel-forward-pins=/sys/fs/bpf/private', '--no-pair', '--log-level=6'];
    const start = (): Promise<TestProcess> => rig.startRelay({ mode: 'xdp-generic', extra });
    let daemon = await start();
    expect(daemon.log()).to.match(/Kernel forwarding by XDP ends with this process/);
    const call = await new RigCall(rig, 'xdp.').begin();
    await call.inKernel();
    await daemon.stop('SIGKILL');
    daemon = await start();
    expect(daemon.log()).to.match(/Kernel forwarding by XDP ends with this process/);
    expect(daemon.log()).not.to.match(/flows found there/);
    await call.inKernel();
    await call.hush();
    await call.ask('delete', { 'from-tag': 'tag-a' });
    expect(await rig.flowCount()).to.equal(0);
  });
});
