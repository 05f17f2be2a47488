/**
 * A cold standby: its daemon is started on the database of the node that is gone, and the address comes
 * later. The machine was told that addresses may come (`ip_nonlocal_bind`).
 */
import { expect } from 'chai';
import type { TestProcess } from '../support/child-process.js';
import { untilToldSeconds } from '../support/load.js';
import { namespacesAllowed } from '../support/namespaces.js';
import { describeLoss, hubAddress, Pair, type PairNode } from '../support/pair.js';
import { pause } from '../support/wait.js';

const address = '10.0.0.101';
const calls = 20;
const packetsOfASecond = 50;
const ng = 2223;
const cli = 9900;
const options = [
  ...[`--interface=${address}`, `--listen-cli=0.0.0.0:${cli}`, `--redis=${hubAddress}:6379/1`],
  ...['--port-min=30000', '--port-max=30999'],
];

describe('a cold standby', function () {
  this.timeout(240_000);
  let pair: Pair;

  before(function () {
    if (!namespacesAllowed()) this.skip();
  });
  beforeEach(async () => {
    pair = new Pair();
    await pair.startRedis();
  });
  afterEach(() => pair.remove());

  const start = (node: PairNode): Promise<TestProcess> =>
    node.startRelay([...options, `--listen-ng=${node.address}:${ng}`]);

  it('started before its address comes has all calls when it comes', async () => {
    const { one, two } = pair;
    one.addAddress(address);
    two.namespace.run('sysctl', '-qw', 'net.ipv4.ip_nonlocal_bind=1');
    await start(one);
    const load = await pair.talk({
      ...{ ng: `${one.address}:${ng}`, calls, seconds: untilToldSeconds, portBase: 10_000 },
    });
    await one.powerOff();
    const second = await start(two);
    expect(second.log()).to.include(`Address ${address} (--interface=${address}) is not on this`);
    await two.holds(cli, calls, 0);
    await pause(1500);
    two.addAddress(address);
    const report = await pair.reportSoon(load);
    console.log(describeLoss('an address that comes late', report));
    // Each stream was cut off once, and goes on.
    expect(report).to.include({ strange: 0, duplicates: 0 });
    const [longest, lost] = [report.longestGapPackets, report.lostPerStream];
    expect(longest.max).to.equal(lost.max);
    expect(report.lostAtEnd.max).to.equal(0);
    expect(lost.max).to.be.lessThan(report.sent / (2 * calls) - packetsOfASecond);
    expect(two.sessions(cli)).to.deep.equal({ own: calls, foreign: 0 });
  });

  it('is refused an address that the machine does not have and was not told to expect', async () => {
    const failed = await start(pair.two).then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(failed).to.include(`Address ${address} (--interface=${address}) is not on this machine`);
  });
});
