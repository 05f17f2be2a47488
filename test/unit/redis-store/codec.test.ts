import { expect } from 'chai';
import fc from 'fast-check';
import type { CallState, Carried } from '../../../src/media/call-state.js';
import { plainMedia } from '../../../src/media/media-attributes.js';
import { decodeCall, encodeCall } from '../../../src/redis-store/codec.js';
import { RestoreError } from '../../../src/redis-store/errors.js';
import { extraFields, type StoredFormat } from '../../../src/redis-store/schema.js';
import {
  anyCall,
  formerSamples,
  sample,
  samples,
  samples125,
  samples260,
  settings,
} from '../../support/unit/redis-store.js';

const formats: readonly StoredFormat[] = ['JSON', 'bencode', 'JSON-10.5', 'JSON-12.5'];

/** `fd` is made up for sockets of our own, and a number of the writing process at that. */
function withoutDescriptors(state: CallState): CallState {
  return { ...state, sockets: state.sockets.map((socket) => ({ ...socket, carried: {} })) };
}

function through(state: CallState, format: StoredFormat): CallState {
  const decoded = decodeCall(state.callId, encodeCall(state, format, settings), settings);
  expect(decoded.format).to.equal(format);
  return decoded.state;
}

/** The document without what we add to every one. */
function withoutMark(value: Buffer): unknown {
  const { json, ...others } = JSON.parse(value.toString('latin1'));
  delete json[extraFields.uidByFamily];
  return { json, ...others };
}

/** 10.5 and 12.5 store most times in seconds. */
function withoutSeconds(state: CallState): CallState {
  const whole = (micros: number): number => micros - (micros % 1_000_000);
  return {
    ...withoutDescriptors(state),
    lastSignalMicros: whole(state.lastSignalMicros),
    participants: state.participants.map((entry) => ({
      ...entry,
      createdMicros: whole(entry.createdMicros),
    })),
    streams: state.streams.map((entry) => ({
      ...entry,
      lastPacketMicros: whole(entry.lastPacketMicros),
    })),
  };
}

/** Bits without a name stay in the layout that they came from. */
function withoutCarriedBits(state: CallState): CallState {
  const named = <T extends { readonly carried: Carried }>(entry: T): T => ({
    ...entry,
    carried: Object.fromEntries(
      Object.entries(entry.carried).filter(([name]) => !name.includes('@')),
    ),
  });
  return {
    ...named(state),
    participants: state.participants.map(named),
    medias: state.medias.map(named),
    streams: state.streams.map(named),
  };
}

/** SSRCs are listed by tag in one layout and by media in the other. */
function withoutSsrcs(state: CallState): CallState {
  return {
    ...state,
    participants: state.participants.map((entry) => ({ ...entry, ssrcTable: [] })),
    medias: state.medias.map((media) => ({ ...media, ssrcTable: [] })),
  };
}

describe('stored calls of rtpengine 10.5', () => {
  for (const [name, bytes] of samples) {
    it(`reads ${name} and writes the same document`, () => {
      const { state, format } = decodeCall('x', bytes, settings);
      expect(format).to.equal('JSON-10.5');
      const written = encodeCall(state, 'JSON-10.5', settings);
      expect(withoutMark(written)).to.deep.equal(JSON.parse(bytes.toString('latin1')));
    });

    it(`takes ${name} through the current formats unchanged`, () => {
      const { state } = decodeCall('x', bytes, settings);
      const json = through(state, 'JSON');
      expect(withoutSsrcs(json)).to.deep.equal(withoutSsrcs(state));
      const bencode = through(json, 'bencode');
      expect(bencode).to.deep.equal(json);
    });
  }

  it('has every sample', () => {
    expect(samples.size).to.equal(12);
  });

  it('understands tags, endpoints and flags of the relay sample', () => {
    const { state } = decodeCall('x', sample('02-relay.json'), settings);
    expect(state.participants.map((participant) => participant.tag)).to.deep.equal(['f%t', 'tt']);
    expect(state.streams[0]?.endpoint).to.deep.equal({ address: '198.51.100.2', port: 3010 });
    expect([...(state.streams[0]?.flags ?? [])]).to.have.members(['rtp', 'filled']);
    expect(state.lastSignalMicros).to.equal(1_795_400_049_000_000);
    expect(state.medias[0]?.subscriptions.map((entry) => entry.mediaId)).to.deep.equal([1]);
  });

  it('gives each media of a subscriber the one that it hears by the offsets of the tags', () => {
    const { state } = decodeCall('x', sample('11-two-publishers.json'), settings);
    const heard = state.medias.map((media) => media.subscriptions.map(({ mediaId }) => mediaId));
    expect(heard).to.deep.equal([[], [], [], [], [0], [1], [2], [3]]);
  });

  it('keeps slashes in format parameters', () => {
    const { state } = decodeCall('x', sample('12-slash-in-fmtp.json'), settings);
    expect(state.medias[0]?.codecs[0]).to.deep.include({
      channels: 2,
      fmtp: 'a=b/c;d=1',
      ptimeMs: 20,
    });
  });
});

