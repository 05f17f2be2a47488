/** Ports that sections give up when they share a transport are free again: each call ends with as many as it began. */
import { expect } from 'chai';
import type { NgDictionary } from '../support/bencode.js';
import { MediaDaemon } from '../support/daemons.js';
import { buildSdp } from '../support/sdp.js';

const bodyOf = (first: number, second: number, grouped: boolean): string => {
  const sections = [
    { port: first, formats: '0', lines: ['a=mid:1', 'a=rtcp-mux'] },
    {
      ...{ type: 'video', port: second, formats: '96' },
      lines: ['a=rtpmap:96 VP8/90000', 'a=mid:2', 'a=rtcp-mux'],
    },
  ] as const;
  const body = buildSdp({ media: sections });
  return grouped ? body.replace('t=0 0\r\n', 't=0 0\r\na=group:BUNDLE 1 2\r\n') : body;
};

describe('the ports of bundles', () => {
  let daemon: MediaDaemon | undefined;

  before(async () => {
    daemon = await MediaDaemon.start('rtprelayd', { mediaPorts: 100 });
  });
  after(() => daemon?.stop());

  for (const words of [['offer'], ['require'], ['accept'], ['accept', 'offer']]) {
    it(`are all free after a call with bundle=${words.join()}`, async () => {
      const client = daemon?.client();
      if (client === undefined) throw new Error('not started');
      try {
        const ask = (keys: NgDictionary): ReturnType<typeof client.request> =>
          client.request({ 'call-id': words.join(), 'from-tag': 'a', ...keys });
        const offered = bodyOf(6000, 6002, words.includes('accept'));
        await ask({ command: 'offer', bundle: words, sdp: offered });
        const during = await ask({
          command: 'answer',
          'to-tag': 'x',
          sdp: bodyOf(7000, 7000, true),
        });
        expect(during).to.have.property('result', 'ok');
        await ask({ command: 'delete', 'delete-delay': 0 });
        const { statistics } = await client.request({ command: 'statistics' });
        expect(statistics).to.have.nested.property('interfaces[0].ports.used', 0);
      } finally {
        client.close();
      }
    });
  }
});
