/**
 * The recorded examples of sdp-rules.md §13 that need no encryption, ICE or transcoding. They were
 * recorded in the older layout, so lines are compared as sets, section by section; the layout itself
 * is tested in `rewrite.test.ts`.
 */
import { expect } from 'chai';
import { body, ModelCall, type Keys } from '../../support/unit/media.js';

const annLines = ['a=ptime:20', 'a=x-note:keep me', 'a=sendrecv'];
const ann = (...lines: readonly string[]): string => body(6000, [...annLines, ...lines]);

const bea = (...lines: readonly string[]): string =>
  [
    'v=0',
    'o=bea 9 9 IN IP4 192.0.2.77',
    's=-',
    't=0 0',
    'm=audio 7000 RTP/AVP 0 101',
    'c=IN IP4 192.0.2.77',
    'a=rtpmap:101 telephone-event/8000',
    ...lines,
    '',
  ].join('\r\n');

const held = body(6000, annLines.slice(0, 2), '0.0.0.0').replace(
  'o=ann 7001 3 IN IP4 0.0.0.0',
  'o=ann 7001 3 IN IP4 192.0.2.10',
);

/** Attributes that every rewritten body of ann has. */
const codecs = [
  'a=rtpmap:0 PCMU/8000',
  'a=rtpmap:8 PCMA/8000',
  'a=rtpmap:101 telephone-event/8000',
  'a=fmtp:101 0-15',
];

const annSession = ['v=0', 'o=ann 7001 3 IN IP4 192.0.2.10', 's=call one', 't=0 0'];
const beaSession = ['v=0', 'o=bea 9 9 IN IP4 192.0.2.77', 's=-', 't=0 0'];

interface Example {
  readonly name: string;
  readonly sdp: string;
  readonly keys?: Keys;
  /** Body of the offer that the example answers. */
  readonly answerTo?: string;
  readonly session: readonly string[];
  /** PORT and PORT+1 for what the daemon chose. */
  readonly sections: readonly (readonly string[])[];
}

const replaceKeys: Keys = {
  replace: new Set(['origin', 'session-connection', 'sdp-version', 'username', 'session-name']),
};

const examples: readonly Example[] = [
  {
    name: 'a plain offer',
    sdp: ann(),
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'its answer',
    answerTo: ann(),
    sdp: bea(),
    session: beaSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 101',
        'c=IN IP4 127.0.0.1',
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:101 telephone-event/8000',
        'a=sendrecv',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'an offer with a replace list',
    sdp: ann(),
    keys: replaceKeys,
    session: ['v=0', 'o=ann 7001 3 IN IP4 127.0.0.1', 's=call one', 't=0 0'],
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'a hold by zero address',
    sdp: held,
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 0.0.0.0',
        'a=x-note:keep me',
        ...codecs,
        'a=sendonly',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'a hold by zero address that is replaced',
    sdp: held,
    keys: { replace: new Set(['zero-address']) },
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        ...codecs,
        'a=sendonly',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'a=rtcp with an address, loop protection and another interface',
    sdp: ann('a=rtcp:6055 IN IP4 192.0.2.11'),
    keys: {
      flags: new Set(['loop-protect', 'full-rtcp-attribute']),
      fromInterface: 'lo',
      toInterface: 'ext',
    },
    session: [...annSession, 'a=rtpengine:0123456789ab'],
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 203.0.113.5',
        'a=x-note:keep me',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT+1 IN IP4 203.0.113.5',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'rtcp-mux offered',
    sdp: ann('a=rtcp-mux'),
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT+1',
        'a=rtcp-mux',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'rtcp-mux accepted by the callee',
    answerTo: ann('a=rtcp-mux'),
    sdp: bea('a=rtcp-mux'),
    session: beaSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 101',
        'c=IN IP4 127.0.0.1',
        'a=rtpmap:0 PCMU/8000',
        'a=rtpmap:101 telephone-event/8000',
        'a=sendrecv',
        'a=rtcp:PORT',
        'a=rtcp-mux',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'rtcp-mux=require',
    sdp: ann(),
    keys: { rtcpMux: new Set(['require']) },
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT',
        'a=rtcp-mux',
        'a=ptime:20',
      ],
    ],
  },
  {
    name: 'a refused section and one of an unknown kind',
    sdp: ann(
      'm=video 0 RTP/AVP 96',
      'a=rtpmap:96 H264/90000',
      'm=application 6100 UDP/BFCP *',
      'a=floorctrl:c-s',
    ),
    keys: { flags: new Set(['generate-mid']) },
    session: annSession,
    sections: [
      [
        'm=audio PORT RTP/AVP 0 8 101',
        'c=IN IP4 127.0.0.1',
        'a=x-note:keep me',
        'a=mid:1',
        ...codecs,
        'a=sendrecv',
        'a=rtcp:PORT+1',
        'a=ptime:20',
      ],
      // c= is required (RFC 8866 §5) since the session has none; the recording is older.
      ['m=video 0 RTP/AVP 96', 'c=IN IP4 0.0.0.0', 'a=mid:2'],
      [
        'm=application PORT UDP/BFCP *',
        'c=IN IP4 127.0.0.1',
        'a=floorctrl:c-s',
        'a=mid:3',
        'a=sendrecv',
      ],
    ],
  },
];

/** Session part and sections, their lines sorted, own ports by name. */
function partsOf(sdp: string): readonly (readonly string[])[] {
  const [session = '', ...medias] = sdp.split(/(?=^m=)/m);
  const linesOf = (text: string): readonly string[] => text.trimEnd().split('\r\n').sort();
  const sections = medias.map((text) => {
    const port = Number(/^m=\S+ (\d+)/.exec(text)?.[1]);
    const named = port === 0 ? text : text.replace(` ${port} `, ' PORT ');
    return linesOf(
      named
        .replace(new RegExp(`a=rtcp:${port}\\b`), 'a=rtcp:PORT')
        .replace(new RegExp(`a=rtcp:${port + 1}\\b`), 'a=rtcp:PORT+1'),
    );
  });
  return [linesOf(session), ...sections];
}

describe('the recorded examples', () => {
  for (const { name, sdp, keys = {}, answerTo, session, sections } of examples) {
    it(`${name} is rewritten as recorded`, () => {
      const call = new ModelCall();
      if (answerTo !== undefined) call.offer(answerTo);
      const written = answerTo === undefined ? call.offer(sdp, keys) : call.answer(sdp, keys);
      const expected = [session, ...sections].map((lines) => [...lines].sort());
      expect(partsOf(written)).to.deep.equal(expected);
    });
  }

  it('a body that changed gets the next version and keeps the first session name', () => {
    const call = new ModelCall();
    const first = call.offer(ann(), replaceKeys);
    const changed = ann().replace('s=call one', 's=second').replace('a=ptime:20', 'a=ptime:40');
    const second = call.offer(changed, replaceKeys);
    expect(second.split('\r\n').slice(0, 4)).to.deep.equal([
      'v=0',
      'o=ann 7001 4 IN IP4 127.0.0.1',
      's=call one',
      't=0 0',
    ]);
    expect(second).to.include('a=ptime:40\r\n');
    expect(/m=.*/.exec(second)?.[0]).to.equal(/m=.*/.exec(first)?.[0]);
  });

  it('a bad body is refused', () => {
    const bad = 'v=0\r\no=ann 1 1 IN IP4\r\ns=-\r\nt=0 0\r\nm=audio 6000 RTP/AVP 0\r\n';
    expect(() => new ModelCall().offer(bad)).to.throw('Failed to parse SDP');
  });
});