describe('secure media of a stored call', () => {
  const all = [
    ['10.5', samples],
    ['12.5', samples125],
    ['26.0', samples260],
  ] as const;
  for (const [release, values] of all) {
    const stateOf = (name: string): CallState =>
      decodeCall('x', values.get(name) ?? expect.fail(name), settings).state;

    it(`${release}: the keys of both directions are as long as their suite's`, () => {
      const { medias, sockets, streams } = stateOf('03-sdes-to-rtp.json');
      const secure = medias.find(({ security }) => security.mode === 'SDES') ?? expect.fail();
      for (const crypto of [...secure.security.sdesIn, ...secure.security.sdesOut]) {
        expect(crypto).to.include({ tag: 1, suite: 'AES_CM_128_HMAC_SHA1_80', mki: null });
        expect(crypto.masterKey).to.have.lengthOf(16);
        expect(crypto.masterSalt).to.have.lengthOf(14);
      }
      const [taken] = secure.security.sdesIn;
      const [sent] = secure.security.sdesOut;
      const of = secure.streams[0];
      const socket = sockets.find(({ streamId }) => streamId === of);
      const stream = streams.find(({ id }) => id === of);
      expect(socket?.srtp?.masterKey).to.equal(taken?.masterKey ?? expect.fail());
      expect(stream?.srtp?.masterKey).to.equal(sent?.masterKey ?? expect.fail());
      const plain = medias.filter(({ security }) => security.mode === 'plain');
      expect(plain.map(({ security }) => security)).to.deep.equal([plainMedia]);
    });
  }

  it('the fingerprint, the modes and the role of a browser are read, and nothing is carried', () => {
    const bytes = samples.get('04-webrtc-to-rtp.json') ?? expect.fail();
    const { medias } = decodeCall('x', bytes, settings).state;
    const browser = medias.find(({ protocol }) => protocol === 'UDP/TLS/RTP/SAVPF');
    const digest = Array.from({ length: 32 }, (_, at) => String.fromCharCode(at)).join('');
    expect(browser?.security.fingerprint).to.deep.equal({ hash: 'sha-256', digest });
    expect(browser).to.include({ rtcpMux: true, direction: 'sendrecv' });
    expect(browser?.carried).to.deep.equal({});
  });
});

