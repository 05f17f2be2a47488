import { expect } from 'chai';
import type { NgValue } from '../../../src/ng-protocol/dictionary.js';
import { dumpText, withoutKeys } from '../../../src/observe/dump.js';

describe('a dump in the log', () => {
  it('is written as rtpengine writes it', () => {
    const reply = new Map<string, NgValue>([
      ['SSRC', new Map()],
      ['tags', new Map<string, NgValue>([['a', ['RTP', 7]]])],
      ['result', 'ok'],
    ]);
    const text = '{ "SSRC": {  }, "tags": { "a": [ "RTP", 7 ] }, "result": "ok" }';
    expect(dumpText(reply)).to.equal(text);
  });

  it('has no keys', () => {
    const line = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:MDEyMzQ1Njc4OUFCQ0RF+/==|2^31|1:4';
    expect(withoutKeys(dumpText(new Map([['sdp', `v=0\r\n${line}\r\n`]])))).to.equal(
      '{ "sdp": "v=0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:(hidden)|2^31|1:4\r\n" }',
    );
  });
});
