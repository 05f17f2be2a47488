/** Values inside of attributes as we read them, against `sdp-transform`, over all bodies that are recorded here. */
import { expect } from 'chai';
import { readdirSync, readFileSync } from 'node:fs';
import { parse, type MediaAttributes } from 'sdp-transform';
import { ssrcsOf, writtenExtensions } from '../../../src/media/bundle/attributes.js';
import { offeredIce } from '../../../src/media/ice/attributes.js';
import { readCryptoLine } from '../../../src/media/sdes/crypto-line.js';
import { parseSdp } from '../../../src/sdp/lines.js';
import type { SdpMedia, SdpSession } from '../../../src/sdp/types.js';
import { codecsOf } from '../../../src/sdp/view.js';

const folders = ['docs/reference', 'test'];

/** Everything in a text that begins with v=0 and goes on line by line. */
const bodiesIn = (text: string): readonly string[] =>
  [...text.matchAll(/^v=0\r?\n(?:[a-z]=[^\r\n]*\r?\n)+/gm)].map(([body]) =>
    body.replaceAll(/\r?\n/g, '\r\n'),
  );

/** A few as browsers write them: all lines that are looked at here are in them. */
const browsers = ['chromium', 'firefox'].map((name) =>
  [
    ...['v=0', 'o=- 1 2 IN IP4 127.0.0.1', 's=-', 't=0 0', 'a=group:BUNDLE 0 1'],
    ...['m=audio 9 UDP/TLS/RTP/SAVPF 111 63 0', 'c=IN IP4 0.0.0.0', 'a=mid:0'],
    ...['a=rtpmap:111 opus/48000/2', 'a=fmtp:111 minptime=10;useinbandfec=1'],
    ...['a=rtpmap:63 red/48000/2', 'a=fmtp:63 111/111'],
    'a=extmap:1 urn:ietf:params:rtp-hdrext:ssrc-audio-level',
    `a=extmap:${name === 'firefox' ? '2/recvonly urn:ietf:params:rtp-hdrext:csrc-audio-level' : '14 urn:ietf:params:rtp-hdrext:toffset'}`,
    'a=ice-ufrag:abcd',
    'a=candidate:1 1 udp 2122260223 192.0.2.1 51234 typ host generation 0 network-id 1',
    'a=candidate:2 1 udp 1686052607 203.0.113.9 51234 typ srflx raddr 192.0.2.1 rport 51234',
    'a=candidate:3 1 tcp 1518280447 192.0.2.1 9 typ host tcptype active generation 0',
    'a=candidate:4 1 UDP 2122252543 2001:db8::7 40000 typ host',
    `a=ssrc:${name === 'firefox' ? 4294967295 : 1} cname:{abc}`,
    ...['a=ssrc:2 cname:x', 'a=ssrc:2 msid:- t', 'a=ssrc-group:FID 1 2'],
    'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNk|2^20|1:4',
    'a=crypto:2 AEAD_AES_128_GCM inline:YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYg UNENCRYPTED_SRTCP',
    'a=rid:hi send pt=111;max-width=1280',
    '',
  ].join('\r\n'),
);

function recorded(): readonly string[] {
  const bodies = new Set(browsers);
  for (const folder of folders) {
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      if (!/\.(?:md|txt|sdp|json)$/.test(name)) continue;
      for (const body of bodiesIn(readFileSync(`${folder}/${name}`, 'utf8'))) bodies.add(body);
    }
  }
  return [...bodies];
}

interface Compared {
  readonly body: string;
  readonly session: SdpSession;
  readonly section: SdpMedia;
  readonly other: MediaAttributes;
}

/** Sections as both see them; bodies that are refused here, or read in part, tell nothing. */
const sections = recorded().flatMap((body): readonly Compared[] => {
  try {
    const { sessions } = parseSdp(body);
    const [session] = sessions;
    const { media } = parse(body);
    if (sessions.length !== 1 || session === undefined) return [];
    if (session.medias.length !== media.length) return [];
    return session.medias.flatMap((section, at) => {
      const other = media[at];
      return other === undefined ? [] : [{ body, session, section, other }];
    });
  } catch {
    return [];
  }
});

const isRtp = ({ section: { protocol } }: Compared): boolean => /RTP/.test(protocol);

describe('values inside of attributes, as sdp-transform reads them', () => {
  it('are of many bodies', () => {
    expect(sections.length).to.be.above(20);
  });

  it('candidates', () => {
    let count = 0;
    for (const { session, section, other, body } of sections) {
      const ours = offeredIce(section, session)?.candidates ?? [];
      const theirs = (other.candidates ?? []).filter(
        ({ transport, ip }) => transport.toUpperCase() === 'UDP' && /^[\d.]+$|:/.test(ip),
      );
      count += theirs.length;
      expect(
        ours.map(({ foundation, component, priority, endpoint, type, related }) => [
          ...[foundation, component, priority, endpoint.port, type, related?.port],
        ]),
        body,
      ).to.deep.equal(
        theirs.map(({ foundation, component, priority, port, type, rport }) => [
          ...[String(foundation), component, Number(priority), port, type, rport],
        ]),
      );
    }
    expect(count).to.be.above(5);
  });

  it('codecs and their parameters', () => {
    for (const compared of sections.filter(isRtp)) {
      const { section, other, body } = compared;
      const listed = new Set(section.formats.map(Number));
      const ours = new Map(codecsOf(section).map((codec) => [codec.payloadType, codec]));
      for (const { payload, codec, rate, encoding } of other.rtp.filter(({ payload: pt }) =>
        listed.has(pt),
      )) {
        const own = ours.get(payload);
        expect([own?.encoding, own?.clockRate, own?.channels], body).to.deep.equal([
          ...[codec, rate, Number(encoding ?? 1)],
        ]);
      }
      for (const { payload, config } of other.fmtp.filter(({ payload: pt }) => listed.has(pt)))
        expect(ours.get(payload)?.fmtp.trim(), body).to.equal(config.trim());
    }
  });

  it('SSRCs and header extensions', () => {
    for (const { section, other, body } of sections) {
      const ssrcs = new Set((other.ssrcs ?? []).map(({ id }) => Number(id)));
      expect(ssrcsOf(section), body).to.deep.equal([...ssrcs]);
      expect(
        writtenExtensions(section).map(({ id, uri }) => [id, uri]),
        body,
      ).to.deep.equal((other.ext ?? []).map(({ value, uri }) => [value, uri]));
    }
  });

  it('keys', () => {
    let count = 0;
    for (const { section, other } of sections) {
      const lines = section.attributes.flatMap(({ name, value }) =>
        name === 'crypto' && value !== null ? value : [],
      );
      lines.forEach((line, at) => {
        const own = readCryptoLine(line);
        const theirs = other.crypto?.[at];
        if (typeof own === 'string' || theirs === undefined) return;
        count += 1;
        expect([own.tag, own.suite]).to.deep.equal([theirs.id, theirs.suite]);
        expect(theirs.config).to.contain(own.key);
        expect(own.unencryptedSrtcp).to.equal(
          theirs.sessionConfig?.includes('UNENCRYPTED_SRTCP') ?? false,
        );
      });
    }
    expect(count).to.be.above(3);
  });
});
