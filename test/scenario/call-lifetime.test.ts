/**
 * What must not end a call: a restart without a packet, a process or a clock that jumps, an address that
 * is elsewhere. And what must not keep one.
 */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { MediaDaemon, type DaemonOptions } from '../support/daemons.js';
import { freeUdpPort, freeUdpRange } from '../support/free-ports.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { audioSdp, mediaPort, type NgClient } from '../support/ng-client.js';
import { hubAddress, Pair } from '../support/pair.js';
import { RedisProcess } from '../support/redis-server.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { ServiceManagerProcess } from '../support/service-manager.js';
import { clockCanBeStepped, SteppedClock } from '../support/stepped-clock.js';
import { pause, until } from '../support/wait.js';

const program = fileURLToPath(new URL('../../dist/bin/rtprelayd.js', import.meta.url));
const probe = fileURLToPath(new URL('../../deploy/bin/rtprelay-probe', import.meta.url));
const day = 86_400;

/** A daemon that can be killed and started again, with one call that talks or is silent. */
class Stage {
  readonly #phones: RtpEndpoint[];
  readonly #options: DaemonOptions;
  #talk: NodeJS.Timeout | null = null;
  port = 0;

  private constructor(
    public daemon: MediaDaemon,
    readonly redis: RedisProcess,
    phones: RtpEndpoint[],
    options: DaemonOptions,
    public ng: NgClient,
  ) {
    this.#phones = phones;
    this.#options = options;
  }

  static async open(extra: readonly string[], env: DaemonOptions['env'] = {}): Promise<Stage> {
    const redis = await RedisProcess.start();
    const options = {
      ...{ controlPort: freeUdpPort(), portRange: freeUdpRange(40), env },
      extra: [`--redis=${redis.url()}`, ...extra],
    };
    const daemon = await MediaDaemon.start('rtprelayd', options);
    const phones = [await RtpEndpoint.open(), await RtpEndpoint.open()];
    return new Stage(daemon, redis, phones, options, daemon.client());
  }

