/** A Kamailio with a set of two relays of different weights: who gets the calls, and what becomes of them without one. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { isInstalled } from '../support/child-process.js';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort, freeUdpPort } from '../support/free-ports.js';
import { hasKamailio, Kamailio, Sipp } from '../support/sip.js';

const folder = fileURLToPath(new URL('kamailio/', import.meta.url));

for (const release of ['installed', '6.0'] as const)
  describe(`Kamailio (${release}) with a set of two relays`, function () {
    this.timeout(120_000);
    const daemons: MediaDaemon[] = [];
    const cliPorts = [freeTcpPort(), freeTcpPort()];
    const phones: Sipp[] = [];
    let kamailio: Kamailio | undefined;

    before(async function () {
      if (!hasKamailio(release) || !isInstalled('sipp')) this.skip();
      for (const port of cliPorts) {
        const extra = ['--delete-delay=0', `--listen-cli=127.0.0.1:${port}`, '--no-pair'];
        daemons.push(await MediaDaemon.start('rtprelayd', { extra }));
      }
    });
    afterEach(async () => {
      for (const phone of phones.splice(0)) await phone.stop();
    });
    after(async () => {
      await kamailio?.stop();
      for (const daemon of daemons) await daemon.stop();
    });

    const sipp = (scenario: string, more: object): Sipp => {
      const port = freeUdpPort();
      const keys = { rtp_port: port, second_port: port };
      const phone = Sipp.start({ scenario: `${folder}${scenario}.xml`, keys, ...more });
      phones.push(phone);
      return phone;
    };
    /** Calls that each relay has begun so far. */
    const begun = (): readonly number[] =>
      daemons.map(({ process }) => process.log().split('Creating new call').length - 1);

    let calleePort = 0;
    /** A phone on the port that the proxy knows; the one before it is gone. */
    const callee = (calls: number): Sipp => {
      const phone = sipp('callee', {
        calls,
        pauseMs: 20,
        ...(calleePort === 0 ? {} : { port: calleePort }),
      });
      calleePort = phone.port;
      return phone;
    };

    /** So many short calls, all of which must come about. Returns how many each relay got. */
    async function place(calls: number): Promise<readonly [number, number]> {
      const before = begun();
      const called = callee(calls);
      kamailio ??= await Kamailio.start({
        release,
        config: `${folder}kamailio.cfg`,
        defines: {
          RTPENGINE_SOCK: daemons
            .map(({ controlPort }, at) => `udp:127.0.0.1:${controlPort}=${at === 0 ? 3 : 1}`)
            .join(' '),
          CALLEE_URI: `sip:127.0.0.1:${calleePort}`,
          MEDIA_FLAGS: 'replace-origin',
          IMPATIENT: '1',
        },
      });
      const caller = sipp('caller', { calls, remotePort: kamailio.port, pauseMs: 100 });
      await Promise.all([caller.finished(), called.finished()]);
      const [first = 0, second = 0] = begun().map((count, at) => count - (before[at] ?? 0));
      return [first, second];
    }

    it('spreads calls by weight', async () => {
      // It draws lots, three to one: one of ten thousand runs is beyond these bounds.
      const [heavy, light] = await place(100);
      expect(heavy + light).to.equal(100);
      expect(light).to.be.within(9, 42);
    });

    it('sends new calls past a relay that is drained, and ends the old one there', async () => {
      // One call stays, so that the drained relay does, too.
      const ng = daemons[0]?.client();
      const stays = { 'call-id': 'stays', 'from-tag': 'a' };
      const sdp =
        'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n';
      await ng?.ask({ command: 'offer', ...stays, sdp });
      await cliAsk(cliPorts[0] ?? 0, 'drain');
      expect(await place(20)).to.deep.equal([0, 20]);
      await cliAsk(cliPorts[0] ?? 0, 'drain off');
      const [heavy, light] = await place(20);
      expect([heavy + light, heavy > 0]).to.deep.equal([20, true]);
      await ng?.ask({ command: 'delete', ...stays });
      ng?.close();
    });

    it('loses no call when a relay is killed', async () => {
      await daemons[1]?.process.stop('SIGKILL');
      expect(await place(20)).to.deep.equal([20, 0]);
    });
  });
