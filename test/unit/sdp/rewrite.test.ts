/** The layout of a written body (sdp-rules.md §1.2), without the call model. */
import { expect } from 'chai';
import fc from 'fast-check';
import { parseSdp } from '../../../src/sdp/lines.js';
import { renderSdp } from '../../../src/sdp/rewrite.js';
import {
  SdpError,
  type MediaEdit,
  type SdpDocument,
  type SessionEdit,
} from '../../../src/sdp/types.js';

const plainEdit: MediaEdit = {
  kind: 'relay',
  port: 40_000,
  protocol: 'RTP/AVP',
  twin: null,
  connection: { family: 'IP4', address: '198.51.100.1' },
  formats: null,
  addedCodecs: [],
  rtp: true,
  direction: 'sendrecv',
  rtcp: '40001',
  rtcpMux: false,
  mid: null,
  ptime: null,
  stripSecurity: true,
  crypto: [],
  dtls: [],
  keptIce: 'none',
  ice: [],
  droppedExtensions: null,
  attributes: null,
  bundleOnly: 'keep',
  extensions: null,
  droppedFeedback: null,
};

interface Changes {
  readonly session?: Partial<SessionEdit>;
  readonly medias?: readonly Partial<MediaEdit>[];
}

function editsFor(document: SdpDocument, { session = {}, medias = [] }: Changes): SessionEdit[] {
  return document.sessions.map(({ origin, name, medias: sections }) => ({
    origin,
    name,
    addedAttributes: [],
    stripIce: true,
    stripSecurity: true,
    stripGroups: true,
    attributes: null,
    medias: sections.map((_section, position) => ({ ...plainEdit, ...medias[position] })),
    ...session,
  }));
}

function render(lines: readonly string[], changes: Changes = {}): readonly string[] {
  const document = parseSdp(lines.map((line) => `${line}\r\n`).join(''));
  const text = renderSdp(document, editsFor(document, changes));
  expect(text.endsWith('\r\n')).to.equal(true);
  return text.split('\r\n').slice(0, -1);
}

/** The written lines from the first m= on. */
const section = (
  lines: readonly string[],
  edit: Partial<MediaEdit> = {},
  first = 'm=audio 6000 RTP/AVP 0',
): readonly string[] =>
  render(['v=0', 'o=- 1 1 IN IP4 192.0.2.10', 's=-', 't=0 0', first, ...lines], {
    medias: [edit],
  }).slice(4);

const mixed = [
  'v=0',
  'o=ann 7001 3 IN IP4 192.0.2.10',
  's=call one',
  'i=about it',
  'u=http://example.com/',
  'e=ann@example.com',
  'p=+1 617 555-6011',
  'c=IN IP4 192.0.2.10',
  'b=TIAS:64000',
  'b=AS:64',
  'b=X-OTHER:1',
  't=0 0',
  'r=7d 1h 0 25h',
  'k=prompt',
  'a=tool:phone',
  'a=group:BUNDLE 1',
  'a=ice-lite',
  'a=sendonly',
  'a=rtpengine:aaaaaaaaaaaa',
  'a=fingerprint:sha-256 00',
  'a=recorded',
];

describe('the session part of a written body', () => {
  it('has its lines in the order of the layout, and no c=', () => {
    const written = render(mixed, { session: { addedAttributes: ['rtpengine:0123456789ab'] } });
    expect(written).to.deep.equal([
      'v=0',
      'o=ann 7001 3 IN IP4 192.0.2.10',
      's=call one',
      'i=about it',
      'u=http://example.com/',
      'e=ann@example.com',
      'p=+1 617 555-6011',
      'b=AS:64',
      'b=TIAS:64000',
      'b=X-OTHER:1',
      't=0 0',
      'r=7d 1h 0 25h',
      'k=prompt',
      'a=rtpengine:0123456789ab',
      'a=tool:phone',
      'a=recorded',
    ]);
  });

  it('keeps ICE and keys that pass through', () => {
    const written = render(mixed, { session: { stripIce: false, stripSecurity: false } });
    expect(written).to.include('a=ice-lite').and.include('a=fingerprint:sha-256 00');
  });

  it('has the lines that the format requires even when they were missing', () => {
    expect(render(['v=0'])).to.deep.equal(['v=0', 'o=- 0 0 IN IP4 0.0.0.0', 's=-', 't=0 0']);
  });

  it('has the origin and the name that the model wants', () => {
    const origin = {
      username: 'u',
      sessionId: '1',
      version: '2',
      networkType: 'IN',
      addressType: 'IP6',
      address: '2001:db8::1',
    };
    const written = render(mixed, { session: { origin, name: 'kept' } });
    expect(written.slice(1, 3)).to.deep.equal(['o=u 1 2 IN IP6 2001:db8::1', 's=kept']);
  });

  it('comes again for each session', () => {
    const written = render([...mixed.slice(0, 3), 'm=audio 1 RTP/AVP 0', ...mixed.slice(0, 3)]);
    expect(written.filter((line) => line === 'v=0')).to.have.lengthOf(2);
  });
});

