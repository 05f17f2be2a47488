/**
 * What requests change in the body for the other side beyond relaying: a request as it comes, and the lines
 * that the other side reads. Orders and matches as seen with rtpengine 12.5.
 */
import { expect } from 'chai';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import type { StoredFormat } from '../../../src/redis-store/schema.js';
import { parsed, type Plain } from '../../support/unit/ng-protocol.js';
import { settings } from '../../support/unit/redis-store.js';
import { ModelCall } from '../../support/unit/media.js';

type Keys = Readonly<Record<string, Plain>>;

const head = ['v=0', 'o=ann 7001 3 IN IP4 192.0.2.10', 's=call one', 't=0 0'];
const text = (lines: readonly string[]): string => `${[...head, ...lines].join('\r\n')}\r\n`;
const connection = 'c=IN IP4 192.0.2.10';
const audio = [
  ...['m=audio 6000 RTP/AVP 0 8 9 101 96', connection, 'a=rtpmap:101 telephone-event/8000'],
  ...['a=fmtp:101 0-15', 'a=rtpmap:96 opus/48000/2', 'a=fmtp:96 useinbandfec=1; x=2'],
  ...['a=rtcp-fb:96 nack', 'a=x-note:keep me', 'a=ptime:20'],
];
const video = [
  ...['m=video 6010 RTP/AVP 97 98', connection, 'a=rtpmap:97 H264/90000'],
  ...['a=rtpmap:98 VP8/90000', 'a=x-note:moving'],
];
const event = 'a=rtpmap:101 telephone-event/8000';

/** Lines behind the t= line, without those of no interest here. */
const shown = (sdp: string): readonly string[] =>
  sdp
    .split('\r\n')
    .slice(4, -1)
    .filter((line) => !/^(?:c=|a=rtcp:)/.test(line));

const formats = (sdp: string): readonly string[] =>
  [...sdp.matchAll(/^m=(\S+ )(\d+) \S+ ?(.*)\r$/gm)].map(
    ([, type = '', port, list = '']) => `${type}${port === '0' ? 'refused ' : ''}${list}`,
  );

function offered(call: ModelCall, keys: Keys, lines: readonly string[] = audio): string {
  const sdp = text(lines);
  return call.offer(sdp, parsed({ sdp, 'call-id': 'call', 'from-tag': 'a', 'to-tag': 0, ...keys }));
}

function answered(call: ModelCall, keys: Keys, lines: readonly string[]): string {
  const sdp = text(lines);
  const tags = { 'call-id': 'call', 'from-tag': 'a', 'to-tag': 'x' };
  return call.answer(sdp, parsed({ sdp, ...tags, ...keys }, 'answer'));
}

const answerOf = (list: string): readonly string[] => [
  ...[`m=audio 7000 RTP/AVP ${list}`, connection],
  ...(list.includes('101') ? [event] : []),
];

