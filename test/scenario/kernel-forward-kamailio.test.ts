/**
 * Calls between SIPp phones through a real Kamailio, the relay on a machine of its own, media in the
 * kernel. What the wire carried is judged by tshark.
 */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { TemporaryFolder, type TestProcess } from '../support/child-process.js';
import { BpfFileSystem, obstacleToKernelForwarding } from '../support/kernel-forwarding.js';
import { hubAddress, Pair } from '../support/pair.js';
import { pause, until } from '../support/wait.js';

const root = fileURLToPath(new URL('../../', import.meta.url));
const calls = 10;
const cli = 9900;
const [proxyPort, calleePort, callerPort] = [5060, 5070, 5080];
/** Both phones' media. */
const [firstMedia, lastMedia] = [6000, 8000];

describe('kernel forwarding with Kamailio and SIPp', function () {
  this.timeout(90_000);
  let pair: Pair;
  let folder: TemporaryFolder;
  let bpf: BpfFileSystem;

  before(function () {
    if (obstacleToKernelForwarding() !== null) this.skip();
  });
  beforeEach(async () => {
    folder = new TemporaryFolder('kamailio');
    // Two seconds of something.
    writeFileSync(folder.file('speech.alaw'), Buffer.alloc(16_000, 'rtprelay'));
    bpf = new BpfFileSystem();
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(async () => {
    await pair.remove();
    bpf.remove();
    folder.remove();
  });

  const startRelay = (): Promise<TestProcess> =>
    pair.one.startRelay([
      ...[`--interface=${pair.one.address}`, `--listen-ng=${pair.one.address}:2223`],
      ...[`--listen-cli=${pair.one.address}:${cli}`, '--redis=10.0.0.1:6379/1'],
      ...['--table=0', '--no-fallback', `--kernel-forward-pins=${bpf.file('relay')}`],
      ...['--delete-delay=0', '--port-min=30000', '--port-max=30999'],
    ]);

  async function startKamailio(): Promise<void> {
    const defines = {
      RTPENGINE_SOCK: `udp:${pair.one.address}:2223`,
      CALLEE_URI: `sip:${hubAddress}:${calleePort}`,
      MEDIA_FLAGS: 'replace-origin replace-session-connection',
    };
    const words = ['-DD', '-E', '-l', `udp:${hubAddress}:${proxyPort}`, '-P', folder.file('pid')];
    const kamailio = pair.startOnHub('kamailio', 'kamailio', [
      ...['-f', `${root}test/interop/kamailio/kamailio.cfg`, '-Y', folder.path, '-w', folder.path],
      ...words,
      ...Object.entries(defines).flatMap(([name, value]) => ['-A', `${name}="${value}"`]),
    ]);
    await kamailio.untilLogged(/rtp proxy|rtpengine instance|Listening on/);
    await pause(500);
  }

  function startPhones(name: string, ...words: readonly string[]): TestProcess {
    const common = [
      '-i',
      hubAddress,
      '-mi',
      hubAddress,
      '-nostdin',
      '-timeout',
      '60s',
      '-timeout_error',
    ];
    const all = [...words, '-m', String(calls), ...common];
    return pair.startOnHub(name, 'sipp', all, { cwd: folder.path });
  }

  /** Lost packets of each RTP stream in a capture. */
  function lostByStream(capture: string): readonly number[] {
    const table = execFileSync(
      'tshark',
      ['-r', capture, '-o', 'rtp.heuristic_rtp:TRUE', '-q', '-z', 'rtp,streams'],
      { encoding: 'latin1', stdio: ['ignore', 'pipe', 'ignore'] },
    );
    return table.split('\n').flatMap((line) => {
      const lost = /\s0x[0-9A-F]{8}\s.*?\s(-?\d+) \(/.exec(line)?.[1];
      return lost === undefined ? [] : [Number(lost)];
    });
  }

  it('carries calls over a kill -9 without a lost packet, and ends them by BYE', async () => {
    const daemon = await startRelay();
    await startKamailio();
    const capture = folder.file('capture');
    const media = `udp portrange ${firstMedia}-${lastMedia}`;
    const shark = pair.startOnHub('tshark', 'tshark', [
      ...['-i', 'bridge0', '-f', media, '-w', capture, '-q'],
    ]);
    await shark.untilLogged(/Capturing on/);
    const callee = startPhones(
      'callee',
      ...['-sf', `${root}test/interop/kamailio/callee.xml`, '-p', String(calleePort), '-d', '300'],
      ...['-rtp_echo', '-mp', String(firstMedia), '-key', 'rtp_port', String(firstMedia)],
    );
    await pause(500);
    const caller = startPhones(
      'caller',
      ...[`${hubAddress}:${proxyPort}`, '-p', String(callerPort), '-d', '12000'],
      ...['-sf', `${root}test/scenario/kamailio/caller-streaming.xml`],
      ...['-l', String(calls), '-r', String(calls)],
      ...['-mp', String(firstMedia + 20)],
    );
    const flows = (): number =>
      Number(/^Flows: (\d+)$/m.exec(pair.one.command(cli, 'kernel'))?.[1] ?? Number.NaN);
    await until(() => flows() === calls * 2, `${calls * 2} flows`, 15_000);
    await pause(1000);
    await daemon.stop('SIGKILL');
    await pause(1000);
    await startRelay();
    expect(flows(), 'flows after the restart').to.equal(calls * 2);
    expect(await caller.ended(), caller.log()).to.equal(0);
    expect(await callee.ended(), callee.log()).to.equal(0);
    await until(() => flows() === 0, 'no flow after the calls');
    expect(pair.one.sessions(cli)).to.deep.equal({ own: 0, foreign: 0 });
    await shark.stop('SIGINT');
    // Phone to relay and relay to phone, both ways.
    const lost = lostByStream(capture);
    expect(lost).to.have.lengthOf(calls * 4);
    expect(lost.filter((count) => count !== 0)).to.deep.equal([]);
  });
});
