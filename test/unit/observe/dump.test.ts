import { expect } from 'chai';
import type { NgValue } from '../../../src/ng-protocol/dictionary.js';
import { dumpText } from '../../../src/observe/dump.js';

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
});
