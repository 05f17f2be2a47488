/** Secret fields of stored calls, encrypted. */
import { expect } from 'chai';
import fc from 'fast-check';
import type { CallState } from '../../../src/media/call-state.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { RestoreError } from '../../../src/redis-store/errors.js';
import type { CodecSettings, StoredFormat } from '../../../src/redis-store/schema.js';
import { SecretBox, type SealingKey } from '../../../src/redis-store/sealing.js';
import { anyCall, sample, settings } from '../../support/unit/redis-store.js';

const formats: readonly StoredFormat[] = ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5'];
const key = (name: string, octet: number): SealingKey => ({ name, key: Buffer.alloc(32, octet) });
const withKeys = (...keys: readonly SealingKey[]): CodecSettings => ({
  ...settings,
  secrets: new SecretBox(keys),
});
const [first, second] = [key('2026-11', 1), key('2026-12', 2)];

function failureOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof RestoreError) return error.message;
    throw error;
  }
  return 'none';
}

/** A call with SDES keys, a certificate and ICE, and texts that must not be in its value. */
function secretCall(): { readonly state: CallState; readonly secrets: readonly string[] } {
  const { state } = decodeCall('call', sample('03-sdes-to-rtp.json'), settings);
  const secrets = ['PRIVATE-KEY-PEM', 'password-of-ice-000000000', 'k'.repeat(16)];
  const [pem = '', pwd = '', masterKey = ''] = secrets;
  const medias = state.medias.map((media) => ({
    ...media,
    security: { ...media.security, identity: { certificate: 'CERTIFICATE', privateKey: pem } },
    ice: { ...media.ice, local: { ufrag: 'ours', pwd } },
  }));
  const suite = 'AES_CM_128_HMAC_SHA1_80';
  const plain = { unencryptedRtp: false, unencryptedRtcp: false, unauthenticatedRtp: false };
  const srtp = { suite, masterKey, masterSalt: 's'.repeat(14), mki: null, ...plain };
  return {
    state: {
      ...state,
      medias: medias.map((media) => ({ ...media, security: { ...media.security } })),
      streams: state.streams.map((stream) => ({ ...stream, srtp })),
    },
    secrets,
  };
}

describe('a stored call whose secrets are encrypted', () => {
  for (const format of formats) {
    it(`has none of them in the clear, nor anything that rtpengine takes for keys (${format})`, () => {
      const { state, secrets } = secretCall();
      const plain = encodeCall(state, format, settings).toString('latin1');
      const sealed = encodeCall(state, format, withKeys(first)).toString('latin1');
      for (const secret of secrets) {
        expect(plain).to.contain(secret);
        expect(sealed).not.to.contain(secret);
      }
      expect(sealed).not.to.match(/master_key|crypto_suite/);
    });

    it(`is the same call when it is read (${format})`, () => {
      fc.assert(
        fc.property(anyCall, (state) => {
          const through = (by: CodecSettings): CallState =>
            decodeCall(state.callId, encodeCall(state, format, by), by).state;
          expect(through(withKeys(first))).to.deep.equal(through(settings));
        }),
        { numRuns: 5, endOnFailure: true },
      );
    });
  }

  it('is read by any key of the file, and written by the first', () => {
    const { state } = secretCall();
    const old = encodeCall(state, 'JSON-10.5', withKeys(first));
    const both = withKeys(second, first);
    const read = decodeCall('call', old, both).state;
    const renewed = encodeCall(read, 'JSON-10.5', both);
    expect(decodeCall('call', renewed, withKeys(second)).state).to.deep.equal(read);
    const missing = /encrypted by a key that is not in --redis-encrypt-keys/;
    expect(failureOf(() => decodeCall('call', renewed, withKeys(first)))).to.match(missing);
    expect(failureOf(() => decodeCall('call', renewed, settings))).to.match(missing);
  });

  it('is refused when its secrets are another call’s or entity’s, or were changed', () => {
    const { state } = secretCall();
    const by = withKeys(first);
    const value = encodeCall(state, 'JSON', by);
    const changed = /were changed, or belong to another call/;
    expect(failureOf(() => decodeCall('other', value, by))).to.match(changed);
    const exchanged = JSON.parse(value.toString('latin1')) as Record<
      string,
      Record<string, string>
    >;
    const [one, two] = [exchanged['stream-0'], exchanged['stream-1']];
    if (one === undefined || two === undefined) throw new Error('no streams');
    const ofTwo = two['rtprelay_sealed'] ?? '';
    for (const text of [ofTwo, ofTwo.slice(0, 40), `2026-11:${'A'.repeat(60)}`, '2026-11:', '']) {
      one['rtprelay_sealed'] = text;
      const bytes = Buffer.from(JSON.stringify(exchanged), 'latin1');
      expect(
        failureOf(() => decodeCall('call', bytes, by)),
        text,
      ).not.to.equal('none');
    }
  });

  it('never uses a nonce twice for something else', () => {
    const { state } = secretCall();
    const by = withKeys(first);
    const seen = new Set<string>();
    let count = 0;
    for (let time = 0; time < 50; time++) {
      const text = encodeCall(state, 'JSON', by).toString('latin1');
      for (const [, sealed = ''] of text.matchAll(/"rtprelay_sealed":"2026-11:([^"]+)"/g)) {
        seen.add(sealed.slice(0, 16));
        count += 1;
      }
    }
    expect(count).to.be.greaterThan(100);
    expect(seen.size).to.equal(count);
  });
});
