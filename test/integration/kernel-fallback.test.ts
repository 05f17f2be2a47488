/** A daemon that may not forward in the kernel says why and relays in userspace, or does not start. */
import { expect } from 'chai';
import { existsSync } from 'node:fs';
import { isInstalled, TestProcess } from '../support/child-process.js';
import { freeTcpPort, freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { mediaPort, audioSdp, NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { fileURLToPath } from 'node:url';
import { namespacesAllowed, NetworkNamespace } from '../support/namespaces.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));

describe('without the right to load BPF programs', () => {
  let daemon: TestProcess;
  let ngPort: number;

  before(function () {
    if (process.getuid?.() !== 0 || !isInstalled('setpriv')) this.skip();
  });
  afterEach(async () => {
    await daemon.stop();
    // What was not to be pinned leaves no directory behind.
    expect(existsSync(`/sys/fs/bpf/rtprelay-127-0-0-1_${ngPort}`)).to.equal(false);
  });

  /** As a user without any capability. */
  async function start(...options: readonly string[]): Promise<void> {
    ngPort = freeUdpPort();
    const { min, max } = freeUdpRange(40);
    const words = ['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs', process.execPath];
    words.push(program, '--config-file=none', '-f', '-E', '--interface=127.0.0.1');
    words.push(`--listen-ng=127.0.0.1:${ngPort}`, `--listen-cli=127.0.0.1:${freeTcpPort()}`);
    words.push(`--port-min=${min}`, `--port-max=${max}`, ...options);
    daemon = new TestProcess('rtprelayd', 'setpriv', words);
  }

  for (const option of ['--table=0', '--kernel-forward=tc']) {
    it(`${option} relays in userspace and says so`, async () => {
      await start(option);
      await daemon.untilLogged('Startup complete');
      expect(daemon.log()).to.match(/No kernel forwarding, media is relayed in user space: \S+/);
      const ng = new NgClient(ngPort);
      const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
      try {
        const keys = { 'call-id': 'one', 'from-tag': 'a' };
        const sdp = (port: number): string => audioSdp(port);
        const towardsCallee = mediaPort(
          await ng.ask({ command: 'offer', ...keys, sdp: sdp(caller.port) }),
        );
        await ng.ask({ command: 'answer', ...keys, 'to-tag': 'b', sdp: sdp(callee.port) });
        await callee.sendRtp({ address: '127.0.0.1', port: towardsCallee }, 20);
        await caller.settled();
        expect(caller.packets()).to.have.lengthOf(20);
      } finally {
        ng.close();
        caller.close();
        callee.close();
      }
    });
  }

  it('--no-fallback does not start', async () => {
    await start('--table=0', '--no-fallback');
    expect(await daemon.ended(10_000)).to.equal(1);
    expect(daemon.log()).to.match(/Userspace fallback disallowed \(--no-fallback\): \S+/);
  });
});

describe("a BPF file system that is the process' own", () => {
  it('is mounted, and the log says what a container has to be given', async function () {
    if (!namespacesAllowed()) this.skip();
    const namespace = new NetworkNamespace('own-bpf');
    const { min, max } = freeUdpRange(40);
    // `ip netns exec` has a /sys of its own, without it.
    const daemon = new TestProcess(
      'rtprelayd',
      process.execPath,
      [
        ...[program, '--config-file=none', '-f', '-E', '--no-pair', '--interface=127.0.0.1'],
        ...['--listen-ng=127.0.0.1:2223', `--port-min=${min}`, `--port-max=${max}`],
        '--kernel-forward=tc',
      ],
      { namespace: namespace.name },
    );
    try {
      await daemon.untilLogged('Startup complete');
      expect(daemon.log()).to.include('--volume=/sys/fs/bpf:/sys/fs/bpf');
    } finally {
      await daemon.stop();
      namespace.remove();
    }
  });
});