describe('stored calls of rtpengine 12.5', () => {
  for (const [name, bytes] of samples125) {
    it(`reads ${name} and writes the same document`, () => {
      const { state, format } = decodeCall('x', bytes, settings);
      expect(format).to.equal('JSON-12.5');
      const recorded = JSON.parse(bytes.toString('latin1'));
      // A sink of the branch that was given up for another; no subscription says so any more.
      if (name === '07-branches.json')
        Object.assign(recorded, { 'rtp_sinks-0': [], 'rtcp_sinks-1': [] });
      const written = encodeCall(state, 'JSON-12.5', settings);
      expect(withoutMark(written)).to.deep.equal(recorded);
    });

    it(`takes ${name} through the other formats unchanged`, () => {
      const { state } = decodeCall('x', bytes, settings);
      let there = state;
      for (const format of ['JSON-10.5', 'JSON', 'bencode', 'JSON-12.5'] as const) {
        there = through(there, format);
        expect(withoutCarriedBits(withoutSsrcs(there)), format).to.deep.equal(
          withoutCarriedBits(withoutSsrcs(state)),
        );
      }
    });
  }

  it('has every sample', () => {
    expect([...samples125.keys()].every((name) => samples.has(name))).to.equal(true);
    expect(samples125.size).to.equal(10);
  });

  it('understands times, flags, codecs and subscriptions', () => {
    const of = (name: string): CallState =>
      decodeCall('x', samples125.get(name) ?? Buffer.alloc(0), settings).state;
    const relay = of('02-relay.json');
    expect(relay.lastSignalMicros).to.equal(1_795_912_774_000_000);
    expect(relay.createdMicros).to.equal(1_795_912_773_971_264);
    expect(relay.participants.map(({ tag }) => tag)).to.deep.equal(['f%t', 'tt']);
    expect(relay.medias.map(({ subscriptions }) => subscriptions)).to.deep.equal(
      [1, 0].map((mediaId) => [
        { mediaId, offerAnswer: true, rtcpOnly: false, egress: false, inject: false },
      ]),
    );
    expect(relay.participants[0]?.sdpReceived).to.include({
      version: '1',
      address: '198.51.100.1',
    });
    expect(relay.participants[0]?.sdpSent?.address).to.equal('198.51.100.2');
    const codecs = of('01-offer-only.json').medias.flatMap((media) => media.codecs);
    const event = { payloadType: 101, encoding: 'telephone-event', fmtp: '0-15', ptimeMs: -1 };
    expect(codecs.find(({ payloadType }) => payloadType === 101)).to.deep.include(event);
    const blocked = of('08-block-recording.json').participants;
    expect(blocked.map(({ blockMedia }) => blockMedia)).to.deep.equal([true, false]);
    expect(of('06-transcode.json').medias[0]?.flags).to.include('transcoding');
  });
});

describe('stored calls of rtpengine 26.0', () => {
  for (const [name, bytes] of samples260) {
    it(`takes ${name} through every format unchanged`, () => {
      const { state, format } = decodeCall('x', bytes, settings);
      expect(format).to.equal(name.endsWith('.bencode') ? 'bencode' : 'JSON');
      let there = through(state, format);
      expect(there).to.deep.equal(state);
      for (const other of formats) {
        there = through(there, other);
        expect(withoutSeconds(withoutCarriedBits(withoutSsrcs(there))), other).to.deep.equal(
          withoutSeconds(withoutCarriedBits(withoutSsrcs(state))),
        );
      }
    });
  }

  it('has every sample, and each as JSON and bencode', () => {
    const names = [...samples125.keys()].flatMap((name) => [name, name.replace('json', 'bencode')]);
    expect([...samples260.keys()].sort()).to.deep.equal(names.sort());
  });

  it('understands times, flags, codecs and subscriptions', () => {
    for (const kind of ['json', 'bencode']) {
      const of = (name: string): CallState =>
        decodeCall('x', samples260.get(`${name}.${kind}`) ?? Buffer.alloc(0), settings).state;
      const relay = of('02-relay');
      expect(relay.lastSignalMicros).to.be.within(1.7e15, 1.9e15);
      expect(relay.participants.map(({ tag }) => tag)).to.deep.equal(['f%t', 'tt']);
      expect(relay.medias.map(({ subscriptions }) => subscriptions[0]?.mediaId)).to.deep.equal([
        1, 0,
      ]);
      const codecs = of('01-offer-only').medias.flatMap((media) => media.codecs);
      const event = { payloadType: 101, encoding: 'telephone-event', fmtp: '0-15', ptimeMs: -1 };
      expect(codecs.find(({ payloadType }) => payloadType === 101)).to.deep.include(event);
      const blocked = of('08-block-recording').participants;
      expect(blocked.map(({ blockMedia }) => blockMedia)).to.deep.equal([true, false]);
    }
  });
});

