import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { commandOf, parseRequest, type NgRequest } from '../../../src/ng-protocol/commands.js';
import { NgError } from '../../../src/ng-protocol/errors.js';
import { decodeBody, splitMessage } from '../../../src/ng-protocol/message.js';
import { dictionary, parsed, type Plain } from '../../support/unit/ng-protocol.js';

const run = (record: { readonly [key: string]: Plain }): NgRequest => {
  const ng = dictionary(record);
  return parseRequest(commandOf(ng), ng);
};

describe('commands', () => {
  it('miss their keys in the order of rtpengine', () => {
    const all = { sdp: '', 'call-id': '', 'from-tag': '', 'to-tag': '' };
    const { sdp, ...noSdp } = all;
    expect(() => run({ command: 'offer' })).to.throw(NgError, 'No SDP body in message');
    expect(() => run({ command: 'offer', ...noSdp })).to.throw(NgError, 'No SDP body in message');
    expect(() => run({ command: 'offer', sdp })).to.throw(NgError, 'No call-id in message');
    expect(() => run({ command: 'offer', sdp, 'call-id': 'c' })).to.throw('No from-tag in message');
    expect(() => run({ command: 'answer', sdp, 'call-id': 'c', 'from-tag': 'f' })).to.throw(
      'No to-tag in message',
    );
    // Empty is not missing, and a number is not a string (both seen).
    expect(() => run({ command: 'answer', ...all })).not.to.throw();
    expect(() => run({ command: 'offer', ...all, 'call-id': 7 })).to.throw('No call-id in message');
    expect(() => run({ command: 'delete' })).to.throw('No call-id in message');
    expect(() => run({ command: 'query' })).to.throw('No call-id in message');
  });

  it('are matched exactly', () => {
    expect(() => run({})).to.throw(NgError, 'Dictionary contains no key "command"');
    expect(() => run({ command: 1 })).to.throw(NgError, 'Dictionary contains no key "command"');
    for (const command of ['PING', 'ping ', 'start_recording']) {
      expect(() => run({ command }), command)
        .to.throw(NgError, 'Unrecognized command')
        .with.property('code', 'unknown-command');
    }
    expect(run({ command: 'CLI', body: 'list totals' })).to.include({ command: 'cli' });
    expect(() => run({ command: 'cli' })).to.throw(NgError, "No 'body' in message");
  });

  it('block and silence select a participant', () => {
    const keys = { 'call-id': 'c', 'from-tag': 'f', label: 'l', address: '192.0.2.1' };
    expect(run({ command: 'block media', ...keys, 'set-label': 's' })).to.include({
      ...{ command: 'block media', callId: 'c', fromTag: 'f', label: 'l' },
      ...{ address: '192.0.2.1', all: false, setLabel: 's' },
    });
    expect(run({ command: 'silence media', ...keys, flags: ['all'] })).to.include({ all: true });
    expect(run({ command: 'unblock media', ...keys, all: 'all' })).to.include({ all: true });
    expect(run({ command: 'unblock media', ...keys, all: 'none' })).to.include({ all: false });
    const flows = run({ command: 'block media', ...keys, all: 'flows' });
    expect(flows).to.deep.include({ all: false, flows: 'flows', unsupported: [] });
    expect(() => run({ command: 'block DTMF' })).to.throw('No call-id in message');
  });

  it('block DTMF drops it, whatever is wanted in its place', () => {
    const block = (security: string): NgRequest =>
      run({ command: 'block DTMF', 'call-id': 'c', 'DTMF-security': security });
    expect(block('drop')).to.deep.include({ command: 'block DTMF', unsupported: [], unknown: [] });
    expect(block('tone').unsupported).to.deep.equal(['DTMF-security=tone (DTMF is dropped)']);
    expect(block('foo').unknown).to.deep.equal(["Unknown DTMF block mode encountered: 'foo'"]);
    expect(block('off')).to.include({ command: 'unblock DTMF' });
    const triggered = { command: 'block DTMF', 'call-id': 'c', trigger: '12#' };
    expect(run(triggered).unsupported).to.deep.equal(['trigger=12#']);
  });

  it('list takes a limit as an integer or a decimal string', () => {
    expect(run({ command: 'list' })).to.include({ limit: 32 });
    expect(run({ command: 'list', limit: '0' })).to.include({ limit: 0 });
    expect(run({ command: 'list', limit: 5 })).to.include({ limit: 5 });
    expect(run({ command: 'list', limit: 'x' })).to.include({ limit: 32 });
    expect(() => run({ command: 'list', limit: '-1' })).to.throw('invalid limit, must be >= 0');
  });

  it('delete reads its keys and flags', () => {
    const request = run({
      'delete delay': 5,
      'delete-delay': '7',
      flags: ['fatal', 'fast', 'to-tag', 'discard-recording', 'no-redis-update'],
      'call-id': 'c',
      'via-branch': 'v',
      'from-tag': 'f',
      'to-tag': 't',
      command: 'delete',
    });
    expect(request).to.deep.include({
      ...{ command: 'delete', callId: 'c', fromTag: 'f', toTag: 't', viaBranch: 'v' },
      ...{ deleteDelaySeconds: 7, metadata: null },
      flags: new Set(['fatal', 'fast', 'to-tag', 'no-redis-update']),
      unknown: [],
      unsupported: ['discard-recording', 'no-redis-update in a delete'],
      idle: [],
    });
  });

  it('query reads the tags', () => {
    expect(run({ command: 'query', 'call-id': 'c', 'from-tag': 'f', zz: 'q' })).to.deep.equal({
      command: 'query',
      callId: 'c',
      fromTag: 'f',
      toTag: null,
      unknown: [],
      unsupported: [],
      idle: [],
    });
  });
});

