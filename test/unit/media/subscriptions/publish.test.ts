/** Publishing, subscribing, unsubscribing: bodies as rtpengine 10.5 writes them, and who is sent what. */
import { expect } from 'chai';
import { SignallingError } from '../../../../src/media/errors.js';
import { mediaPlan } from '../../../../src/media/plan.js';
import { body } from '../../../support/unit/media.js';
import { audio, flagged, PublishedCall } from '../../../support/unit/subscriptions.js';
import { newBodyEdits, newCodecLists, type CodecLists } from '../../../../src/sdp/edits.js';
import type { Keys } from '../../../support/unit/media.js';

const linesOf = (sdp: string): readonly string[] =>
  sdp
    .split('\r\n')
    .slice(0, -1)
    .map((line) => line.replace(/^o=- \d{9,} \d{9,} /, 'o=- ID VERSION '));

const codecs = (lists: Partial<CodecLists>): Keys => ({
  edits: { ...newBodyEdits(), codecs: { ...newCodecLists(), ...lists } },
});

const mediaLine = (sdp: string): string => /^m=.*$/m.exec(sdp)?.[0].trimEnd() ?? '';

function refusal(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof SignallingError) return error.message;
    throw error;
  }
  return 'none';
}

describe('publish', () => {
  it('answers with one codec, recvonly, in a session of our own', () => {
    const call = new PublishedCall();
    const sdp = call.publish(body(6000, ['a=ptime:20', 'a=x-note:keep', 'a=sendonly']));
    expect(linesOf(sdp)).to.deep.equal([
      'v=0',
      'o=- ID VERSION IN IP4 127.0.0.1',
      's=rtprelayd-test',
      't=0 0',
      'm=audio 40000 RTP/AVP 0',
      'c=IN IP4 127.0.0.1',
      'a=rtpmap:0 PCMU/8000',
      'a=recvonly',
      'a=rtcp:40001',
      'a=ptime:20',
    ]);
    expect(call.warnings).to.deep.equal([]);
    expect(call.present.participants.map(({ tag }) => tag)).to.deep.equal(['p']);
    expect(call.present.medias).to.have.length(1);
    expect(call.present.streams).to.have.length(2);
    expect(call.present.nextIds).to.include({ participant: 1, media: 1, stream: 2, socket: 2 });
  });

  it('keeps ports and session when the same publisher comes again', () => {
    const call = new PublishedCall();
    const first = call.publish(audio(6000, '0', 'a=sendonly'));
    const second = call.publish(audio(6400, '8', 'a=sendonly'));
    expect(linesOf(second).slice(0, 4)).to.deep.equal(linesOf(first).slice(0, 4));
    expect(mediaLine(second)).to.equal('m=audio 40000 RTP/AVP 8');
    expect(call.stream('p').endpoint).to.deep.equal({ address: '192.0.2.10', port: 6400 });
  });

  const dynamic = ['a=rtpmap:96 FOO/8000', 'a=rtpmap:97 opus/48000/2', 'a=sendonly'];
  const chosen: readonly (readonly [string, Keys, string])[] = [
    ['0 8 101', {}, '0'],
    ['0 8 101', codecs({ accept: ['PCMA'] }), '8'],
    ['0 8 101', codecs({ accept: ['G729', 'PCMA', 'PCMU'] }), '8'],
    ['0 8 101', codecs({ strip: ['PCMU'] }), '8'],
    ['96 97 0 101', {}, '97'],
    ['96 97 0 101', codecs({ accept: ['any'] }), '96'],
    ['96 97 0 101', codecs({ accept: ['FOO'] }), '96'],
    ['96 97 0 101', codecs({ accept: ['all'] }), '97 0'],
    ['96 97 0 101', codecs({ accept: ['all', 'any'] }), '96 97 0 101'],
    ['96', {}, '96'],
    ['101 0', {}, '0'],
    ['101', {}, '101'],
  ];
  for (const [formats, keys, expected] of chosen) {
    it(`of ${formats} takes ${expected} (${JSON.stringify(keys.edits?.codecs ?? 'no list')})`, () => {
      const sdp = new PublishedCall().publish(audio(6000, formats, ...dynamic), keys);
      expect(mediaLine(sdp)).to.equal(`m=audio 40000 RTP/AVP ${expected}`);
    });
  }

  for (const [offered, expected] of [
    ['sendonly', 'recvonly'],
    ['sendrecv', 'recvonly'],
    ['recvonly', 'inactive'],
    ['inactive', 'inactive'],
  ] as const) {
    it(`answers ${offered} with ${expected}`, () => {
      const sdp = new PublishedCall().publish(audio(6000, '0', `a=${offered}`));
      expect(linesOf(sdp)).to.include(`a=${expected}`);
    });
  }

  it('takes both ways when asked for', () => {
    const sdp = new PublishedCall().publish(audio(6000, '0'), flagged('bidirectional'));
    expect(linesOf(sdp)).to.include('a=sendrecv');
  });

  it('answers SDES with a key of its own, and multiplexing', () => {
    const key = 'MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE';
    const call = new PublishedCall();
    const offered = audio(
      6000,
      '0',
      'a=rtcp-mux',
      'a=sendonly',
      `a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key}`,
    ).replace('RTP/AVP', 'RTP/SAVP');
    const sdp = call.publish(offered);
    expect(mediaLine(sdp)).to.equal('m=audio 40000 RTP/SAVP 0');
    expect(sdp).to.match(/a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:/);
    expect(sdp).not.to.include(key);
    expect(linesOf(sdp)).to.include.members(['a=rtcp-mux', 'a=rtcp:40000']);
    expect(call.warnings).to.deep.equal([]);
  });

  it('takes no body with a section that is refused, or without any', () => {
    const call = new PublishedCall();
    const refused = `${audio(6000, '0', 'a=sendonly')}m=video 0 RTP/AVP 96\r\n`;
    expect(() => call.publish(refused)).to.throw('Failed to create SDP');
    const none = audio(6000, '0').replace(/m=[^]*/, '');
    expect(() => call.publish(none)).to.throw('Failed to create SDP');
  });
});