describe('values of ours from before 12.5 was known', () => {
  for (const [name, bytes] of formerSamples) {
    it(`are what they were: ${name}`, () => {
      const { state, format } = decodeCall('x', bytes, settings);
      expect(format).to.equal(name);
      expect(state.lastSignalMicros).to.be.above(1.7e15);
      for (const other of formats)
        expect(withoutSeconds(through(state, other))).to.deep.equal(withoutSeconds(state));
    });
  }
});

describe('a media with a port count', () => {
  const streams = [1, 2, 3, 4].map((component) => ({ component: String(component) }));
  for (const format of formats) {
    it(`has components of its own for each port (${format})`, () => {
      const { state } = decodeCall('x', sample('02-relay.json'), settings);
      // Both medias become one of two pairs each.
      const [first, second] = state.medias;
      if (first === undefined || second === undefined) throw new Error('two medias');
      const doubled: CallState = {
        ...state,
        medias: [
          { ...first, streams: [0, 1, 2, 3] },
          { ...second, streams: [] },
        ],
        streams: state.streams.map((stream) => ({ ...stream, mediaId: first.id })),
      };
      const value = encodeCall(doubled, format, settings);
      if (format !== 'bencode') {
        const tree = JSON.parse(value.toString('latin1'));
        for (const [at, expected] of streams.entries())
          expect(tree[`stream-${at}`]).to.include(expected);
      }
      const again = decodeCall('x', value, settings).state;
      expect(again.streams.map(({ component }) => component)).to.deep.equal([1, 2, 1, 2]);
      expect(again.streams).to.deep.equal(doubled.streams);
    });
  }
});

describe('the current layout', () => {
  const { state } = decodeCall('x', sample('02-relay.json'), settings);
  const tree: unknown = JSON.parse(encodeCall(state, 'JSON', settings).toString('latin1'));

  it('has the members that a reader of it requires', () => {
    expect(tree).to.have.nested.property('json.last_signal', '1795400049000000');
    expect(tree).to.have.nested.property('tag-0.desired_family', 'IP4');
    expect(tree).to.have.nested.property('media-0.maxptime', '0');
    expect(tree).to.have.deep.property('associated_tags-0', ['1']);
    expect(tree).to.have.deep.property('media-subscriptions-0', ['1/1/0/0/0']);
    expect(tree).to.have.deep.property('payload_types-0', ['8/PCMA/8000//0/20//']);
    expect(tree).to.have.deep.property('ssrc_table-0', []);
  });

  it('writes -1 for medias that a participant does not have', () => {
    const holed = {
      ...state,
      medias: state.medias.map((media) => (media.id === 0 ? { ...media, index: 3 } : media)),
    };
    const value = encodeCall(holed, 'JSON', settings);
    expect(JSON.parse(value.toString('latin1'))).to.have.deep.property('medias-1', [
      '-1',
      '-1',
      '0',
    ]);
    expect(decodeCall('x', value, settings).state.medias[0]?.index).to.equal(3);
  });

  it('reads bytes of a UTF-8 string, escaped or not, as the same bytes', () => {
    const text = JSON.stringify(tree);
    for (const spelling of ['Gr\\u00fc\\u00dfe', 'Grüße']) {
      const bytes = Buffer.from(text.replace('"caller"', `"${spelling}"`), 'utf8');
      const label = decodeCall('x', bytes, settings).state.participants[0]?.label ?? '';
      expect(Buffer.from(label, 'latin1').toString('utf8')).to.equal('Grüße');
    }
  });
});

