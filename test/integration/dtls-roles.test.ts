/** Answers that do not say who begins the handshake of DTLS (RFC 5763 §5 has them say it), with packets. */
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp, type NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { mediaTarget } from '../support/sdp.js';
import { SecurePeer } from '../support/secure-peer.js';

const toSecured = {
  ...{ 'transport-protocol': 'UDP/TLS/RTP/SAVPF', 'rtcp-mux': ['offer', 'require'] },
  flags: ['SDES-off'],
};
const call = { 'call-id': 'roles', 'from-tag': 'plain', 'to-tag': 'secure' };

describe('an answer that leaves the role in DTLS open', function () {
  this.timeout(60_000);
  const authority = new CertificateAuthority('roles');
  const files = authority.issue('phone', 'DNS:phone');
  let daemon: MediaDaemon;
  let ng: NgClient;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', {});
    ng = daemon.client();
  });
  after(async () => {
    ng?.close();
    await daemon?.stop('SIGKILL');
    authority.remove();
  });

  for (const setup of ['actpass', 'holdconn', null] as const)
    for (const waits of [true, false])
      for (const ice of [false, true]) {
        const how = `${setup ?? 'nothing'}, of a peer that ${waits ? 'waits' : 'begins'}`;
        it(`${how}${ice ? ', with ICE' : ''}`, async () => {
          const secure = await SecurePeer.open(files, ice);
          const plain = await RtpEndpoint.open();
          try {
            secure.waits = waits;
            const sdp = audioSdp(plain.port);
            const ICE = ice ? 'force' : 'remove';
            const offer = { command: 'offer', ...call, ...toSecured, ICE, sdp };
            const offered = String((await ng.ask(offer))['sdp']);
            const answer = { command: 'answer', ...call, sdp: secure.offer(setup) };
            const told = String((await ng.ask(answer))['sdp']);
            await secure.accept(offered);
            await secure.meets(plain, mediaTarget(told));
          } finally {
            secure.close();
            plain.close();
            await ng.ask({ command: 'delete', 'call-id': call['call-id'], 'delete-delay': 0 });
          }
        });
      }
});