describe('sdp-attr', () => {
  const small = ['m=audio 6000 RTP/AVP 0 101', connection, event, 'a=fmtp:101 0-15', 'a=x-note:k'];
  const plain = [
    ...['m=audio 40000 RTP/AVP 0 101', 'a=rtpmap:0 PCMU/8000', event, 'a=fmtp:101 0-15'],
    ...['a=x-note:k', 'a=sendrecv'],
  ];
  const without = (...gone: string[]): readonly string[] =>
    plain.filter((line) => !gone.includes(line));
  const instead = (from: string, to: string): readonly string[] =>
    plain.map((line) => (line === from ? to : line));

  const requests: readonly (readonly [what: string, keys: Keys, lines: readonly string[]])[] = [
    [
      'adds to a section',
      { 'sdp-attr': { audio: { add: ['z:1', 'y'] } } },
      [...plain, 'a=z:1', 'a=y'],
    ],
    [
      'adds to the session under either name',
      { 'sdp-attr': { global: { add: ['g:1'] }, none: { add: ['n'] } } },
      ['a=g:1', 'a=n', ...plain],
    ],
    ['leaves other sections alone', { 'sdp-attr': { video: { add: ['z:1'] } } }, plain],
    ['takes a single text for a list', { 'sdp-attr': { audio: { add: 'z' } } }, [...plain, 'a=z']],
    [
      'removes by name, whatever its case',
      { 'sdp-attr': { audio: { remove: ['X-NOTE', 'rtpmap'] } } },
      without('a=x-note:k', 'a=rtpmap:0 PCMU/8000', event),
    ],
    [
      'removes by name and first word, and by the whole line',
      { 'sdp-attr': { audio: { remove: ['rtpmap:101', 'rtpmap:0 PCMU/8000', 'fmtp:10'] } } },
      without('a=rtpmap:0 PCMU/8000', event),
    ],
    [
      'removes before it adds',
      { 'sdp-attr': { audio: { add: ['x-note:k'], remove: ['x-note'] } } },
      [...without('a=x-note:k'), 'a=x-note:k'],
    ],
    [
      'substitutes in place',
      { 'sdp-attr': { audio: { substitute: [['fmtp:101 0-15', 'fmtp:101 0-11']] } } },
      instead('a=fmtp:101 0-15', 'a=fmtp:101 0-11'),
    ],
    [
      'is a flag word',
      {
        flags: [
          ...['sdp-attr-add-audio-z:1', 'sdp-attr-add-none-s', 'sdp-attr-remove-audio-x-note:k'],
          ...['sdp-attr-substitute-audio-sendrecv>sendonly'],
        ],
      },
      ['a=s', ...without('a=x-note:k').slice(0, -1), 'a=sendonly', 'a=z:1'],
    ],
    [
      'is a flag word with blanks and equals signs, written so or escaped',
      { flags: ['sdp-attr-add-audio-z..b--1', 'sdp-attr-add-audio-fmtp:0 a b=1'] },
      [...plain, 'a=z b=1', 'a=fmtp:0 a b=1'],
    ],
    [
      'is a word of rtpp-flags, blanks in its brackets',
      {
        'rtpp-flags':
          'sdp-attr=[ audio=[ add=[ z:1 y ] remove=[x-note] ] none=[add=[s]] ] asymmetric',
      },
      ['a=s', ...without('a=x-note:k'), 'a=z:1', 'a=y'],
    ],
    [
      'takes pairs in brackets, and in further ones lines with blanks',
      {
        'rtpp-flags':
          'sdp-attr=[audio=[substitute=[[sendrecv sendonly] [[fmtp:101 0-15] [fmtp:101 0-11]]] add=[[z 1] y]]]',
      },
      [
        ...instead('a=fmtp:101 0-15', 'a=fmtp:101 0-11').slice(0, -1),
        ...['a=sendonly', 'a=z 1', 'a=y'],
      ],
    ],
    [
      'takes lines with an equals sign and nothing else',
      { 'rtpp-flags': 'sdp-attr=[audio=[add=[z=1 y=2] substitute=[sendrecv=inactive]]]' },
      [...plain.slice(0, -1), 'a=inactive', 'a=z=1', 'a=y=2'],
    ],
    [
      'is a word of rtpp-flags of its own',
      { 'rtpp-flags': 'sdp-attr-add-audio-z..1' },
      [...plain, 'a=z 1'],
    ],
  ];
  for (const [what, keys, lines] of requests) {
    it(what, () => {
      expect(shown(offered(new ModelCall(), keys, small))).to.deep.equal(lines);
    });
  }

  it('is for one body: the next is as it was, and an answer has its own', () => {
    const call = new ModelCall();
    offered(call, { 'sdp-attr': { audio: { add: ['o'] } } }, small);
    const keys: Keys = { 'sdp-attr': { audio: { add: ['b'] } } };
    expect(shown(answered(call, keys, answerOf('0')))).to.deep.equal([
      ...['m=audio 40002 RTP/AVP 0', 'a=rtpmap:0 PCMU/8000', 'a=sendrecv', 'a=b'],
    ]);
    expect(shown(offered(call, {}, small))).to.deep.equal(plain);
  });

  it('writes nothing into a refused section', () => {
    const keys: Keys = { 'sdp-attr': { audio: { add: ['o'] } } };
    expect(shown(offered(new ModelCall(), keys, ['m=audio 0 RTP/AVP 0']))).to.deep.equal([
      'm=audio 0 RTP/AVP 0',
    ]);
  });

  const refused: readonly (readonly [value: Plain, text: string])[] = [
    ['x', 'wrong type used'],
    [{ audio: 'x' }, "wrong type used for 'audio'"],
    [{ nosuch: { add: ['x'] } }, "unsupported SDP section 'nosuch'"],
    [{ constructor: { add: ['x'] } }, "unsupported SDP section 'constructor'"],
    [{ audio: { move: ['x'] } }, "unknown manipulation command 'move'"],
    [{ audio: { add: 7 } }, 'wrong type used for a list of attributes'],
    [{ audio: { add: ['x\r\nm=audio 1 RTP/AVP 0'] } }, 'invalid token given'],
    [{ audio: { add: [''] } }, 'invalid token given'],
    [{ audio: { substitute: 'x' } }, 'wrong type used for a list of substitutions'],
    [{ audio: { substitute: ['x'] } }, 'wrong content given for a substitution'],
    [{ audio: { substitute: [['x']] } }, 'wrong content given for a substitution'],
    [{ audio: { substitute: [['sendrecv', 'y\nz']] } }, 'invalid token given'],
  ];
  for (const [value, told] of refused) {
    it(`ignores ${JSON.stringify(value)} and says why`, () => {
      const request = parsed({ 'sdp-attr': value });
      expect(request.unknown).to.deep.equal([`SDP manipulations: ${told}`]);
      expect(shown(offered(new ModelCall(), { 'sdp-attr': value }, small))).to.deep.equal(plain);
    });
  }

  it('has an end, however many lines are asked for', () => {
    const many = Array.from({ length: 3000 }, (_, at) => `z:${at}`);
    const lines = shown(offered(new ModelCall(), { 'sdp-attr': { audio: { add: many } } }, small));
    expect(lines.length).to.equal(plain.length + 100);
  });

  it('has an end, however long the texts are that each section is to have', () => {
    const long = Array.from({ length: 90 }, (_, at) => `z${at}:${'x'.repeat(1000)}`);
    const all = Array.from({ length: 500 }, () => ['m=audio 6000 RTP/AVP 0', connection]).flat();
    const sdp = offered(new ModelCall(), { 'sdp-attr': { audio: { add: long } } }, all);
    expect(sdp.length).to.be.below(500 * 9000);
    const line = 'y'.repeat(2000);
    expect(parsed({ 'sdp-attr': { audio: { add: [line] } } }).unknown).to.have.length(1);
  });
});