describe('any call', () => {
  for (const format of formats) {
    it(`survives ${format} without loss`, () => {
      fc.assert(
        fc.property(anyCall, (state) => {
          expect(withoutDescriptors(through(state, format))).to.deep.equal(
            withoutDescriptors(state),
          );
        }),
        { numRuns: 80 },
      );
    });
  }

  it('names each field once', () => {
    fc.assert(
      fc.property(anyCall, (state) => {
        for (const format of ['JSON', 'JSON-10.5', 'JSON-12.5'] as const) {
          const text = encodeCall(state, format, settings).toString('latin1');
          expect(JSON.stringify(JSON.parse(text))).to.equal(text);
        }
      }),
      { numRuns: 60 },
    );
  });

  it('is written with ids by position', () => {
    const { state } = decodeCall('x', sample('02-relay.json'), settings);
    const far = 100;
    const shifted: CallState = {
      ...state,
      participants: state.participants.map((entry) => ({
        ...entry,
        id: entry.id + far,
        associated: entry.associated.map((id) => id + far),
        branches: entry.branches.map((id) => id + far),
        medias: entry.medias.map((id) => id + far),
      })),
      medias: state.medias.map((entry) => ({
        ...entry,
        id: entry.id + far,
        participantId: entry.participantId + far,
        streams: entry.streams.map((id) => id + far),
        endpointMaps: entry.endpointMaps.map((id) => id + far),
        subscriptions: entry.subscriptions.map((s) => ({ ...s, mediaId: s.mediaId + far })),
      })),
      streams: state.streams.map((entry) => ({
        ...entry,
        id: entry.id + far,
        mediaId: entry.mediaId + far,
        sockets: entry.sockets.map((id) => id + far),
        selectedSocket: entry.selectedSocket === null ? null : entry.selectedSocket + far,
        rtcpSibling: entry.rtcpSibling === null ? null : entry.rtcpSibling + far,
      })),
      sockets: state.sockets.map((entry) => ({
        ...entry,
        id: entry.id + far,
        streamId: entry.streamId + far,
      })),
      endpointMaps: state.endpointMaps.map((entry) => ({
        ...entry,
        id: entry.id + far,
        mediaId: entry.mediaId + far,
        sockets: entry.sockets.map((group) => ({
          ...group,
          sockets: group.sockets.map((id) => id + far),
        })),
      })),
    };
    for (const format of formats)
      expect(through(shifted, format)).to.deep.equal(through(state, format));
  });

  it('keeps bits that have no name, in their own layout only', () => {
    const text = sample('02-relay.json').toString('latin1');
    const changed = text
      .replaceAll('"65548"', '"9223372036854841356"')
      .replaceAll('"1114112"', '"17891328"');
    const { state } = decodeCall('x', Buffer.from(changed, 'latin1'), settings);
    const again = encodeCall(state, 'JSON-10.5', settings);
    expect(withoutMark(again)).to.deep.equal(JSON.parse(changed));
    expect(encodeCall(state, 'JSON', settings).toString('latin1')).to.include('"65548"');
    expect(encodeCall(through(state, 'JSON'), 'JSON', settings).toString()).to.not.include('@');
  });
});

