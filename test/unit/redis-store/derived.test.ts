/** What a value says that follows from the call: as rtpengine's own values of the same calls (samples/). */
import { expect } from 'chai';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import type { StoredFormat } from '../../../src/redis-store/schema.js';
import { body, ModelCall } from '../../support/unit/media.js';
import { settings } from '../../support/unit/redis-store.js';

type Document = Readonly<Record<string, unknown>>;

const documentOf = (call: ModelCall, format: StoredFormat): Document => {
  if (call.state === null) throw new Error('no call');
  const bytes = encodeCall(call.state, format, settings);
  const again = encodeCall(decodeCall('call', bytes, settings).state, format, settings);
  expect(again.toString('latin1'), 'read and written again').to.equal(bytes.toString('latin1'));
  return JSON.parse(bytes.toString('latin1')) as Document;
};
const field = (document: Document, name: string, key: string): unknown =>
  (document[name] as Document)[key];
const hex = (value: unknown): string => Number(value).toString(16);

/** Position of the entity in the value: those of a, then those of x. */
function placesOf(call: ModelCall): { readonly media: number[]; readonly rtp: number[] } {
  const tags = call.state?.participants.map(({ tag }) => tag) ?? [];
  return {
    media: tags.map((tag) => call.state?.medias.indexOf(call.media(tag)) ?? -1),
    rtp: tags.map((tag) => call.state?.streams.indexOf(call.stream(tag)) ?? -1),
  };
}

function offered(address = '192.0.2.10'): ModelCall {
  const call = new ModelCall();
  const sdp = body(6000, [], address);
  call.offer(address.includes(':') ? sdp.replaceAll('IP4', 'IP6') : sdp);
  return call;
}

describe('what follows from a call', () => {
  it('after an offer is as in 01-offer-only of the current release', () => {
    const call = offered();
    const document = documentOf(call, 'JSON');
    const { media, rtp } = placesOf(call);
    expect(field(document, 'json', 'call_flags')).to.equal('65536');
    expect(document['associated_tags-0']).to.deep.equal(['1']);
    expect(document['associated_tags-1']).to.deep.equal(['0']);
    expect(hex(field(document, `stream-${rtp[0]}`, 'ps_flags'))).to.equal('4110000');
    const isPublic = media.map(
      (at) => BigInt(String(field(document, `media-${at}`, 'media_flags'))) >> 38n,
    );
    expect(isPublic, 'the offerer has read nothing yet').to.deep.equal([0n, 1n]);
  });

  it('after an answer is as in 02-relay', () => {
    const call = offered();
    call.answer(body(7000, [], '192.0.2.77'));
    const document = documentOf(call, 'JSON');
    const { media, rtp } = placesOf(call);
    expect(hex(field(document, 'json', 'call_flags'))).to.equal('150000');
    for (const at of rtp) {
      expect(hex(field(document, `stream-${at}`, 'ps_flags'))).to.equal('110000');
    }
    for (const at of media) {
      expect(BigInt(String(field(document, `media-${at}`, 'media_flags'))) >> 38n).to.equal(1n);
    }
  });

  it('knows IPv6', () => {
    const call = offered('2001:db8::10');
    call.answer(body(7000, [], '192.0.2.77'));
    expect(hex(field(documentOf(call, 'JSON'), 'json', 'call_flags'))).to.equal('160000');
  });

  it('of former releases marks the RTCP of an unanswered offer too, and nothing for which they have no place', () => {
    const call = offered();
    const rtcp = call.state?.streams.indexOf(call.stream('a', 2)) ?? -1;
    for (const format of ['JSON-10.5', 'JSON-12.5'] as const) {
      const document = documentOf(call, format);
      expect(hex(field(document, `stream-${rtcp}`, 'ps_flags')), format).to.equal('4120001');
      expect(JSON.stringify(document), format).to.not.include('public');
    }
    expect(documentOf(call, 'JSON-10.5')['other_tags-0']).to.deep.equal([]);
    expect(documentOf(call, 'JSON-12.5')['associated_tags-0']).to.deep.equal(['1']);
  });

  it('leaves a real zero address alone', () => {
    const call = new ModelCall();
    call.offer(body(6000, [], '0.0.0.0'));
    call.answer(body(7000, [], '192.0.2.77'));
    const at = call.state?.streams.indexOf(call.stream('a')) ?? -1;
    expect(hex(field(documentOf(call, 'JSON'), `stream-${at}`, 'ps_flags'))).to.equal('4110000');
  });

  it('is the same for extensions that a side is not to see', () => {
    const call = offered();
    const [first] = call.state?.medias ?? [];
    if (first === undefined) throw new Error('no media');
    for (const hidden of ['all', [3, 14]] as const) {
      first.hiddenExtensions = hidden;
      for (const format of ['JSON', 'JSON-10.5', 'JSON-12.5'] as const) documentOf(call, format);
    }
  });
});
