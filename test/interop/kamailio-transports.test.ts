/** A real Kamailio that speaks NG to the daemon by other ways than UDP. */
import { expect } from 'chai';
import { fileURLToPath } from 'node:url';
import { isInstalled, TemporaryFolder } from '../support/child-process.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { hasKamailio, Kamailio, Sipp } from '../support/sip.js';

const folder = fileURLToPath(new URL('kamailio/', import.meta.url));
const packets = 50;
const everything = Array.from({ length: packets }, (_, index) => index + 1);

for (const release of ['installed', '6.0'] as const)
  describe(`Kamailio (${release}) reaches the daemon`, function () {
    this.timeout(60_000);
    const sockets = new TemporaryFolder('kamailio-ng');
    const unixPath = sockets.file('ng');
    let daemon: MediaDaemon;
    let http: number;
    const running: { stop: () => Promise<void> }[] = [];

    before(async function () {
      if (!hasKamailio(release) || !isInstalled('sipp')) this.skip();
      http = freeTcpPort();
      daemon = await MediaDaemon.start('rtprelayd', {
        extra: [
          ...['--delete-delay=0', `--listen-http=127.0.0.1:${http}`],
          `--listen-ng=unix:${unixPath}`,
        ],
      });
    });
    after(async () => {
      await daemon?.stop();
      sockets.remove();
    });
    afterEach(async () => {
      for (const each of running.splice(0)) await each.stop();
    });

    const phone = (scenario: string, port: number, more: object): Sipp => {
      const keys = { rtp_port: port, second_port: port };
      const sipp = Sipp.start({ scenario: `${folder}${scenario}.xml`, keys, ...more });
      running.push(sipp);
      return sipp;
    };

    /** A call from INVITE to BYE; what one phone sends, the other gets. */
    async function placeCall(
      socket: string,
      defines: Readonly<Record<string, string>>,
    ): Promise<void> {
      const [one, other] = [await RtpEndpoint.open(), await RtpEndpoint.open()];
      running.push({ stop: async () => one.close() }, { stop: async () => other.close() });
      const callee = phone('callee', other.port, { pauseMs: 1500 });
      const kamailio = await Kamailio.start({
        release,
        config: `${folder}kamailio.cfg`,
        defines: {
          RTPENGINE_SOCK: socket,
          CALLEE_URI: `sip:127.0.0.1:${callee.port}`,
          MEDIA_FLAGS: 'replace-origin',
          ...defines,
        },
      });
      running.push(kamailio);
      const callId = `by-${socket.slice(0, 3)}@phones`;
      const caller = phone('caller', one.port, {
        ...{ remotePort: kamailio.port, callId, pauseMs: 2500 },
      });
      const towardsCaller = await callee.logged('invited');
      const towardsCallee = await caller.logged('answered');
      expect(daemon.ownsPort(towardsCaller) && daemon.ownsPort(towardsCallee)).to.equal(true);
      const at = (port: number): { address: string; port: number } => ({
        address: '127.0.0.1',
        port,
      });
      await Promise.all([
        one.sendRtp(at(towardsCallee), packets),
        other.sendRtp(at(towardsCaller), packets),
      ]);
      await Promise.all([one.settled(), other.settled()]);
      expect(one.sequenceNumbers()).to.deep.equal(everything);
      expect(other.sequenceNumbers()).to.deep.equal(everything);
      await Promise.all([caller.finished(), callee.finished()]);
      const client = daemon.client();
      const reply = await client.request({ command: 'query', 'call-id': callId });
      client.close();
      expect(reply['error-reason'], 'BYE has ended the call').to.equal('Unknown call-id');
    }

    it('over WebSocket', async function () {
      // Debian has the module in a package of its own.
      if (!hasKamailio(release, 'lwsc')) this.skip();
      await placeCall(`ws://127.0.0.1:${http}`, { WITH_WEBSOCKET: '1' });
      expect(daemon.process.log()).to.include(`by-ws:@phones`);
    });

    it('over UDP', () => placeCall(`udp:127.0.0.1:${daemon.controlPort}`, {}));

    it('over a Unix socket', async () => {
      await placeCall(`unix:${unixPath}`, {});
    });
  });