describe('a value that is no call', () => {
  const decode = (bytes: Buffer | string): string => {
    try {
      decodeCall('x', Buffer.from(bytes), settings);
    } catch (error) {
      expect(error).to.be.instanceOf(RestoreError);
      return error instanceof Error ? error.message : '';
    }
    return 'no error';
  };
  const relay = sample('02-relay.json').toString('latin1');
  const without = (member: string, field?: string): string => {
    const tree = JSON.parse(relay);
    if (field === undefined) delete tree[member];
    else delete tree[member][field];
    return JSON.stringify(tree);
  };
  const having = (member: string, value: unknown): string =>
    JSON.stringify({ ...JSON.parse(relay), [member]: value });

  it('is refused with the reason that rtpengine gives', () => {
    expect(decode('')).to.equal('could not retrieve JSON data from redis');
    expect(decode('{"json":')).to.equal('could not parse JSON data');
    expect(decode('hello')).to.equal('Unrecognised serial format');
    expect(decode(without('json'))).to.equal("'call' data incomplete");
    expect(decode(without('json', 'created'))).to.equal("'call' data incomplete");
    expect(decode(without('json', 'last_signal'))).to.equal("missing 'last signal' timestamp");
    expect(decode(without('tag-1'))).to.equal("'tags' incomplete");
    expect(decode(without('sfd-2'))).to.equal("'sfds' incomplete");
    expect(decode(without('stream-3'))).to.equal("'streams' incomplete");
    expect(decode(without('media-0'))).to.equal("'medias' incomplete");
    expect(decode(without('map-1'))).to.equal("'maps' incomplete");
  });

  it('is refused when a list is missing', () => {
    for (const list of [
      'stream_sfds-0',
      'other_tags-0',
      'branches-1',
      'medias-0',
      'subscriptions-0',
    ]) {
      expect(decode(without(list)), list).to.match(/incomplete$/);
    }
    for (const list of ['streams-0', 'maps-0', 'payload_types-0', 'map_sfds-0']) {
      expect(decode(without(list)), list).to.match(/incomplete$/);
    }
  });

  it('is refused when it refers to something that does not exist', () => {
    expect(decode(having('stream_sfds-0', ['99']))).to.equal('failed to link streams');
    expect(decode(having('stream_sfds-0', ['0', '0']))).to.equal('failed to link streams');
    expect(decode(having('medias-0', ['0']))).to.equal('failed to link medias');
    expect(decode(having('streams-0', ['2', '3']))).to.equal('failed to link streams');
    expect(decode(having('streams-0', ['0']))).to.equal('failed to link streams');
    expect(decode(having('subscriptions-0', ['7/0/1/0/0']))).to.equal('failed to link tags');
    expect(decode(having('map_sfds-0', ['0']))).to.equal('failed to link maps');
    expect(decode(having('maps-0', ['1']))).to.equal('failed to link maps');
  });

  it('is refused when a field makes no sense', () => {
    expect(decode(relay.replace('"40028"', '"70000"'))).to.equal('failed to create sfds');
    expect(decode(relay.replace('198.51.100.2:3010', 'example.com:1'))).to.equal(
      'failed to create streams',
    );
    expect(decode(relay.replace('"65548"', '"-5"'))).to.equal('failed to create medias');
    expect(decode(relay.replace('8/PCMA/8000///0/20', '8'))).to.equal('failed to create medias');
    expect(decode(having('sfd-0', ['list']))).to.equal("'sfds' incomplete");
  });

  it('costs no time because of the counts it claims', () => {
    const tree = JSON.parse(relay);
    for (const kind of ['num_sfds', 'num_streams', 'num_medias', 'num_tags', 'num_maps']) {
      const claims = { ...tree, json: { ...tree.json, [kind]: '1000000' } };
      expect(decode(JSON.stringify(claims))).to.match(/incomplete$/);
    }
  });

  it('never gets its subscriptions multiplied beyond bounds', () => {
    const list = Array.from({ length: 200_000 }, () => '1/0/1/0/0');
    expect(decode(having('subscriptions-0', list))).to.equal('failed to link tags');
  });

  it('survives members named like object internals', () => {
    const hostile = relay.replace('"fd":', '"__proto__":{},"constructor":"x","fd":');
    expect(decode(hostile)).to.match(/incomplete$|no error/);
    const odd = relay.replace('"created":', '"__proto__":"1","toString":"x","created":');
    expect(decode(odd)).to.equal('no error');
    const { state } = decodeCall('x', Buffer.from(odd), settings);
    for (const format of formats) expect(through(state, format).createdMicros).to.be.above(0);
  });

  it('never raises anything but a RestoreError, whatever is damaged', () => {
    const documents = [
      sample('03-sdes-to-rtp.json'),
      ...formats.map((format) =>
        encodeCall(decodeCall('x', sample('07-branches.json'), settings).state, format, settings),
      ),
    ];
    const damage = fc.tuple(
      fc.constantFrom(...documents),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 4 }),
    );
    fc.assert(
      fc.property(damage, ([document, changes]) => {
        const bytes = Buffer.from(document);
        for (const [at, value] of changes) bytes[at % bytes.length] = value;
        decode(bytes);
      }),
      { numRuns: 600 },
    );
    fc.assert(fc.property(fc.json(), (text) => decode(text) !== 'no error'));
    fc.assert(fc.property(fc.uint8Array(), (bytes) => decode(Buffer.from(bytes)) !== 'no error'));
  });
});
