/** Templates of flags (ng-protocol.md §5.3): the file's section, and what becomes of a request. */
import { expect } from 'chai';
import { changedOptions } from '../../../src/config/changes.js';
import { parseRequest, type NgRequest } from '../../../src/ng-protocol/commands.js';
import { configError, configOf } from '../../support/unit/config.js';
import { dictionary, type Plain } from '../../support/unit/ng-protocol.js';

const file = '/etc/rtprelay/rtprelay.conf';
const withTemplates = (entries: string): Record<string, string> => ({
  [file]: `[rtpengine]\ninterface = 127.0.0.1\nlisten-ng = 127.0.0.1:2223\ntemplates = ours\n${entries}`,
});

describe('the section of templates', () => {
  it('is what the option names', () => {
    const { templates } = configOf(
      [],
      withTemplates('[ours]\nWAN = SRTP ICE=force\ndefault = x'),
    ).control;
    expect([...templates]).to.deep.equal([
      ['WAN', 'SRTP ICE=force'],
      ['default', 'x'],
    ]);
  });

  it('is missed where there is none, or no file', () => {
    const { message } = configError(() => configOf([], withTemplates('[theirs]\na = b')));
    expect(message).to.equal(`${file} has no section [ours] (templates)`);
    const argv = ['--config-file=none', '--listen-ng=127.0.0.1:2223', '--templates=ours'];
    expect(configError(() => configOf(argv)).message).to.include('needs a configuration file');
  });

  it('is read again with the configuration', () => {
    const before = configOf([], withTemplates('[ours]\na = b'));
    const after = configOf([], withTemplates('[ours]\na = c'));
    const [change] = changedOptions(before, after);
    expect(change?.option).to.include({ name: 'templates', reloads: true });
    expect(change).to.include({ before: 'ours;a=b', after: 'ours;a=c' });
    expect(changedOptions(before, before)).to.deep.equal([]);
  });
});

describe('a template', () => {
  const templates = new Map([
    ['default', 'trust-address TOS=184'],
    ['offer', 'replace-origin rtcp-mux-demux direction=priv direction=pub'],
    ['web', 'SRTP AVPF template=more'],
    ['more', 'codec=[strip=[PCMU PCMA]] loop-protect'],
    ['self', 'asymmetric template=self'],
  ]);
  const parse = (
    command: string,
    record: Readonly<Record<string, Plain>> = {},
  ): Extract<NgRequest, { readonly command: 'offer' | 'answer' }> => {
    const tags = { sdp: 'v=0', 'call-id': 'c', 'from-tag': 'f', 'to-tag': 't' };
    const request = parseRequest(command, dictionary({ ...tags, ...record }), templates);
    if (request.command !== 'offer' && request.command !== 'answer') throw new Error('no offer');
    return request;
  };

  it('counts by itself when it is the default or named as the command', () => {
    const request = parse('offer');
    expect([...request.flags]).to.deep.equal(['trust-address']);
    expect([...request.replace]).to.deep.equal(['origin']);
    expect(request).to.include({ tos: 184, fromInterface: 'priv', toInterface: 'pub' });
    expect([...parse('answer').replace]).to.deep.equal([]);
    expect(parse('answer')).to.include({ tos: 184, toInterface: null });
  });

  it('comes before what the request says itself', () => {
    const request = parse('offer', {
      TOS: 8,
      direction: ['a', 'b'],
      flags: ['SIP-source-address'],
    });
    expect(request).to.include({ tos: 8, fromInterface: 'a', toInterface: 'b' });
    expect([...request.flags]).to.deep.equal(['sip-source-address']);
  });

  it('is put in place by its name, as a key or a word, and names others', () => {
    for (const keys of [{ template: 'web' }, { 'rtpp-flags': 'template=web' }]) {
      const request = parse('offer', keys);
      expect(request.transportProtocol).to.equal('RTP/SAVPF');
      expect(request.edits?.codecs?.strip).to.deep.equal(['PCMU', 'PCMA']);
      expect(request.flags.has('loop-protect')).to.equal(true);
    }
    const overruled = parse('offer', { template: 'web', 'transport-protocol': 'RTP/AVP' });
    expect(overruled.transportProtocol, 'transport words come last').to.equal('RTP/SAVPF');
  });

  it('that nobody knows is told, and so is one that names itself', () => {
    expect(parse('offer', { template: 'none' }).unknown).to.deep.equal([
      "Templates for signalling flags 'none' not found",
    ]);
    const { unknown, flags } = parse('offer', { template: 'self' });
    expect(unknown).to.deep.equal(["Template 'self' left out: too many name each other"]);
    expect(flags.has('asymmetric')).to.equal(true);
  });
});