describe('offer keys', () => {
  it('have aliases', () => {
    const request = run({
      command: 'answer',
      sdp: 'v=0',
      'call ID': 'c',
      'from tag': 'f',
      to_tag: 't',
      'media address': '2001:db8::1',
      'address family': 'ip6',
      'received from': ['?', '192.0.2.1'],
      'from label': 'L',
      'transport protocol': 'rtp/avpf',
      tos: '12',
      'SIP message type': 'sip_reply',
      'sip-response-code': '200',
      delete_delay: 0,
    });
    expect(request).to.include({
      callId: 'c',
      fromTag: 'f',
      toTag: 't',
      mediaAddress: '2001:db8::1',
      addressFamily: 'IP6',
      receivedFrom: '192.0.2.1',
      label: 'L',
      transportProtocol: 'RTP/AVPF',
      tos: 12,
      sipMessageType: 'reply',
      sipCode: 200,
      deleteDelaySeconds: 0,
    });
    expect(request.unknown).to.deep.equal([]);
  });

  it('ignore values of a wrong type', () => {
    const request = parsed({
      flags: 7,
      replace: { a: 'b' },
      'rtcp-mux': 1,
      direction: 3,
      TOS: 'abc',
      ICE: 1,
      label: ['x'],
      codec: 'PCMU',
      'rtpp-flags': 3,
    });
    expect(request.flags.size + request.replace.size + request.rtcpMux.size).to.equal(0);
    expect(request).to.include({ fromInterface: null, tos: null, label: null });
    expect(request.ice.mode).to.equal(null);
    expect(request.unknown).to.deep.equal([]);
  });

  it('take a comma-separated string for a list', () => {
    const request = parsed({ flags: 'trust-address,strict-source', direction: 'a,b' });
    expect([...request.flags]).to.deep.equal(['trust-address', 'strict-source']);
    expect(request).to.include({ fromInterface: 'a', toInterface: 'b' });
  });

  it('keep the TOS when it is 256 or beyond', () => {
    expect(parsed({ TOS: 256 }).tos).to.equal(null);
    expect(parsed({ TOS: -1 }).tos).to.equal(null);
    expect(parsed({ TOS: 255 }).tos).to.equal(255);
  });

  it('note unknown keys and values with the texts of rtpengine', () => {
    const request = parsed({
      'foo bar': 'x',
      ICE: 'Remove',
      replace: ['foo'],
      'rtcp-mux': ['zzz'],
      SDES: ['zzz'],
      supports: ['load limit', 'zz'],
    });
    expect(request.unknown).to.deep.equal([
      "Unknown dictionary key encountered: 'foo bar'",
      "Unknown 'ICE' flag encountered: 'Remove'",
      "Unknown 'replace' flag encountered: 'foo'",
      "Unknown 'rtcp-mux' flag encountered: 'zzz'",
      "Unknown 'SDES' flag encountered: 'zzz'",
      "Optional feature 'zz' not supported",
    ]);
    expect(request.supportsLoadLimit).to.equal(true);
  });

  it('name what is not honoured yet, and nothing that is switched off', () => {
    const off = parsed({
      ICE: 'remove',
      DTLS: 'off',
      SDES: ['off'],
      'record-call': 'no',
      'generate-RTCP': 'off',
      'transport-protocol': 'RTP/AVP',
    });
    expect(off.unsupported).to.deep.equal([]);
    const on = parsed({
      ICE: 'force',
      DTLS: 'passive',
      SDES: ['no-NULL_HMAC_SHA1_32'],
      'record-call': 'yes',
      ptime: 30,
      'T.38': ['decode'],
      codec: { strip: ['all'], transcode: ['PCMU'] },
      'transport-protocol': 'UDP/TLS/RTP/SAVPF',
    });
    expect(on.unsupported).to.deep.equal([
      'record-call',
      'ptime=30 (in the SDP alone, packets keep their length)',
      'T.38=decode',
      'codec-transcode-PCMU',
    ]);
    expect(on.unknown).to.deep.equal([]);
  });

  it('let the stop of drop-traffic win', () => {
    expect(parsed({ 'drop-traffic': ['stop', 'start'] }).dropTraffic).to.equal('stop');
    expect(parsed({ 'drop-traffic': 'start' }).dropTraffic).to.equal('start');
  });
});

