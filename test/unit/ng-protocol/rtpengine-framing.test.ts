/** Bodies sent to rtpengine 10.5.3.5 and what it replied, byte for byte (strings are latin1). */
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import type { NgDictionary } from '../../../src/ng-protocol/dictionary.js';
import { NgError } from '../../../src/ng-protocol/errors.js';
import { NgEndpoint } from '../../../src/ng-protocol/endpoint.js';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';

const recorded: readonly { body: string; reply: string }[] = JSON.parse(
  readFileSync(new URL('rtpengine-10.5-framing.json', import.meta.url), 'utf8'),
);

/** A daemon without calls. */
function idle(command: string): NgDictionary {
  if (command === 'ping') return new Map([['result', 'pong']]);
  if (command !== 'list') throw new NgError('rejected', `not in the recording: ${command}`);
  return new Map<string, string | readonly string[]>([
    ['calls', []],
    ['result', 'ok'],
  ]);
}

describe('framing as recorded from rtpengine 10.5', () => {
  const endpoint = new NgEndpoint({
    handler: ({ command }) => idle(command),
    observer: {
      received: () => undefined,
      replied: () => undefined,
      protocolError: () => undefined,
      noCookie: () => undefined,
      duplicate: () => undefined,
      notes: () => undefined,
      internalError: () => undefined,
    },
    cache: new ReplyCache({ nowMs: () => 0 }),
    shorten: () => null,
    nowMicros: () => 0,
  });

  it('has cases', () => {
    expect(recorded.length).to.be.greaterThan(60);
  });

  for (const { body, reply } of recorded) {
    it(`answers ${JSON.stringify(body)}`, () => {
      let given = '';
      endpoint.handleBody(Buffer.from(body, 'latin1'), { address: '::1', port: 1 }, (bytes) => {
        given = bytes.toString('latin1');
      });
      expect(given).to.equal(reply);
    });
  }
});