describe('codec lists', () => {
  const offers: readonly (readonly [codec: Keys, list: string])[] = [
    [{ strip: ['PCMA'] }, '0 9 101 96'],
    [{ strip: ['pcmu', 'opus/48000/1', 'telephone-event', 'PCMA/16000'] }, '8 9 96'],
    [{ strip: ['opus/48000/2', 'G722/8000/1'] }, '0 8 101'],
    [{ strip: ['opus/48000/2///useinbandfec--1;x--2', 'G722/8000/1/64000'] }, '0 8 9 101 96'],
    [{ strip: ['PCMU/8000/', 'PCMA/8000/1/', 'G722/8000/1//20'] }, '0 8 9 101 96'],
    [{ strip: ['all'], except: ['PCMA'] }, '8'],
    [{ strip: ['all'], offer: ['G722', 'PCMU'] }, '9 0'],
    [{ strip: ['all'], offer: ['opus', 'PCMU'], except: ['G722', 'PCMA'] }, '8 9 96 0'],
    [{ strip: ['all'], except: ['G722'], transcode: ['PCMA', 'PCMU'] }, '9 8 0'],
    [{ strip: ['full'], except: ['G722'], transcode: ['PCMA', 'PCMU'] }, '9'],
    [{ strip: ['all', 'PCMU'], except: ['PCMU', 'PCMA'] }, '8'],
    [{ strip: ['PCMU'], except: ['PCMU'] }, '8 9 101 96'],
    [{ offer: ['G722', 'PCMU'] }, '0 8 9 101 96'],
    [{ mask: ['PCMU'] }, '8 9 101 96'],
    [{ mask: ['all'], offer: ['opus'] }, '96'],
    [{ consume: ['G722'] }, '0 8 101 96'],
    [{ accept: ['all'], set: ['opus/48000/2'], ignore: ['PCMU'] }, '0 8 9 101 96'],
  ];
  for (const [codec, list] of offers) {
    it(`${JSON.stringify(codec)} leaves ${list}`, () => {
      const sdp = offered(new ModelCall(), { codec });
      expect(formats(sdp)).to.deep.equal([`audio ${list}`]);
      for (const [, number] of sdp.matchAll(/^a=(?:rtpmap|fmtp|rtcp-fb):(\d+) /gm)) {
        expect(list.split(' ')).to.include(number);
      }
      const flags = Object.entries(codec).flatMap(([name, codecs]) =>
        (codecs as readonly string[]).map((word) => `codec-${name}-${word}`),
      );
      expect(formats(offered(new ModelCall(), { flags }))).to.deep.equal([`audio ${list}`]);
      const words = Object.entries(codec).map(
        ([name, codecs]) => `${name}=[${(codecs as readonly string[]).join(' ')}]`,
      );
      const rtpp = { 'rtpp-flags': `codec=[${words.join(' ')}]` };
      expect(formats(offered(new ModelCall(), rtpp))).to.deep.equal([`audio ${list}`]);
    });
  }

  it('takes the lines of a codec out with it', () => {
    expect(
      shown(offered(new ModelCall(), { codec: { strip: ['opus', 'G722', 'PCMA'] } })),
    ).to.deep.equal([
      ...['m=audio 40000 RTP/AVP 0 101', 'a=rtpmap:0 PCMU/8000', event, 'a=fmtp:101 0-15'],
      ...['a=x-note:keep me', 'a=sendrecv', 'a=ptime:20'],
    ]);
  });

  for (const list of ['strip', 'mask']) {
    it(`${list}=all without exceptions restores the list, and says so`, () => {
      const call = new ModelCall();
      expect(formats(offered(call, { codec: { [list]: ['all'] } }))).to.deep.equal([
        'audio 0 8 9 101 96',
      ]);
      expect(call.warnings.join()).to.include('List of codecs empty');
    });

    it(`${list}=all without exceptions refuses the section where that is allowed`, () => {
      const call = new ModelCall();
      const keys: Keys = { codec: { [list]: ['H264', 'VP8'] }, flags: ['allow-no-codec-media'] };
      const sdp = offered(call, keys, [...audio, ...video]);
      expect(formats(sdp)).to.deep.equal(['audio 0 8 9 101 96', 'video refused 97 98']);
      expect(call.warnings).to.deep.equal([]);
      const answer = answered(call, {}, [...answerOf('0'), 'm=video 0 RTP/AVP 97']);
      expect(formats(answer)).to.deep.equal(['audio 0', 'video refused 97 98']);
    });
  }

  it('counts in an answer for what the offerer is shown', () => {
    const cases: readonly (readonly [keys: Keys, list: string])[] = [
      [{ codec: { strip: ['PCMU'] } }, '8 101'],
      [{ codec: { strip: ['all'], except: ['telephone-event'], offer: ['PCMA'] } }, '101 8'],
      [{ codec: { offer: ['PCMA'] } }, '0 8 101'],
      [{ codec: { mask: ['PCMU'], consume: ['PCMU'] } }, '0 8 101'],
      [{ flags: ['single-codec'] }, '0 101'],
      [{ flags: ['single-codec', 'codec-strip-PCMU'] }, '8 101'],
    ];
    for (const [keys, list] of cases) {
      const call = new ModelCall();
      offered(call, {});
      expect(formats(answered(call, keys, answerOf('0 8 101')))).to.deep.equal([`audio ${list}`]);
    }
  });

  it('do not let a stripped codec come back in the answer, and let a masked one', () => {
    const stripped = new ModelCall();
    offered(stripped, { codec: { strip: ['PCMU'] } });
    expect(formats(answered(stripped, {}, answerOf('0 8 101')))).to.deep.equal(['audio 8 101']);
    const masked = new ModelCall();
    offered(masked, { codec: { mask: ['PCMU'] } });
    expect(formats(answered(masked, {}, answerOf('0 101')))).to.deep.equal(['audio 0 101']);
  });

  it('are for one offer: the next has its own', () => {
    const call = new ModelCall();
    offered(call, { codec: { strip: ['PCMU'] } });
    answered(call, {}, answerOf('8 101'));
    expect(formats(offered(call, { 'to-tag': 'x' }))).to.deep.equal(['audio 0 8 9 101 96']);
    expect(formats(answered(call, {}, answerOf('0 101')))).to.deep.equal(['audio 0 101']);
  });

  it('keep the offered order in an answer that is to reuse it', () => {
    const order = (keys: Keys, list: string): readonly string[] => {
      const call = new ModelCall();
      offered(call, {});
      return formats(answered(call, keys, answerOf(list)));
    };
    expect(order({}, '101 9 0')).to.deep.equal(['audio 101 9 0']);
    expect(order({ flags: ['reuse-codecs'] }, '101 9 0')).to.deep.equal(['audio 0 9 101']);
    expect(order({ flags: ['no-codec-renegotiation'] }, '8 0')).to.deep.equal(['audio 0 8']);
  });

  it('say what would need a codec to be run', () => {
    const noted = (codec: Keys, command: 'offer' | 'answer' = 'offer'): readonly string[] =>
      parsed({ codec }, command).unsupported;
    expect(noted({ strip: ['PCMU'], except: ['x'], offer: ['y'], mask: ['z'] })).to.deep.equal([]);
    expect(noted({ transcode: ['G729'], accept: ['PCMU'] })).to.deep.equal([
      ...['codec-transcode-G729', 'codec-accept-PCMU'],
    ]);
    expect(noted({ transcode: ['G729'] }, 'answer')).to.deep.equal([]);
    expect(noted({ consume: ['PCMU'] })).to.deep.equal([
      'codec-consume-PCMU (hidden, and nothing is transcoded)',
    ]);
    for (const command of ['offer', 'answer'] as const) {
      const { unsupported, idle } = parsed({ flags: ['codec-set-opus'] }, command);
      expect(unsupported, 'nothing is encoded').to.deep.equal([]);
      expect(idle).to.deep.equal(['codec-set-opus']);
    }
  });
});