describe('a subscription', () => {
  const published = body(6000, ['a=ptime:20', 'a=x-note:keep', 'a=sendonly']);

  function subscribed(...toTags: readonly string[]): PublishedCall {
    const call = new PublishedCall();
    call.publish(published);
    toTags.forEach((tag, at) => {
      call.subscribe(tag);
      call.accept(tag, audio(7000 + 10 * at, '0', 'a=recvonly'));
    });
    return call;
  }

  it("offers what is published in the publisher's session", () => {
    const call = subscribed();
    const { sdp, sources } = call.subscribe('s');
    expect(linesOf(sdp)).to.deep.equal([
      'v=0',
      'o=ann 7001 3 IN IP4 192.0.2.10',
      's=call one',
      't=0 0',
      'm=audio 40002 RTP/AVP 0',
      'c=IN IP4 127.0.0.1',
      'a=rtpmap:0 PCMU/8000',
      'a=x-note:keep',
      'a=sendonly',
      'a=rtcp:40003',
      'a=ptime:20',
    ]);
    expect(sources.map(({ participant: { tag } }) => tag)).to.deep.equal(['p']);
    expect(call.warnings).to.deep.equal([]);
    expect(call.routes(), 'before the answer').to.deep.equal([]);
  });

  it('brings RTP and RTCP from one to many, until it ends', () => {
    const call = subscribed('s1', 's2', 's3');
    expect(call.routes()).to.deep.equal(['p>s1', 'p>s2', 'p>s3']);
    expect(call.routes('rtcp')).to.include.members(['p>s1', 'p>s2', 'p>s3']);
    expect(call.media('s1').direction).to.equal('sendonly');
    call.unsubscribe('s2');
    expect(call.routes()).to.deep.equal(['p>s1', 'p>s3']);
    expect(call.stream('s2').selectedSocket, 'its port stays').not.to.equal(null);
  });

  it('is replaced by another one of the same subscriber, on the same port', () => {
    const call = subscribed('s');
    call.offer(body(6100));
    call.answer(body(6200, ['a=x-other:1']));
    const { sdp } = call.subscribe('s', { fromTag: 'x' });
    expect(mediaLine(sdp)).to.equal('m=audio 40002 RTP/AVP 0 8 101');
    expect(call.heardBy('s')).to.deep.equal(['x']);
    expect(call.heardBy('a')).to.deep.equal(['x']);
  });

  it('to all is to the parties of dialogues, in a session of our own', () => {
    const call = subscribed();
    call.offer(body(6100, ['a=x-note:1']));
    call.answer(body(6200));
    const { sdp, sources } = call.subscribe('s', { all: true, ...flagged('siprec') });
    expect(sources.map(({ participant: { tag } }) => tag)).to.have.members(['a', 'x']);
    expect(sdp).to.match(/s=rtprelayd-test/);
    expect(sdp).not.to.include('x-note');
    const labels = [...sdp.matchAll(/a=label:(\d+)/g)].map(([, label]) => Number(label));
    expect(labels).to.deep.equal(sources.map(({ media: { id } }) => id));
    const twice = audio(7000, '0 8 101', 'a=recvonly');
    call.accept('s', `${twice}${twice.slice(twice.indexOf('m=')).replace('7000', '7100')}`);
    expect(call.routes()).to.include.members(['a>s', 'x>s', 'a>x', 'x>a']);
  });

  it('survives a re-INVITE of the one it is to', () => {
    const call = new PublishedCall();
    call.offer(body(6100));
    call.answer(body(6200));
    call.subscribe('s', { fromTag: 'a' });
    call.accept('s', audio(7000, '0 8 101', 'a=recvonly'));
    call.offer(audio(6100, '8 101'), { toTag: 'x' });
    call.answer(audio(6200, '8 101'));
    expect(call.routes()).to.have.members(['a>x', 'x>a', 'a>s']);
  });

  it('to a side that does not send brings nothing', () => {
    const call = new PublishedCall();
    call.offer(body(6100, ['a=recvonly']));
    call.answer(body(6200, ['a=sendonly']));
    expect(linesOf(call.subscribe('s', { fromTag: 'a' }).sdp)).to.include('a=inactive');
    call.accept('s', audio(7000, '0 8 101', 'a=inactive'));
    expect(call.routes()).to.not.include('a>s');
  });

  it('that is answered with a hold brings nothing until the next answer', () => {
    const call = subscribed('s');
    call.accept('s', audio(7000, '0', 'a=inactive'));
    expect(call.routes()).to.deep.equal([]);
    call.accept('s', audio(7000, '0', 'a=recvonly'));
    expect(call.routes()).to.deep.equal(['p>s']);
    call.accept('s', audio(0, '0'));
    expect(call.routes()).to.deep.equal([]);
    call.accept('s', audio(7000, '0', 'a=recvonly'));
    expect(call.routes()).to.deep.equal(['p>s']);
  });

  it('has to be answered with all codecs, in any order and with any number, unless transcoding may be', () => {
    const call = new PublishedCall();
    call.offer(body(6100));
    call.answer(body(6200));
    call.subscribe('s', { fromTag: 'a' });
    const answerWith = (formats: string, keys: Keys = {}): string =>
      refusal(() => call.accept('s', audio(7000, formats, 'a=recvonly'), keys));
    expect(answerWith('0 8')).to.equal('Failed to process subscription answer');
    expect(answerWith('8 0 101 9')).to.equal('none');
    expect(answerWith('0 8 96')).to.equal('Failed to process subscription answer');
    const renumbered = audio(7000, '0 8 96', 'a=rtpmap:96 telephone-event/8000', 'a=recvonly');
    expect(refusal(() => call.accept('s', renumbered))).to.equal('none');
    const plan = mediaPlan(call.present, call.context.interfaces);
    const [s] = call.media('s').streams;
    const route = plan.routes.find(({ kind, toStream }) => kind === 'rtp' && toStream === s);
    expect(route?.rewrite?.payloadTypes).to.deep.equal(new Map([[101, 96]]));
    expect(answerWith('0', flagged('allow-transcoding'))).to.equal('none');
    expect(call.warnings.join()).to.include('does not take PCMA, telephone-event');
  });

  it('without RTCP, mirrored RTCP, both ways', () => {
    const call = new PublishedCall();
    call.publish(audio(6000, '0'), flagged('bidirectional'));
    for (const [tag, flag] of [
      ['s1', 'egress'],
      ['s2', 'mirror-rtcp'],
      ['s3', 'bidirectional'],
    ] as const) {
      call.subscribe(tag, flagged(flag));
      call.accept(tag, audio(7000, '0', flag === 'bidirectional' ? 'a=sendrecv' : 'a=recvonly'));
    }
    expect(call.routes()).to.deep.equal(['p>s1', 'p>s2', 'p>s3', 's3>p']);
    expect([...new Set(call.routes('rtcp'))]).to.deep.equal(['p>s2', 'p>s3', 's2>p', 's3>p']);
    call.unsubscribe('s3');
    expect(call.routes()).to.deep.equal(['p>s1', 'p>s2']);
    call.unsubscribe('s2');
    expect([...new Set(call.routes('rtcp'))]).to.deep.equal([]);
  });

  it('of SRTP to a plain publisher has keys of its own, and no other side has', () => {
    const call = subscribed();
    const { sdp } = call.subscribe('s', { transportProtocol: 'RTP/SAVP' });
    expect(sdp).to.match(/a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:/);
    const answered = audio(
      7000,
      '0',
      'a=recvonly',
      'a=crypto:7 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OUFCQ0RFRjAxMjM0NTY3ODlBQkNE',
    ).replace('RTP/AVP', 'RTP/SAVP');
    call.accept('s', answered);
    expect(call.warnings).to.deep.equal([]);
    expect(call.media('s').sdes?.send?.suite).to.equal('AES_CM_128_HMAC_SHA1_80');
    expect(call.media('p').sdes).to.equal(null);
    expect(call.routes()).to.deep.equal(['p>s']);
  });

  it('is refused with a clear word', () => {
    const call = subscribed('s');
    const none = 'No medias found (no monologues matched)';
    expect(refusal(() => call.subscribe('t', { fromTag: null }))).to.equal(none);
    expect(refusal(() => call.subscribe('t', { fromTags: ['nobody'] }))).to.equal(none);
    expect(refusal(() => call.subscribe('t', { all: true }))).to.equal(
      'No call participants specified (no medias found)',
    );
    expect(refusal(() => call.subscribe('t', { fromTag: 'nobody' }))).to.equal(
      'From-tag given, but no such tag exists',
    );
    expect(refusal(() => call.subscribe('p'))).to.equal('Failed to request subscription');
    expect(refusal(() => call.accept('t', audio(7000, '0')))).to.equal('To-tag not found');
    expect(refusal(() => call.unsubscribe('t'))).to.equal('none');
    expect(call.routes()).to.deep.equal(['p>s']);
  });
});
