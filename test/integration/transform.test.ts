/** `transform`: what another instance sends here goes on to where it wants it. */
import { expect } from 'chai';
import type { NgDictionary } from '../support/bencode.js';
import { MediaDaemon } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { RtpEndpoint } from '../support/rtp-endpoint.js';
import { until } from '../support/wait.js';

const pcma = { codec: 'PCMA', 'payload type': 8, 'clock rate': 8000, channels: 1 };
const opus = { codec: 'opus', 'payload type': 96, 'clock rate': 48_000, channels: 2 };

describe('transform', () => {
  let daemon: MediaDaemon | undefined;
  let ng: NgClient | undefined;
  const phones: RtpEndpoint[] = [];

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd');
    ng = daemon.client();
    phones.push(await RtpEndpoint.open(), await RtpEndpoint.open());
  });
  after(async () => {
    for (const each of phones) each.close();
    ng?.close();
    await daemon?.stop();
  });

  const ask = async (keys: NgDictionary): Promise<NgDictionary> => {
    if (ng === undefined) throw new Error('not started');
    return ng.ask({ command: 'transform', ...keys });
  };
  const media = (port: number, input: NgDictionary[], output: NgDictionary[]): NgDictionary => ({
    ...{ id: 'm1', type: 'audio', codec: { input, output } },
    destination: { family: 'IP4', address: '127.0.0.1', port },
  });

  it('sends on what comes, from whoever sends it', async () => {
    const [sender, hearer] = phones;
    if (sender === undefined || hearer === undefined) throw new Error('no phones');
    const reply = await ask({ media: [media(hearer.port, [pcma], [pcma, opus])] });
    expect(Object.keys(reply)).to.deep.equal(['call-id', 'from-tag', 'media', 'result']);
    const [local] = reply['media'] as readonly { port: number; address: string }[];
    expect(local).to.include({ id: 'm1', family: 'IP4', address: '127.0.0.1' });
    const to = { address: '127.0.0.1', port: local?.port ?? 0 };
    await sender.sendRtp(to, 5, { payloadType: 8 });
    await until(() => hearer.received === 5, 'at the destination');
    expect([...new Set(hearer.packets().map(({ payloadType }) => payloadType))]).to.deep.equal([8]);
    expect(sender.received).to.equal(0);
    const deleted = await ng?.ask({
      ...{ command: 'delete', 'call-id': String(reply['call-id']), 'delete-delay': 0 },
    });
    expect(deleted?.['result']).to.equal('ok');
  });

  it('is refused where it would be transcoding, cannot be read, or comes back', async () => {
    const failed = 'Failed to set up transform';
    for (const medias of [
      [media(5000, [pcma], [opus])],
      [media(5000, [pcma], [])],
      [media(0, [pcma], [pcma])],
      [],
      [5],
    ]) {
      const reply = await ask({ media: medias });
      expect(reply).to.deep.equal({ result: 'error', 'error-reason': failed });
    }
    expect(daemon?.process.log()).to.contain("media 'm1': PCMA would have to be transcoded");
    const list = await ng?.ask({ command: 'list' });
    expect(list?.['calls']).to.deep.equal([]);
    const offer = ['v=0', 'o=- 1 1 IN IP4 127.0.0.1', 's=-', 'c=IN IP4 127.0.0.1', 't=0 0'];
    const marked = await ng?.ask({
      ...{ command: 'offer', 'call-id': 'c', 'from-tag': 'a', flags: ['loop-protect'] },
      sdp: [...offer, 'm=audio 5000 RTP/AVP 8', ''].join('\r\n'),
    });
    const [, instance = ''] = /a=rtpengine:(\w+)/.exec(String(marked?.['sdp'])) ?? [];
    const looped = await ask({ instance, media: [media(5000, [pcma], [pcma])] });
    expect(looped['error-reason']).to.equal('Transform loop detected');
  });
});
