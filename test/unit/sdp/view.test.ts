/** What a body says, as the model asks it. */
import { expect } from 'chai';
import { parseSdp } from '../../../src/sdp/lines.js';
import type { SdpMedia, SdpSession } from '../../../src/sdp/types.js';
import {
  bandwidthOf,
  codecsOf,
  directionOf,
  hasRtcpMux,
  isFeedbackProtocol,
  isRtpProtocol,
  isSecureProtocol,
  isUdpProtocol,
  ptimeOf,
  rtcpEndpointOf,
} from '../../../src/sdp/view.js';
import { body } from '../../support/unit/media.js';

function read(text: string): { readonly session: SdpSession; readonly media: SdpMedia } {
  const [session] = parseSdp(text).sessions;
  const [media] = session?.medias ?? [];
  if (session === undefined || media === undefined) throw new Error('no section');
  return { session, media };
}

const section = (...lines: readonly string[]): SdpMedia => read(body(6000, lines)).media;

describe('the codecs of a section', () => {
  const written = (media: SdpMedia): readonly string[] =>
    codecsOf(media).map(
      ({ payloadType, encoding, clockRate, channels }) =>
        `${payloadType} ${encoding}/${clockRate}${channels > 1 ? `/${channels}` : ''}`,
    );

  it('are those of the format list, static ones without an rtpmap too', () => {
    const text = body(6000).replace('0 8 101', '101 9 18 10 11');
    expect(written(read(text).media)).to.deep.equal([
      '101 telephone-event/8000',
      '9 G722/8000',
      '18 G729/8000',
      '10 L16/44100',
      '11 L16/44100/2',
    ]);
  });

  it('have their parameters and feedback', () => {
    const media = section('a=rtcp-fb:8 nack', 'a=rtcp-fb:0008 ccm fir', 'a=fmtp:00008 x=1');
    const pcma = codecsOf(media).find(({ payloadType }) => payloadType === 8);
    expect(pcma?.fmtp).to.equal('x=1');
    expect(pcma?.rtcpFeedback).to.deep.equal(['nack', 'ccm fir']);
  });

  it('survive an rtpmap that is none', () => {
    expect(written(section('a=rtpmap:8 foo', 'a=rtpmap:', 'a=rtpmap:x y/1'))).to.include(
      '8 PCMA/8000',
    );
  });

  it('are refused when a format is no payload type', () => {
    for (const format of ['foo', '200', '-1', 'x1', '*']) {
      const { media } = read(body(6000).replace('0 8 101', format));
      expect(() => codecsOf(media), format).to.throw('no payload type');
    }
  });
});

describe('attributes of a section', () => {
  it('have the direction of the section, else of the session, else sendrecv', () => {
    const plain = read(body(6000));
    expect(directionOf(plain.media, plain.session)).to.equal('sendrecv');
    const session = read(body(6000).replace('t=0 0', 't=0 0\r\na=inactive'));
    expect(directionOf(session.media, session.session)).to.equal('inactive');
    const both = read(body(6000, ['a=recvonly']).replace('t=0 0', 't=0 0\r\na=inactive'));
    expect(directionOf(both.media, both.session)).to.equal('recvonly');
  });

  it('count as absent when they are malformed', () => {
    for (const value of [
      ...['foo', '', '70000', '-1', '0', '0 IN IP4 192.0.2.11', '6001 IN', '6001 IN IP4'],
      ...['6001 IN IP4 x', '6001 XX IP4 192.0.2.11', '6001 in ip4 192.0.2.11'],
      ...['6001 IN IP6 192.0.2.11', '6001 IN IP4 192.0.2.256', '6001 IN IP6 fe80::1%lo'],
    ]) {
      expect(rtcpEndpointOf(section(`a=rtcp:${value}`)), value).to.equal(null);
    }
    expect(ptimeOf(section('a=ptime:xx'))).to.equal(null);
    expect(bandwidthOf(section('b=AS:x'), 'AS')).to.equal(null);
  });

  it('are read where they are right', () => {
    const endpoint = { port: 6055, address: '192.0.2.11' };
    for (const value of [
      '6055 IN IP4 192.0.2.11',
      '06055  IN IP4 192.0.2.011 x',
      '6055 in IP4 192.0.2.11',
      '6055x IN IP6 ::ffff:c000:20b',
    ]) {
      expect(rtcpEndpointOf(section(`a=rtcp:${value}`)), value).to.deep.equal(endpoint);
    }
    for (const value of ['6055', '\t6055', '+6055 ', '6055 IN IP4 0.0.0.0', '6055 IN IP6 ::']) {
      const expected = { port: 6055, address: null };
      expect(rtcpEndpointOf(section(`a=rtcp:${value}`)), value).to.deep.equal(expected);
    }
    expect(hasRtcpMux(section('a=rtcp:6000'))).to.equal(true);
    expect(hasRtcpMux(section('a=rtcp:6001'))).to.equal(false);
    for (const value of [' 30', '30ms', '30.5', '30 ']) {
      expect(ptimeOf(section(`a=ptime:${value}`)), value).to.equal(30);
    }
    expect(ptimeOf(section('a=ptime:30'))).to.equal(30);
    expect(bandwidthOf(section('b=AS:64'), 'AS')).to.equal(64);
  });
});

describe('protocols', () => {
  const rows = [
    // name, RTP, secure, feedback, UDP
    ['RTP/AVP', true, false, false, true],
    ['RTP/AVPF', true, false, true, true],
    ['RTP/SAVP', true, true, false, true],
    ['UDP/TLS/RTP/SAVPF', true, true, true, true],
    ['udptl', false, false, false, true],
    ['UDP/BFCP', false, false, false, true],
    ['TCP/MSRP', false, false, false, false],
    ['TCP/RTP/AVP', false, false, false, false],
  ] as const;
  for (const [name, rtp, secure, feedback, udp] of rows) {
    it(`${name} is what it is, in any case`, () => {
      for (const spelled of [name, name.toLowerCase()]) {
        expect(isRtpProtocol(spelled)).to.equal(rtp);
        expect(isSecureProtocol(spelled)).to.equal(secure);
        expect(isFeedbackProtocol(spelled)).to.equal(feedback);
        expect(isUdpProtocol(spelled)).to.equal(udp);
      }
    });
  }
});