describe('sdp-media-remove', () => {
  const keys: Keys = { 'sdp-media-remove': ['video'] };

  it('leaves the sections of that type out, and the answer has them refused in their place', () => {
    const call = new ModelCall();
    const sdp = offered(call, keys, [...video, ...audio]);
    expect(formats(sdp)).to.deep.equal(['audio 0 8 9 101 96']);
    const answer = answered(call, {}, answerOf('0 101'));
    expect(formats(answer)).to.deep.equal(['video refused 97 98', 'audio 0 101']);
    const shownPort = Number(/m=audio (\d+)/.exec(sdp)?.[1]);
    expect(shownPort).to.be.above(0);
    expect(formats(offered(call, { ...keys, 'to-tag': 'x' }, [...video, ...audio]))).to.deep.equal([
      'audio 0 8 9 101 96',
    ]);
  });

  it('of a section in the middle and at the end', () => {
    const call = new ModelCall();
    const all = [
      ...audio,
      ...video,
      ...audio.map((line) => line.replace('6000', '6020')),
      ...video,
    ];
    expect(
      formats(offered(call, { 'rtpp-flags': 'sdp-media-remove=[video]' }, all)),
    ).to.have.length(2);
    const both = [...answerOf('0'), ...answerOf('8').map((line) => line.replace('7000', '7020'))];
    expect(formats(answered(call, {}, both))).to.deep.equal([
      ...['audio 0', 'video refused 97 98', 'audio 8', 'video refused 97 98'],
    ]);
  });

  it('does not mix the sections up when the other side makes an offer', () => {
    const call = new ModelCall();
    offered(call, keys, [...video, ...audio]);
    answered(call, {}, answerOf('0 101'));
    const again = text(answerOf('0 101'));
    const tags = { 'call-id': 'call', 'from-tag': 'x', 'to-tag': 'a' };
    const sdp = call.offer(again, parsed({ sdp: again, ...tags }));
    expect(formats(sdp)).to.deep.equal(['video refused 97 98', 'audio 0 101']);
    const back = text(['m=video 0 RTP/AVP 97', ...answerOf('0 101')]);
    const answer = call.answer(back, {
      ...parsed({ sdp: back }, 'answer'),
      fromTag: 'x',
      toTag: 'a',
      callId: 'call',
    });
    expect(formats(answer)).to.deep.equal(['audio 0 101']);
  });

  it('in an answer refuses them: its sections are counted', () => {
    const call = new ModelCall();
    offered(call, {}, [...audio, ...video]);
    const both = [...answerOf('0'), ...video];
    expect(formats(answered(call, keys, both))).to.deep.equal(['audio 0', 'video refused 97 98']);
  });

  for (const format of ['JSON', 'JSON-10.5', 'bencode'] satisfies StoredFormat[]) {
    it(`is remembered in ${format}`, () => {
      const call = new ModelCall();
      offered(call, keys, [...video, ...audio]);
      if (call.state === null) throw new Error('no call');
      call.state = decodeCall('call', encodeCall(call.state, format, settings), settings).state;
      expect(formats(answered(call, {}, answerOf('0 101')))).to.deep.equal([
        ...['video refused 97 98', 'audio 0 101'],
      ]);
    });
  }
});

