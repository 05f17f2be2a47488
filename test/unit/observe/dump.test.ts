import { expect } from 'chai';
import type { NgValue } from '../../../src/ng-protocol/dictionary.js';
import { dumpText, messageWithoutKeys, withoutKeys } from '../../../src/observe/dump.js';

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

  it('of a message on the wire has no keys either, and every length as it was', () => {
    const line = 'a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:';
    const masked = (text: string): string =>
      messageWithoutKeys(Buffer.from(text, 'latin1')).toString('latin1');
    expect(masked(`1_ d3:sdp60:${line}QUJD+/==|2^31\r\ne`)).to.equal(
      `1_ d3:sdp60:${line}xxxxxxxx|2^31\r\ne`,
    );
    expect(masked(String.raw`1_ {"sdp":"${line}Q\/U\u002bJD==\r\n"}`)).to.equal(
      String.raw`1_ {"sdp":"${line}xxxxxxxxxxxxxx\r\n"}`,
    );
  });
});
