/**
 * docs/ha.md, "On a machine that runs Debian's rtpengine", followed: its unit starts rtprelayd by a
 * drop-in, and rtpengine again without it; a call in Redis goes on through both.
 */
import { expect } from 'chai';
import { Followed } from '../support/document.js';
import { NetworkNamespace } from '../support/namespaces.js';
import { obstacleToFollowing, offerPackages } from '../support/packages.js';
import { IsolatedSystemd } from '../support/systemd.js';

describe("Debian's unit of rtpengine", function () {
  this.timeout(240_000);
  const document = new Followed('ha.md');
  const packages = ['rtpengine-daemon', 'redis-server'];
  let requests = 0;
  let namespace: NetworkNamespace;
  let machine: IsolatedSystemd;

  before(async function () {
    const obstacle = obstacleToFollowing(packages);
    if (obstacle !== null) {
      console.log(`      skipped: ${obstacle}`);
      this.skip();
    }
    namespace = new NetworkNamespace('rtpengine-unit');
    // The stock configuration takes any address but the loopback's.
    namespace.ip('link', 'add', 'eth0', 'type', 'veth', 'peer', 'name', 'cable');
    for (const device of ['eth0', 'cable']) namespace.ip('link', 'set', device, 'up');
    namespace.addAddress('eth0', '192.0.2.20/24');
    machine = await IsolatedSystemd.boot(namespace, 'bare');
    offerPackages(machine, packages);
  });
  after(async () => {
    await machine?.stop();
    namespace?.remove();
  });
  const follow = (where: string): string =>
    document.follow(
      "On a machine that runs Debian's rtpengine",
      { [where]: [machine] },
      (block) => block.where === where,
    );

  const program = (): string => {
    const pid = machine.property('rtpengine-daemon', 'MainPID');
    return machine.succeed('cat', `/proc/${pid}/cmdline`).replaceAll('\0', ' ');
  };

  /** The answer to an NG command in bencode. */
  const ask = (body: string): string => {
    machine.write('/root/request', `${(requests += 1)} ${body}`);
    return machine.shell(
      'exec 3<>/dev/udp/127.0.0.1/2223; cat /root/request >&3; timeout 5 dd bs=65536 count=1 <&3 2>/dev/null',
    );
  };
  const string = (text: string): string => `${text.length}:${text}`;

  it('starts rtprelayd by a drop-in, rtpengine without it, and the call goes on', () => {
    document.follow('1. Both machines', { 'both nodes': [machine] });
    machine.shell('apt-get install redis-server rtpengine-daemon');
    const redis = 's/^\\[rtpengine\\]/&\\nredis = 127.0.0.1:6379\\/1/';
    machine.shell(`sed -i '${redis}' /etc/rtpengine/rtpengine.conf`);
    machine.shell('systemctl restart rtpengine-daemon');
    expect(program()).to.include('/usr/bin/rtpengine ');
    const sdp =
      'v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n';
    const offer = ask(`d7:call-id4:kept7:command5:offer8:from-tag1:a3:sdp${string(sdp)}e`);
    expect(offer).to.include('6:result2:ok');
    const ports = (): string =>
      [...ask('d7:call-id4:kept7:command5:querye').matchAll(/10:local porti(\d+)e/g)]
        .map(([, port]) => port)
        .join();
    const before = ports();
    expect(before).to.match(/^\d+,\d+/);
    follow('rtpengine node');
    expect(program()).to.include('/usr/bin/rtprelayd ');
    expect(ports()).to.equal(before);
    follow('rtpengine node, to go back');
    expect(program()).to.include('/usr/bin/rtpengine ');
    expect(ports()).to.equal(before);
  });
});
