/** Steered ports from outside: what a phone, another program and the operator see of them. */
import { expect } from 'chai';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { NetworkNamespace, namespacesAllowed } from '../support/namespaces.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { portModes, steeringMissing } from '../support/port-modes.js';
import { startRedis } from '../support/processes.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { until } from '../support/wait.js';

const largePackets = fileURLToPath(new URL('../support/large-packets.py', import.meta.url));
const daemonProgram = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
const detachLink = fileURLToPath(new URL('../support/detach-link.py', import.meta.url));
const steered = ['--port-mode=steered'];

interface Dialogue {
  readonly caller: RtpEndpoint;
  readonly callee: RtpEndpoint;
  /** Where each of them sends. */
  readonly facing: { readonly caller: number; readonly callee: number };
}

async function dialogue(ng: NgClient, callId: string): Promise<Dialogue> {
  const [caller, callee] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
  const keys = { 'call-id': callId, 'from-tag': 'a' };
  const offered = await ng.request({ command: 'offer', ...keys, sdp: audioSdp(caller.port) });
  const answer = { command: 'answer', ...keys, 'to-tag': 'b', sdp: audioSdp(callee.port) };
  const answered = await ng.request(answer);
  const port = (reply: typeof offered): number => mediaTarget(String(reply['sdp'])).port;
  return { caller, callee, facing: { caller: port(answered), callee: port(offered) } };
}

/** Both hear each other, from the port that they send to. */
async function talks({ caller, callee, facing }: Dialogue): Promise<void> {
  caller.clear();
  callee.clear();
  caller.sendNext({ address: '127.0.0.1', port: facing.caller });
  callee.sendNext({ address: '127.0.0.1', port: facing.callee });
  await until(() => caller.received === 1 && callee.received === 1, 'both heard');
  expect(caller.packets()[0]?.from.port).to.equal(facing.caller);
  expect(callee.packets()[0]?.from.port).to.equal(facing.callee);
}

const hangUp = ({ caller, callee }: Dialogue): void => {
  caller.close();
  callee.close();
};

const descriptors = (daemon: MediaDaemon): number =>
  readdirSync(`/proc/${daemon.process.pid}/fd`).length;

describe('steered ports', function () {
  this.timeout(60_000);
  let daemon: MediaDaemon;
  let ng: NgClient;
  let cli: number;

  before(function () {
    if (steeringMissing() !== null) this.skip();
  });
  beforeEach(async () => {
    cli = freeTcpPort();
    const extra = [...steered, `--listen-cli=127.0.0.1:${cli}`];
    daemon = await MediaDaemon.start('rtprelayd', { extra });
    ng = daemon.client();
  });
  afterEach(async () => {
    ng?.close();
    await daemon?.stop();
  });

  it('relay without a descriptor for a call, and say in the log what they are', async () => {
    const first = await dialogue(ng, 'first');
    const before = descriptors(daemon);
    const more = [await dialogue(ng, 'second'), await dialogue(ng, 'third')];
    for (const each of [first, ...more]) await talks(each);
    expect(descriptors(daemon)).to.equal(before);
    expect(daemon.process.stderr).to.match(/Media ports: steered \(--port-mode=steered\); pinned/);
    for (const each of [first, ...more]) hangUp(each);
  });

  it('leave the sockets of other programs alone', async () => {
    const { min } = daemon.ports;
    const others: Socket[] = [];
    for (const port of [min, min + 1]) {
      const socket = createSocket('udp4').bind(port, '127.0.0.1');
      await once(socket, 'listening');
      others.push(socket);
    }
    const call = await dialogue(ng, 'beside');
    await talks(call);
    let heard = 0;
    others[0]?.on('message', () => (heard += 1));
    call.caller.sendNext({ address: '127.0.0.1', port: min });
    await until(() => heard === 1, 'the other program has heard it');
    hangUp(call);
    for (const socket of others) socket.close();
  });

  it('tell of which call a phone is unreachable', async () => {
    const [call, other] = [await dialogue(ng, 'deserted'), await dialogue(ng, 'inhabited')];
    await talks(call);
    await talks(other);
    call.callee.close();
    call.caller.sendNext({ address: '127.0.0.1', port: call.facing.caller });
    const told = async (callId: string): Promise<boolean> =>
      (await cliAsk(cli, `explain --json ${callId}`)).includes('unreachable');
    await until(() => told('deserted'), 'told');
    expect(await told('inhabited')).to.equal(false);
    call.caller.close();
    hangUp(other);
  });

  it('come back when somebody detaches the program', async () => {
    const call = await dialogue(ng, 'lasting');
    await talks(call);
    const pins = /pinned in (\S+?)[,\n]/.exec(daemon.process.stderr)?.[1] ?? '';
    const detached = spawnSync('python3', [detachLink, `${pins}/link`], { encoding: 'latin1' });
    expect(detached).to.include({ status: 0, stderr: '' });
    await until(() => /is attached again/.test(daemon.process.stderr), 'attached again');
    await talks(call);
    hangUp(call);
  });
});

