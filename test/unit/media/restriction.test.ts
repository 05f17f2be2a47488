/** What block and silence commands make of a call's packets. */
import { expect } from 'chai';
import { type CallState } from '../../../src/media/call-state.js';
import { SignallingError } from '../../../src/media/errors.js';
import { mediaPlan } from '../../../src/media/plan.js';
import type { PayloadRules, StreamPlan } from '../../../src/media/relay.js';
import { restricted, type Restriction } from '../../../src/media/restriction.js';
import { selectedParticipant, type Selection } from '../../../src/media/selection.js';
import { body, interfaces, ModelCall } from '../../support/unit/media.js';

function established(
  lines: readonly string[] = [],
  protocol = 'RTP/AVP',
  passthrough: true | null = null,
): CallState {
  const call = new ModelCall();
  const sdp = (port: number, address?: string): string =>
    body(port, lines, address).replace(
      /(m=audio \d+) RTP\/AVP [^\r]*/,
      `$1 ${protocol} 8 0 9 18 101`,
    );
  call.offer(sdp(6000), { passthrough });
  call.answer(sdp(7000, '192.0.2.77'));
  if (call.state === null) throw new Error('no call');
  return call.state;
}

const whole = {
  ...{ label: null, address: null, fromTag: null, all: false },
  ...{ toTag: null, toLabel: null, flows: null },
};

function after(
  state: CallState,
  ...commands: readonly (readonly [Restriction['command'], Partial<Selection>?])[]
): CallState {
  return commands.reduce(
    (now, [command, selection]) =>
      restricted(now, { command, ...whole, setLabel: null, ...selection }),
    state,
  );
}

/** The streams that hear the caller: RTP and RTCP. */
function heardFrom(state: CallState, tag: string): readonly StreamPlan[] {
  const participant = state.participants.find((each) => each.tag === tag);
  const media = state.medias.find(({ id }) => id === participant?.medias[0]);
  const { streams } = mediaPlan(state, interfaces);
  return (media?.streams ?? []).flatMap((id) => streams.filter((stream) => stream.id === id));
}

const rulesFor = (state: CallState, tag = 'a'): PayloadRules | null =>
  heardFrom(state, tag)[0]?.payloads ?? null;
const typesOf = (rules: PayloadRules | null): Record<number, string> =>
  Object.fromEntries(rules?.types ?? []);

