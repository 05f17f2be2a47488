/** The options about DTLS, as OpenSSL's client meets them. */
import { expect } from 'chai';
import { execFileSync } from 'node:child_process';
import { CertificateAuthority } from '../support/certificates.js';
import { MediaDaemon } from '../support/daemons.js';
import { audioSdp } from '../support/ng-client.js';
import { SecurePeer } from '../support/secure-peer.js';

describe('options about DTLS', function () {
  this.timeout(30_000);
  const authority = new CertificateAuthority('options');
  const files = authority.issue('page', 'DNS:page');
  after(() => {
    authority.remove();
  });

  interface Seen {
    readonly longest: number;
    readonly suite: string;
    readonly signature: string;
  }

  async function seenBy(...extra: readonly string[]): Promise<Seen> {
    const daemon = await MediaDaemon.start('rtprelayd', { extra });
    const ng = daemon.client();
    const page = await SecurePeer.open(files);
    try {
      const call = { 'call-id': 'options', 'from-tag': 'page' };
      const plain = { 'transport-protocol': 'RTP/AVP', 'rtcp-mux': ['demux'], ICE: 'remove' };
      await ng.ask({ command: 'offer', ...call, ...plain, sdp: page.offer() });
      const answer = { command: 'answer', ...call, 'to-tag': 'phone', sdp: audioSdp(6000) };
      await page.accept(String((await ng.ask(answer))['sdp']));
      const [pem = ''] =
        /-----BEGIN CERTIFICATE-----[^]+?-----END CERTIFICATE-----/.exec(page.printed) ?? [];
      const text = execFileSync('openssl', ['x509', '-noout', '-text'], { input: pem }).toString();
      return {
        longest: page.longestDtls,
        suite: /Cipher is (\S+)/.exec(page.printed)?.[1] ?? '',
        signature: /Signature Algorithm: (\S+)/.exec(text)?.[1] ?? '',
      };
    } finally {
      page.close();
      ng.close();
      await daemon.stop('SIGKILL');
    }
  }

  it('are obeyed: size of datagrams, cipher suites, signature', async () => {
    const rsa = ['--dtls-cert-cipher=RSA'];
    const usual = await seenBy(...rsa);
    expect(usual.longest).to.be.above(576);
    expect(usual.longest).to.be.at.most(1200);
    expect(usual.signature).to.equal('sha256WithRSAEncryption');
    const told = await seenBy(
      ...[...rsa, '--dtls-mtu=576', '--dtls-signature=SHA-1'],
      '--dtls-ciphers=ECDHE-RSA-CHACHA20-POLY1305',
    );
    expect(told.longest).to.be.at.most(576);
    expect(told.signature).to.equal('sha1WithRSAEncryption');
    expect(told.suite).to.equal('ECDHE-RSA-CHACHA20-POLY1305').and.not.to.equal(usual.suite);
  });

  it('are refused at the start where OpenSSL has no such cipher suite', async () => {
    const failed = await seenBy('--dtls-ciphers=NONSENSE').then(
      () => '',
      (error: unknown) => String(error),
    );
    expect(failed).to.contain("--dtls-ciphers: 'NONSENSE' names no cipher suite that can be used");
  });
});