  #phone(at: 0 | 1): RtpEndpoint {
    const phone = this.#phones[at];
    if (phone === undefined) throw new Error('no phone');
    return phone;
  }

  async call(flags: readonly string[] = []): Promise<void> {
    const call = { 'call-id': 'call', 'from-tag': 'a', flags };
    const sdp = (at: 0 | 1): string => audioSdp(this.#phone(at).port);
    await this.ng.ask({ ...call, command: 'offer', sdp: sdp(0) });
    const reply = await this.ng.ask({ ...call, command: 'answer', 'to-tag': 'b', sdp: sdp(1) });
    this.port = mediaPort(reply);
  }

  talk(): void {
    this.#talk ??= setInterval(() => this.#phone(0).send(this.port), 20);
  }

  hush(): void {
    if (this.#talk !== null) clearInterval(this.#talk);
    this.#talk = null;
  }

  /** Packets reach the other phone. */
  async relays(): Promise<void> {
    this.#phone(1).clear();
    await until(() => this.#phone(1).received > 5, 'relayed packets');
  }

  async restart(): Promise<void> {
    this.ng.close();
    await this.daemon.stop('SIGKILL');
    this.daemon = await MediaDaemon.start('rtprelayd', this.#options);
    this.ng = this.daemon.client();
  }

  async lives(): Promise<boolean> {
    return String((await this.ng.ask({ command: 'list' }))['calls']) === 'call';
  }

  async ends(): Promise<void> {
    await until(async () => !(await this.lives()), 'the end of the call', 20_000);
  }

  async close(): Promise<void> {
    this.hush();
    for (const phone of this.#phones) phone.close();
    this.ng.close();
    await this.daemon.stop();
    await this.redis.stop();
  }
}

describe('a call outlives', function () {
  this.timeout(60_000);
  let stage: Stage | null = null;
  let clock: SteppedClock | null = null;
  afterEach(async () => {
    await stage?.close();
    clock?.remove();
    [stage, clock] = [null, null];
  });

  it('a restart that no packet follows at once', async () => {
    stage = await Stage.open(['--timeout=3']);
    await stage.call();
    stage.talk();
    await pause(3500);
    stage.hush();
    await stage.restart();
    // A sweep, and signalling is long ago.
    await pause(1300);
    expect(await stage.lives()).to.equal(true);
    stage.talk();
    await stage.relays();
    stage.hush();
    await stage.ends();
  });

  it('a standstill of the process', async () => {
    stage = await Stage.open(['--timeout=3', '--final-timeout=5']);
    await stage.call();
    stage.talk();
    await stage.relays();
    stage.hush();
    stage.daemon.process.signal('SIGSTOP');
    await pause(6000);
    stage.daemon.process.signal('SIGCONT');
    expect(await stage.lives()).to.equal(true);
    await stage.daemon.process.untilLogged(/did not run for \d+\.\d seconds/);
    expect(await stage.lives()).to.equal(true);
    stage.talk();
    await stage.relays();
    stage.hush();
    await stage.ends();
  });

  it('a clock that is set forward and back, and a restart after that', async function () {
    if (!clockCanBeStepped) this.skip();
    clock = new SteppedClock();
    const options = ['--timeout=3', '--final-timeout=3600', '--offer-timeout=3600'];
    stage = await Stage.open(options, clock.env);
    await stage.call();
    stage.talk();
    await stage.relays();
    for (const step of [day, -day]) {
      clock.set(step);
      await pause(1300);
      expect(await stage.lives(), `after a step to ${step}`).to.equal(true);
    }
    await stage.daemon.process.untilLogged('The clock was set back by');
    // What others see of it is by the clock that they see.
    const reply = await stage.ng.ask({ command: 'query', 'call-id': 'call' });
    expect(Number(reply['created'])).to.be.closeTo(Date.now() / 1000 - day, 60);
    await stage.restart();
    await pause(1500);
    expect(await stage.lives()).to.equal(true);
    stage.hush();
    await stage.ends();
  });
});

describe('a call does not outlive', function () {
  this.timeout(30_000);

  it('its silence because a stranger knocks where strict source is on', async () => {
    const stage = await Stage.open(['--timeout=3', '--endpoint-learning=immediate']);
    const stranger = await RtpEndpoint.open();
    let knocks: NodeJS.Timeout | null = null;
    try {
      await stage.call(['strict-source']);
      stage.talk();
      await stage.relays();
      stage.hush();
      knocks = setInterval(() => stranger.send(stage.port), 300);
      await stage.ends();
    } finally {
      if (knocks !== null) clearInterval(knocks);
      stranger.close();
      await stage.close();
    }
  });
});

describe('an address that is elsewhere', function () {
  this.timeout(60_000);
  const virtual = '10.0.0.100';
  const ports = ['--port-min=30000', '--port-max=30999'];
  let pair: Pair;
  let manager: ServiceManagerProcess | null = null;

  before(function () {
    if (!namespacesAllowed()) this.skip();
  });
  beforeEach(async () => {
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(async () => {
    await manager?.end();
    manager = null;
    await pair.remove();
  });

  const options = (node: Pair['one'], database: number, followed: number): readonly string[] => [
    ...[`--interface=${virtual}`, `--listen-ng=${node.address}:2223`, ...ports],
    ...[`--listen-cli=${node.address}:2224`, '--active-switchover'],
    ...[`--redis=${hubAddress}:6379/${database}`, `--subscribe-keyspace=${followed}`],
  ];

  it('stops the count of silence, which begins anew when it is back', async () => {
    const { one } = pair;
    one.addAddress(virtual);
    const daemon = await one.startRelay([...options(one, 1, 2), '--timeout=2']);
    const ng = `${one.address}:2223`;
    const load = await pair.talk({ ng, calls: 3, seconds: 2, portBase: 20_000 });
    one.removeAddress(virtual);
    await daemon.untilLogged(`Media address ${virtual} has left`);
    await load.stop('SIGKILL');
    await pause(3500);
    expect(one.sessions(2224)).to.deep.equal({ own: 3, foreign: 0 });
    one.addAddress(virtual);
    await daemon.untilLogged(`Media address ${virtual} has come`);
    expect(one.sessions(2224).own).to.equal(3);
    await one.holds(2224, 0, 0);
  });

  it('leaves its calls to the node that has it, whatever waited in the sockets of a frozen one', async () => {
    const { one, two, hub } = pair;
    one.addAddress(virtual);
    const inside = ['ip', 'netns', 'exec', one.namespace.name, process.execPath, program];
    const words = ['--config-file=none', '-f', '-E', '--socket-store=yes', ...options(one, 1, 2)];
    manager = new ServiceManagerProcess([...inside, ...words]);
    await manager.ready();
    await two.startRelay(options(two, 2, 1));
    const ng = `${one.address}:2223`;
    const load = await pair.talk({ ng, calls: 3, seconds: 6, portBase: 20_000 });
    await two.holds(2224, 0, 3);
    const pid = Number(/^started (\d+)$/m.exec(manager.events.join('\n'))?.[1]);
    process.kill(pid, 'SIGSTOP');
    // These wait in its sockets.
    await pause(500);
    one.removeAddress(virtual);
    two.addAddress(virtual);
    hub.run(probe, 'cli', two.address, '2224', '5', 'active');
    await two.holds(2224, 3, 0);
    await until(() => pair.keys(1) === 1, 'a database of the first node without calls'); // The fence.
    manager.order('kill');
    await manager.ready(2);
    await one.holds(2224, 0, 3);
    // Three sweeps.
    await pause(3000);
    expect(one.sessions(2224)).to.deep.equal({ own: 0, foreign: 3 });
    expect(two.sessions(2224)).to.deep.equal({ own: 3, foreign: 0 });
    expect(manager.log).not.to.include('by media');
    await pair.reportOf(load);
  });
});