describe('a section of a written body', () => {
  it('has its lines in the order of the layout', () => {
    const lines = [
      'a=ptime:20',
      'a=maxptime:40',
      'a=rtcp-mux',
      'a=sendonly',
      'a=x-note:keep me',
      'a=extmap:1 urn:x',
      'a=rtcp-fb:* ccm tmmbr',
      'a=rtcp-fb:96 nack',
      'a=fmtp:96 useinbandfec=1',
      'a=rtpmap:96 opus/48000/2',
      'a=rtcp:6055 IN IP4 192.0.2.11',
      'a=candidate:1 1 UDP 1 192.0.2.10 6000 typ host',
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA',
      'a=label:front',
      'a=mid:9',
      'a=bundle-only',
      'b=AS:64',
      'c=IN IP4 192.0.2.10',
      'i=the microphone',
      'k=prompt',
    ];
    const edit = { formats: ['96', '0'], rtcpMux: true, mid: '1', ptime: 30 };
    expect(section(lines, edit, 'm=audio 6000/2 RTP/AVP 0 96')).to.deep.equal([
      'm=audio 40000/2 RTP/AVP 96 0',
      'i=the microphone',
      'c=IN IP4 198.51.100.1',
      'b=AS:64',
      'k=prompt',
      'a=mid:1',
      'a=label:front',
      'a=bundle-only',
      'a=rtpmap:96 opus/48000/2',
      'a=fmtp:96 useinbandfec=1',
      'a=rtcp-fb:96 nack',
      'a=rtpmap:0 PCMU/8000',
      'a=extmap:1 urn:x',
      'a=x-note:keep me',
      'a=rtcp-fb:* ccm tmmbr',
      'a=sendrecv',
      'a=rtcp:40001',
      'a=rtcp-mux',
      'a=ptime:30',
      'a=maxptime:40',
    ]);
  });

  it('keeps keys and ICE that pass through, each in its place', () => {
    const lines = [
      'a=ice-ufrag:abcd',
      'a=candidate:1 1 UDP 1 192.0.2.10 6000 typ host',
      'a=setup:actpass',
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA',
    ];
    const edit = { stripSecurity: false, keptIce: 'all' as const, ptime: 20 };
    expect(section(lines, edit).slice(-5)).to.deep.equal([
      'a=setup:actpass',
      'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:AAAA',
      'a=ptime:20',
      'a=ice-ufrag:abcd',
      'a=candidate:1 1 UDP 1 192.0.2.10 6000 typ host',
    ]);
  });

  it('ends early when it is refused', () => {
    const lines = ['i=x', 'b=AS:64', 'a=label:1', 'a=rtpmap:96 H264/90000', 'a=sendrecv'];
    const edit: Partial<MediaEdit> = {
      kind: 'rejected',
      mid: '2',
      connection: { family: 'IP6', address: '::' },
    };
    expect(section(lines, edit)).to.deep.equal([
      'm=audio 0 RTP/AVP 0',
      'i=x',
      'c=IN IP6 ::',
      'b=AS:64',
      'a=mid:2',
      'a=label:1',
    ]);
  });

  it('stays as it was when it is not relayed, and gets the c= that it lost with the session', () => {
    const lines = ['a=setup:active', 'a=path:msrp://192.0.2.10:2855/x;tcp', 'a=sendonly'];
    const first = 'm=message 2855 TCP/MSRP *';
    const edit: Partial<MediaEdit> = { kind: 'keep', rtp: false };
    expect(section(lines, edit, first)).to.deep.equal([first, 'c=IN IP4 198.51.100.1', ...lines]);
    const own = ['c=IN IP4 192.0.2.99', ...lines];
    expect(section(own, edit, first)).to.deep.equal([first, ...own]);
  });

  it('keeps the attributes of a protocol that is not RTP', () => {
    const lines = ['a=T38FaxVersion:0', 'a=ptime:20', 'a=fmtp:x y', 'a=rtcp-mux', 'a=rtcp:7'];
    const edit = { rtp: false, rtcp: null, direction: null };
    expect(
      section(lines, { ...edit, protocol: 'udptl' }, 'm=image 6000 udptl t38'),
      'a fax has no ptime',
    ).to.deep.equal([
      ...['m=image 40000 udptl t38', 'c=IN IP4 198.51.100.1', 'a=T38FaxVersion:0', 'a=fmtp:x y'],
    ]);
    const floor = section(
      lines,
      { ...edit, protocol: 'UDP/BFCP' },
      'm=application 6000 UDP/BFCP *',
    );
    expect(floor).to.include('a=ptime:20');
  });

  it('has the received direction, or none, when that is to be kept', () => {
    expect(section(['a=recvonly'], { direction: 'keep' })).to.include('a=recvonly');
    expect(section([], { direction: 'keep' }).join(' ')).not.to.match(/send|recv|inactive/);
  });

  it('writes no rtpmap for a number that nothing names, and channels only above one', () => {
    const written = section(
      ['a=rtpmap:97 L16/8000/1', 'a=rtpmap:50 unused/1'],
      {},
      'm=audio 6000 RTP/AVP 96 97',
    );
    expect(written.filter((line) => line.startsWith('a=rtpmap'))).to.deep.equal([
      'a=rtpmap:97 L16/8000',
    ]);
  });

  it('needs an edit for each section', () => {
    const document = parseSdp('v=0\r\nm=audio 1 RTP/AVP 0\r\n');
    const [edit] = editsFor(document, {});
    if (edit === undefined) throw new Error('no session');
    for (const edits of [[], [{ ...edit, medias: [] }]]) {
      expect(() => renderSdp(document, edits))
        .to.throw(SdpError)
        .with.property('code', 'not-writable');
    }
  });
});