describe('recorded requests of Kamailio 5.6', () => {
  const recorded: readonly { name: string; request: string }[] = JSON.parse(
    readFileSync(new URL('kamailio-5.6.json', import.meta.url), 'utf8'),
  );

  it('are forty', () => {
    expect(recorded).to.have.length(40);
  });

  for (const { name, request: text } of recorded) {
    it(`${name} is parsed`, () => {
      const message = splitMessage(Buffer.from(text, 'latin1'));
      if (message === null) throw new Error('no cookie');
      const ng = decodeBody(message.body);
      const request = parseRequest(commandOf(ng), ng);
      expect(name).to.match(new RegExp(`-${request.command}$`));
      // `symmetric` is rtpproxy's word; rtpengine warns of it as well.
      const symmetric = text.includes('9:symmetric') && request.command !== 'delete';
      expect(request.unknown).to.deep.equal(
        symmetric ? ["Unknown flag encountered: 'symmetric'"] : [],
      );
      if (request.command === 'ping') return;
      expect(request).to.include({ callId: ng.get('call-id'), fromTag: ng.get('from-tag') });
      if (request.command !== 'offer' && request.command !== 'answer') return;
      expect(request.sdp)
        .to.equal(ng.get('sdp'))
        .and.match(/^v=0\r\n/);
      expect(request.receivedFrom).to.match(/^10\.78\.0\.2[12]$/);
      expect(request.supportsLoadLimit).to.equal(true);
      expect(request.viaBranch).to.equal(ng.get('via-branch') ?? null);
      expect([...request.replace]).to.deep.equal(ng.get('replace') ?? []);
      expect(request.ice.mode).to.equal(ng.get('ICE') ?? null);
      expect(request.transportProtocol).to.equal(ng.get('transport-protocol') ?? null);
      expect(request.label).to.equal(ng.get('label') ?? null);
    });
  }
});
