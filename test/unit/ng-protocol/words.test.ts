/** Every flag and key of the protocol's tables, as written there, is known. */
import { expect } from 'chai';
import { parsed } from '../../support/unit/ng-protocol.js';

const modelFlags = `trust-address SIP-source-address asymmetric strict-source media-handover
  port-latching no-port-latching unidirectional loop-protect no-rtcp-attribute full-rtcp-attribute
  original-sendrecv pierce-NAT NAT-wait   no-redis-update generate-mid recrypt reuse-codecs static-codecs block-DTMF
   reset reject-ICE trickle-ICE fragment no-tls-id
   to-tag fatal fast  debug debugging  single-codec
  allow-no-codec-media allow-transcoding siprec egress inactive bidirectional mirror-RTCP directional unsubscribe
  new-branch provisional`;
const otherFlags = `record-call exclude-recording discard-recording skip-recording-db
  recording-announcement recording-VSC
  pad-crypto reorder-codecs
  symmetric-codecs asymmetric-codecs allow-asymmetric-codecs  force-transcoding
  always-transcode  inject-DTMF detect-DTMF generate-RTCP
  block-egress block-short audio-player player no-audio-player no-player early-media
  no-jitter-buffer passthrough no-passthrough  mix mixed   
   all strip-extmap endpoint-learning-off from-tags-x
  OSRTP-offer replace-origin rtcp-mux-offer BUNDLE-accept codec-except-x codec-offer-x
  codec-strip-x codec-ignore-x codec-transcode-x transcode-x codec-mask-x codec-accept-x
  codec-consume-x codec-set-x SDES-off SDES-no-AES_CM_128_HMAC_SHA1_32 sdp-attr-add-none-x
  sdp-attr-remove-audio-x sdp-attr-substitute-audio-a>b T38-decode T.38-force`;
const keys = `call-id call-ID from-tag to-tag to_tag via-branch label from-label to-label set-label
  from-tags address all to-call-id source-tag source-call-id calls tags instance alias-key metadata
  sip-message-type sip-code sip-response-code supports template rtpp-flags rtpp_flags flags replace
  direction from-interface to-interface interface inbound-peer outbound-peer peer received-from
  address-family media-address endpoint-learning TOS tos delete-delay delete_delay drop-traffic
  xmlrpc-callback media-echo transport-protocol ICE ICE-lite DTLS DTLS-reverse DTLS-fingerprint SDES
  OSRTP rtcp-mux RTCP-mux bundle BUNDLE extmap codec codecs ptime ptime-reverse reverse-ptime
  sdp-attr sdp-media-remove T.38 T38 T.38-version generate-RTCP moh audio-player player passthrough
  passthru media medias record-call output-destination output-file recording-file output-path
  recording-folder output-pattern recording-pattern recording-media-slot-offer
  recording-media-slots vsc-start-rec VSC-pause-resume-rec vsc-stop-recording DTMF-security
  DTMF-security-trigger DTMF-security-trigger-end DTMF-delay delay-buffer trigger trigger-end
  end-trigger trigger-end-time trigger-end-digits frequency frequencies volume digit code duration
  pause DTMF-log-dest dtmf-log-destination repacketize file blob blob64 db-id command sdp`;
const words = (text: string): string[] => text.trim().split(/\s+/);

describe('the words of the protocol', () => {
  for (const flag of words(modelFlags)) {
    it(`flag ${flag} reaches the call model, with spaces too`, () => {
      for (const spelled of [flag, flag.replaceAll('-', ' ')]) {
        const request = parsed({ flags: [spelled] });
        const expected = flag === 'debugging' ? 'debug' : flag.toLowerCase();
        expect([...request.flags]).to.deep.equal([expected]);
        expect([...request.unknown, ...request.unsupported]).to.deep.equal([]);
      }
    });
  }

  it('include every other flag, none of them unknown', () => {
    const request = parsed({ flags: words(otherFlags) });
    expect(request.unknown).to.deep.equal([]);
    expect([...request.flags]).to.deep.equal([]);
  });

  for (const key of words(keys)) {
    it(`key ${key} is known, with spaces too`, () => {
      for (const spelled of [key, key.replaceAll('-', ' ')]) {
        // The value may be unknown; only the key itself is judged.
        const { unknown } = parsed({ [spelled]: 'x' });
        expect(unknown.filter((text) => text.includes('dictionary key'))).to.deep.equal([]);
      }
    });
  }
});