describe('a restriction', () => {
  it('there is none at first', () => {
    expect(rulesFor(established())).to.equal(null);
  });

  it('block media leaves DTMF and RTCP', () => {
    const state = after(established(), ['block media', { fromTag: 'a' }]);
    expect(rulesFor(state)?.otherwise).to.equal('drop');
    expect(typesOf(rulesFor(state))).to.deep.equal({ 101: 'forward' });
    expect(rulesFor(state, 'x')).to.equal(null);
    const [, rtcp] = heardFrom(state, 'a');
    expect(rtcp).to.include({ kind: 'rtcp', payloads: null, blocked: false });
  });

  it('block DTMF takes nothing else', () => {
    const rules = rulesFor(after(established(), ['block DTMF']));
    expect(rules?.otherwise).to.equal('forward');
    expect(typesOf(rules)).to.deep.equal({ 101: 'drop' });
    const without = established(['a=rtpmap:101 opus/48000/2']);
    expect(rulesFor(after(without, ['block DTMF']))).to.equal(null);
  });

  it('silence replaces G.711 and G.722, by static number too', () => {
    const rules = rulesFor(after(established(), ['silence media']));
    const silences = { 0: 'silence-pcmu', 8: 'silence-pcma', 9: 'silence-g722' };
    expect(typesOf(rules)).to.deep.equal(silences);
    const renamed = after(established(['a=rtpmap:18 PCMU/8000']), ['silence media']);
    expect(typesOf(rulesFor(renamed))).to.deep.equal({ ...silences, 18: 'silence-pcmu' });
  });

  it('block wins over silence, whoever of call and party it was said of', () => {
    const state = after(established(), ['silence media'], ['block media', { fromTag: 'a' }]);
    expect(typesOf(rulesFor(state))).to.deep.equal({ 101: 'forward' });
    const nothing = rulesFor(after(state, ['block DTMF']));
    expect(nothing?.otherwise).to.equal('drop');
    expect(typesOf(nothing)).to.deep.equal({});
  });

  it('SRTP that passes through has readable payload types', () => {
    const dtls = ['a=fingerprint:sha-256 00'];
    const state = after(established(dtls, 'RTP/SAVP', true), ['block media']);
    const [rtp] = heardFrom(state, 'a');
    expect(rtp).to.include({ kind: 'opaque', blocked: false });
    expect(typesOf(rtp?.payloads ?? null)).to.deep.equal({ 101: 'forward' });
  });

  it('what is not RTP is blocked whole, and never silenced', () => {
    const state = established([], 'udptl');
    expect(heardFrom(after(state, ['block media']), 'a')[0]?.blocked).to.equal(true);
    const silenced = heardFrom(after(state, ['silence media'], ['block DTMF']), 'a')[0];
    expect(silenced).to.include({ blocked: false, payloads: null });
  });

  it('a payload type of a stored call that is none is no rule', () => {
    const state = established();
    const medias = state.medias.map((media) => ({
      ...media,
      direction: 'sendrecv' as const,
      codecs: media.codecs.map((codec) => ({ ...codec, payloadType: codec.payloadType + 256 })),
    }));
    const rules = rulesFor(after({ ...state, medias }, ['block media']));
    expect(typesOf(rules)).to.deep.equal({});
  });

  it('leaves the call that it was made from as it was', () => {
    const state = established();
    after(state, ['block media', { all: true }], ['block DTMF', { fromTag: 'a' }]);
    expect(rulesFor(state)).to.equal(null);
  });
});

describe('the participant of a command', () => {
  const state = after(established(), ['block media', { fromTag: 'x' }]);
  const tagOf = (selection: Partial<Selection>): string | null | undefined =>
    selectedParticipant(state, { ...whole, ...selection })?.tag;
  const labelled = restricted(state, {
    ...{ command: 'block media', ...whole, fromTag: 'a', setLabel: 'caller' },
  });

  it('is nobody in particular, or whom tag, address or label name', () => {
    expect(tagOf({})).to.equal(undefined);
    expect(tagOf({ fromTag: 'x' })).to.equal('x');
    expect(tagOf({ address: '192.0.2.77', fromTag: 'a' })).to.equal('x');
    expect(tagOf({ fromTag: 'x', all: true })).to.equal(undefined);
    const byLabel = { ...whole, label: 'caller', address: '192.0.2.77' };
    expect(selectedParticipant(labelled, byLabel)?.tag).to.equal('a');
  });

  it('has an address in any spelling', () => {
    const six = { ...state, streams: state.streams.map((each) => ({ ...each })) };
    for (const stream of six.streams) {
      stream.advertisedEndpoint = { address: '2001:db8::1', port: 1 };
    }
    for (const address of ['2001:DB8::0001', '[2001:db8:0:0::1]', '2001:db8::1%lo']) {
      expect(selectedParticipant(six, { ...whole, address })?.tag).to.equal('a');
    }
  });

  const refused: readonly (readonly [Partial<Selection>, string])[] = [
    [{ fromTag: 'q' }, 'From-tag given, but no such tag exists'],
    [{ fromTag: '' }, 'From-tag given, but no such tag exists'],
    [{ label: 'q' }, 'No monologue matching the given label'],
    [{ address: 'q' }, 'Failed to parse network address'],
    [{ address: '192.0.2.99' }, 'Failed to match address to any tag'],
  ];
  for (const [selection, message] of refused) {
    it(`${JSON.stringify(selection)}: ${message}`, () => {
      expect(() => tagOf(selection)).to.throw(SignallingError, message);
    });
  }
});