describe('ptime', () => {
  const ptimes = (sdp: string): string => /a=ptime:(\d+)/.exec(sdp)?.[1] ?? '';
  const withPtime = (value: number): readonly string[] => [...answerOf('0'), `a=ptime:${value}`];

  it('is shown to the answerer, and the offerer keeps its own', () => {
    const call = new ModelCall();
    expect(ptimes(offered(call, { ptime: 40 }))).to.equal('40');
    expect(ptimes(answered(call, {}, withPtime(40)))).to.equal('20');
  });

  it('reversed is shown to the offerer', () => {
    const call = new ModelCall();
    expect(ptimes(offered(call, { ptime: '40', 'ptime-reverse': 30 }))).to.equal('40');
    expect(ptimes(answered(call, {}, withPtime(20)))).to.equal('30');
    const other = new ModelCall();
    expect(ptimes(offered(other, { 'reverse ptime': 30 }))).to.equal('20');
    expect(ptimes(answered(other, {}, answerOf('0')))).to.equal('30');
  });

  it('asked for once holds for later offers without it, until another is asked for', () => {
    const call = new ModelCall();
    offered(call, { ptime: 40 });
    expect(ptimes(offered(call, {}))).to.equal('40');
    expect(ptimes(answered(call, {}, withPtime(30)))).to.equal('20');
    expect(ptimes(offered(call, { ptime: 60, 'ptime-reverse': 30 }))).to.equal('60');
    expect(ptimes(answered(call, {}, withPtime(60)))).to.equal('30');
    offered(call, {});
    expect(ptimes(answered(call, {}, withPtime(60)))).to.equal('30');
  });

  it('that is none is ignored, and in an answer too', () => {
    for (const ptime of [-1, 0, 5000, 'x']) {
      expect(ptimes(offered(new ModelCall(), { ptime }))).to.equal('20');
    }
    const call = new ModelCall();
    offered(call, {});
    expect(ptimes(answered(call, { ptime: 40 }, withPtime(30)))).to.equal('30');
  });
});

describe('header extensions', () => {
  const lines = [
    ...audio,
    ...[
      'a=extmap-allow-mixed',
      'a=extmap:1 urn:x',
      'a=extmap:2/sendonly urn:y foo',
      'a=extmap:0 urn:z',
    ],
  ];
  const left = (keys: Keys): readonly string[] =>
    shown(offered(new ModelCall(), keys, lines)).filter((line) => line.startsWith('a=extmap'));

  it('are passed on, number 0 and the mixing of forms too', () => {
    expect(left({})).to.have.members(lines.filter((line) => line.startsWith('a=extmap')));
  });

  it('are taken out by their URI, or all of them', () => {
    expect(left({ extmap: { strip: ['urn:x'], mask: ['urn:y'] } })).to.have.members([
      ...['a=extmap:0 urn:z', 'a=extmap-allow-mixed'],
    ]);
    expect(left({ extmap: { strip: ['all'] } })).to.deep.equal(['a=extmap-allow-mixed']);
    expect(left({ flags: ['strip-extmap'] })).to.deep.equal(['a=extmap-allow-mixed']);
    expect(left({ extmap: { strip: ['foo'] } })).to.have.length(4);
  });
});
