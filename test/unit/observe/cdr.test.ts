/** The call record has the members of rtpengine 10.5's, in their order (recorded from it). */
import { expect } from 'chai';
import { cdrLine } from '../../../src/observe/cdr.js';
import { body, ModelCall } from '../../support/unit/media.js';

const stream = (prefix: string): readonly string[] =>
  [
    ...['endpoint_ip', 'endpoint_port', 'local_relay_ip', 'local_relay_port', 'relayed_packets'],
    ...['relayed_bytes', 'relayed_errors', 'last_packet', 'in_tos_tclass'],
  ].map((name) => `${prefix}_${name}`);

const participant = (ml: string): readonly string[] => [
  ...['start_time', 'end_time', 'duration', 'termination', 'local_tag', 'local_tag_type'].map(
    (name) => `${ml}_${name}`,
  ),
  `${ml}_remote_tag`,
  'payload_type',
  ...stream(`${ml}_midx1_rtp`),
  ...stream(`${ml}_midx1_rtcp`),
];

describe('the call record', () => {
  it('has the members of rtpengine in their order', () => {
    const call = new ModelCall();
    call.offer(body(6000));
    call.answer(body(7000));
    const { state } = call;
    if (state === null) throw new Error('no call');
    const line = cdrLine(
      state,
      { streams: [], ssrcs: [] },
      {
        reason: 'silent-timeout',
        endedMicros: state.createdMicros + 2.5e6,
        localAddressOf: () => '10.0.0.1',
      },
    );
    expect(line.endsWith(', ')).to.equal(true);
    const fields = line
      .slice(0, -2)
      .split(', ')
      .map((field) => field.split('='));
    expect(fields.map(([name]) => name)).to.deep.equal([
      ...['ci', 'created_from', 'last_signal', 'tos'],
      ...participant('ml0'),
      ...participant('ml1'),
    ]);
    const value = new Map(fields.map(([name = '', text = '']) => [name, text]));
    expect(value.get('ml0_duration')).to.equal('2.500000');
    expect(value.get('ml0_termination')).to.equal('SILENT TIMEOUT');
    expect([value.get('ml0_local_tag_type'), value.get('ml1_local_tag_type')]).to.deep.equal([
      'FROM_TAG',
      'TO_TAG',
    ]);
    expect(value.get('payload_type')).to.equal('unknown');
    expect(value.get('ml1_midx1_rtp_local_relay_ip')).to.equal('10.0.0.1');
  });
});