describe('what an instance has pinned for its steered ports', function () {
  this.timeout(60_000);
  before(function () {
    if (steeringMissing() !== null) this.skip();
  });

  const pinsOf = (daemon: MediaDaemon): string =>
    /pinned in (\S+?)[,\n]/.exec(daemon.process.stderr)?.[1] ?? '';

  it('is removed by the next start of another one once it is killed, and not while it lives', async () => {
    const daemons: MediaDaemon[] = [];
    const start = async (): Promise<MediaDaemon> => {
      const daemon = await MediaDaemon.start('rtprelayd', { extra: [...steered] });
      daemons.push(daemon);
      return daemon;
    };
    try {
      const [killed, alive] = [await start(), await start()];
      await killed.stop('SIGKILL');
      expect(existsSync(pinsOf(killed))).to.equal(true);
      const next = await start();
      expect(existsSync(pinsOf(killed))).to.equal(false);
      expect(existsSync(pinsOf(alive))).to.equal(true);
      expect(next.process.stderr).to.contain(basename(pinsOf(killed)));
      const ng = alive.client();
      const call = await dialogue(ng, 'goes on');
      await talks(call);
      hangUp(call);
      ng.close();
    } finally {
      for (const daemon of daemons) await daemon.stop();
    }
  });
});

describe('ports that can be steered no longer', function () {
  this.timeout(60_000);
  before(function () {
    if (steeringMissing() !== null) this.skip();
  });

  it('get sockets, and neither calls nor new ones notice', async () => {
    const daemon = await MediaDaemon.start('rtprelayd', { extra: steered });
    const ng = daemon.client();
    const call = await dialogue(ng, 'lasting');
    await talks(call);
    const steeredSockets = descriptors(daemon);
    const pins = /pinned in (\S+?)[,\n]/.exec(daemon.process.stderr)?.[1] ?? '';
    await until(() => {
      // The daemon may just have attached it again: then once more.
      spawnSync('python3', [detachLink, `${pins}/link`, 'folder']);
      return /bound from now on, steering has come to an end/.test(daemon.process.stderr);
    }, 'bound');
    await talks(call);
    expect(descriptors(daemon)).to.be.at.least(steeredSockets + 4);
    const later = await dialogue(ng, 'later');
    await talks(later);
    await talks(call);
    ng.close();
    for (const each of [call, later]) hangUp(each);
    await daemon.stop();
  });
});

describe('steered ports whose daemon is killed', function () {
  this.timeout(60_000);
  before(function () {
    if (steeringMissing() !== null) this.skip();
  });

  it('are those of the next one', async () => {
    const redis = await startRedis();
    const options = {
      controlPort: freeUdpPort(),
      portRange: freeUdpRange(400),
      extra: [...steered, `--redis=${redis.url()}`],
    };
    let daemon = await MediaDaemon.start('rtprelayd', options);
    const ng = daemon.client();
    const call = await dialogue(ng, 'one');
    await talks(call);
    await daemon.stop('SIGKILL');
    daemon = await MediaDaemon.start('rtprelayd', options);
    expect(daemon.process.stderr).to.include('those of the previous process are here');
    await talks(call);
    ng.close();
    hangUp(call);
    await daemon.stop();
    await redis.stop();
  });
});

describe('packets that are larger than the MTU', function () {
  this.timeout(60_000);
  before(function () {
    if (steeringMissing() !== null || !namespacesAllowed()) this.skip();
  });

  for (const mode of portModes) {
    for (const address of ['127.0.0.1', '::1']) {
      it(`leave in fragments and marked, ports ${mode}, from ${address}`, () => {
        const namespace = new NetworkNamespace('mtu');
        try {
          namespace.ip('link', 'set', 'lo', 'mtu', '1500');
          const found = namespace.run('python3', largePackets, daemonProgram, mode, address);
          expect(JSON.parse(found)).to.deep.equal(
            [172, 1472, 1473, 3000, 8900].map((size) => ({
              ...{ size, same: true, from: true, tos: [184] },
            })),
          );
        } finally {
          namespace.remove();
        }
      });
    }
  }
});
