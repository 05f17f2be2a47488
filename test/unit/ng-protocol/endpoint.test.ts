import { expect } from 'chai';
import type { NgDictionary } from '../../../src/ng-protocol/dictionary.js';
import {
  formatSource,
  NgEndpoint,
  type NgHandler,
  type NgObserver,
} from '../../../src/ng-protocol/endpoint.js';
import { NgError } from '../../../src/ng-protocol/errors.js';
import { ReplyCache } from '../../../src/ng-protocol/reply-cache.js';

const source = { address: '192.0.2.1', port: 5 };
const pong: NgDictionary = new Map([['result', 'pong']]);

function observerInto(log: string[]): NgObserver {
  return {
    received: (command, _from, callId) => log.push(`received ${command} ${callId ?? '-'}`),
    replied: (command, _from, _callId, micros) => log.push(`replied ${command} ${micros}`),
    protocolError: (error, _from, raw, command) =>
      log.push(`error ${command ?? '-'}: ${error.message} [${raw}]`),
    noCookie: (_from, raw) => log.push(`no cookie: ${raw}`),
    duplicate: (_from, cookie) => log.push(`duplicate ${cookie}`),
    notes: (request) =>
      log.push(`notes ${[...request.unknown, ...request.unsupported].join('; ')}`),
    internalError: (error) => log.push(`internal ${String(error)}`),
  };
}

describe('NG endpoint', () => {
  let log: string[];
  let replies: string[];
  let handled: number;
  const endpointWith = (handler: NgHandler): NgEndpoint => {
    let micros = 0;
    return new NgEndpoint({
      handler: (request, from) => {
        handled += 1;
        return handler(request, from);
      },
      observer: observerInto(log),
      cache: new ReplyCache({ nowMs: () => 0 }),
      nowMicros: () => (micros += 7),
    });
  };
  const send = (endpoint: NgEndpoint, text: string): void =>
    endpoint.handleMessage(Buffer.from(text, 'latin1'), source, (bytes) =>
      replies.push(bytes.toString('latin1')),
    );
  beforeEach(() => {
    log = [];
    replies = [];
    handled = 0;
  });

  it('answers a ping at once', () => {
    send(
      endpointWith(() => pong),
      'k d7:command4:pinge',
    );
    expect(replies).to.deep.equal(['k d6:result4:ponge']);
    expect(log).to.deep.equal(['received ping -', 'replied ping 7']);
  });

  it('answers JSON with JSON', () => {
    send(
      endpointWith(() => pong),
      'k {"command":"ping"}',
    );
    expect(replies).to.deep.equal(['k {"result":"pong"}']);
  });

  it('answers a known cookie with the first reply, whatever the contents', () => {
    const endpoint = endpointWith(() => pong);
    send(endpoint, 'k d7:command4:pinge');
    send(endpoint, 'k d7:command4:liste');
    expect(replies).to.deep.equal(['k d6:result4:ponge', 'k d6:result4:ponge']);
    expect(handled).to.equal(1);
    expect(log.at(-1)).to.equal('duplicate k');
  });

  it('lets a duplicate wait for the first copy', async () => {
    let finish: (reply: NgDictionary) => void = () => undefined;
    const answer = new Promise<NgDictionary>((resolve) => (finish = resolve));
    const endpoint = endpointWith(() => answer);
    send(endpoint, 'k d7:command4:pinge');
    send(endpoint, 'k d7:command4:pinge');
    expect(replies).to.deep.equal([]);
    finish(pong);
    await answer;
    await Promise.resolve();
    expect(replies).to.deep.equal(['k d6:result4:ponge', 'k d6:result4:ponge']);
    expect(handled).to.equal(1);
  });

  it('does not answer a message without a cookie', () => {
    send(
      endpointWith(() => pong),
      'd7:command4:pinge',
    );
    expect(replies).to.deep.equal([]);
    expect(log).to.deep.equal(['no cookie: d7:command4:pinge']);
  });

  it('reports framing errors and keeps their replies', () => {
    const endpoint = endpointWith(() => pong);
    send(endpoint, 'k l1:ae');
    send(endpoint, 'k d7:command4:pinge');
    expect(replies).to.deep.equal(
      Array(2).fill('k d6:result5:error12:error-reason22:Invalid NG data formate'),
    );
    expect(log).to.deep.equal(['error -: Invalid NG data format [l1:ae]', 'duplicate k']);
    expect(handled).to.equal(0);
  });

  it('receives a command it does not have', () => {
    send(
      endpointWith(() => pong),
      'k d7:command4:PINGe',
    );
    expect(log).to.deep.equal([
      'received PING -',
      'error PING: Unrecognized command [d7:command4:PINGe]',
    ]);
  });

  it("turns a handler's NgError into its reply, thrown or rejected", async () => {
    const error = new NgError('rejected', 'Unknown call-id');
    send(
      endpointWith(() => {
        throw error;
      }),
      'k d7:command4:pinge',
    );
    send(
      endpointWith(() => Promise.reject(error)),
      'k d7:command4:pinge',
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(replies).to.deep.equal(
      Array(2).fill('k d6:result5:error12:error-reason15:Unknown call-ide'),
    );
  });

  it('survives a defect of a handler', async () => {
    send(
      endpointWith(() => {
        throw new TypeError('x');
      }),
      'k d7:command4:pinge',
    );
    send(
      endpointWith(() => Promise.reject(new TypeError('y'))),
      'k {"command":"ping"}',
    );
    send(
      endpointWith(() => new Map([['a', Number.NaN]])),
      'k d7:command4:pinge',
    );
    await new Promise((resolve) => setImmediate(resolve));
    expect(replies).to.have.members([
      'k d6:result5:error12:error-reason14:Internal errore',
      'k {"result":"error","error-reason":"Internal error"}',
      'k d6:result5:error12:error-reason14:Internal errore',
    ]);
    expect(log).to.include('internal TypeError: x').and.include('internal TypeError: y');
  });

  it('passes on what the request had that is unknown', () => {
    send(
      endpointWith(() => pong),
      'k d7:call-id1:c1:x1:y7:command6:deletee',
    );
    expect(log).to.deep.equal([
      'received delete c',
      "notes Unknown dictionary key encountered: 'x'",
      'replied delete 7',
    ]);
  });

  it('takes a bare dictionary, without cache', () => {
    const endpoint = endpointWith(() => pong);
    for (let i = 0; i < 2; i += 1) {
      endpoint.handleBody(Buffer.from('{"command":"ping"}'), source, (bytes) =>
        replies.push(bytes.toString()),
      );
    }
    expect(replies).to.deep.equal(['{"result":"pong"}', '{"result":"pong"}']);
    expect(handled).to.equal(2);
  });

  it('names sources as rtpengine does', () => {
    expect(formatSource(source)).to.equal('192.0.2.1:5');
    expect(formatSource({ address: '::1', port: 9 })).to.equal('[::1]:9');
  });
});