describe('a written body read again', () => {
  const token = fc.stringMatching(/^[!-9;-~]{1,12}$/);
  const attribute = fc
    .tuple(
      fc.constantFrom('x-', 'y-'),
      token,
      fc.option(fc.stringMatching(/^[!-~][ -~]{0,20}$/), { nil: null }),
    )
    .map(([prefix, name, value]) => `a=${prefix}${name}${value === null ? '' : `:${value}`}`);
  const media = fc
    .record({
      type: fc.constantFrom('audio', 'video', 'text'),
      port: fc.integer({ min: 1, max: 65_535 }),
      formats: fc.uniqueArray(fc.integer({ min: 0, max: 127 }), { minLength: 1, maxLength: 6 }),
      attributes: fc.array(attribute, { maxLength: 6 }),
    })
    .map(({ type, port, formats, attributes }) => [
      `m=${type} ${port} RTP/AVP ${formats.join(' ')}`,
      ...formats.filter((number) => number > 95).map((number) => `a=rtpmap:${number} C/${number}`),
      ...attributes,
    ]);
  const bodies = fc.array(media, { minLength: 1, maxLength: 4 }).map((medias) => ({
    text: ['v=0', 'o=- 1 1 IN IP4 192.0.2.1', 's=-', 't=0 0', ...medias.flat(), '']
      .join('\r\n')
      .slice(0, -2),
    medias,
  }));

  it('says the same, and written again is the same text', () => {
    fc.assert(
      fc.property(bodies, ({ text, medias }) => {
        const document = parseSdp(text);
        const written = renderSdp(document, editsFor(document, {}));
        const again = parseSdp(written);
        expect(renderSdp(again, editsFor(again, {}))).to.equal(written);
        again.sessions[0]?.medias.forEach((found, position) => {
          const sent = document.sessions[0]?.medias[position];
          expect(found.formats).to.deep.equal(sent?.formats);
          const own = found.attributes.filter(({ name }) => /^[xy]-/.test(name));
          expect(own).to.deep.equal(sent?.attributes.filter(({ name }) => /^[xy]-/.test(name)));
        });
        expect(again.sessions[0]?.medias).to.have.lengthOf(medias.length);
      }),
    );
  });
});
