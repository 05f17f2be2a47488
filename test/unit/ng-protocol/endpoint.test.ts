import { expect } from 'chai';
import type { NgDictionary, NgValue } from '../../../src/ng-protocol/dictionary.js';
import {
  formatSource,
  type MessageKind,
  NgEndpoint,
  type NgHandler,
  type NgObserver,
} from '../../../src/ng-protocol/endpoint.js';
import { NgError, unmatched } from '../../../src/ng-protocol/errors.js';
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
    duplicate: () => log.push('duplicate'),
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
      handler: (request, from, fits, bytes) => {
        handled += 1;
        return handler(request, from, fits, bytes);
      },
      observer: observerInto(log),
      cache: new ReplyCache({ nowMs: () => 0 }),
      shorten: (reply, excess) => {
        const { calls: _calls, ...short } = Object.fromEntries(reply);
        const shorter = new Map(Object.entries({ ...short, warning: 'shortened' }));
        return excess(shorter) <= 0 ? shorter : null;
      },
      nowMicros: () => (micros += 7),
    });
  };
  const send = (endpoint: NgEndpoint, text: string, from = source, room = 65_507): MessageKind =>
    endpoint.handleMessage(Buffer.from(text, 'latin1'), from, room, (bytes) =>
      replies.push(bytes.toString('latin1')),
    );
  const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));
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

  it('answers a repetition with the first reply, wherever it comes from', () => {
    const endpoint = endpointWith(() => pong);
    send(endpoint, 'k d7:command4:pinge');
    send(endpoint, 'k d7:command4:pinge', { address: '2001:db8::1', port: 7 });
    expect(replies).to.deep.equal(['k d6:result4:ponge', 'k d6:result4:ponge']);
    expect(handled).to.equal(1);
    expect(log.at(-1)).to.equal('duplicate');
  });

  it('runs another request under a known cookie, and knows both afterwards', () => {
    const endpoint = endpointWith(({ command }) => new Map([['result', command]]));
    const requests = [
      'k d7:command4:pinge',
      'k d7:command10:statisticse',
      'k d7:command4:ping1:xi1ee',
    ];
    for (const text of [...requests, ...requests]) send(endpoint, text);
    const expected = ['ping', 'statistics', 'ping'].map(
      (word) => `k d6:result${word.length}:${word}e`,
    );
    expect(replies).to.deep.equal([...expected, ...expected]);
    expect(handled).to.equal(3);
  });

  it('runs two requests under one cookie at once, and gives each its own reply', async () => {
    const finish = new Map<string, (reply: NgDictionary) => void>();
    const endpoint = endpointWith(
      ({ command }) => new Promise((resolve) => finish.set(command, resolve)),
    );
    const [first, second] = ['k d7:command4:pinge', 'k d7:command10:statisticse'];
    for (const text of [first, second, first, second]) send(endpoint, text);
    expect(handled).to.equal(2);
    finish.get('statistics')?.(new Map([['result', 'two']]));
    await settled();
    expect(replies).to.deep.equal(Array(2).fill('k d6:result3:twoe'));
    finish.get('ping')?.(new Map([['result', 'one']]));
    await settled();
    expect(replies.slice(2)).to.deep.equal(Array(2).fill('k d6:result3:onee'));
  });

  it('answers within what the transport carries', () => {
    const long: NgDictionary = new Map<string, NgValue>([
      ['calls', ['x'.repeat(1000)]],
      ['result', 'ok'],
    ]);
    const endpoint = endpointWith(() => long);
    send(endpoint, 'k d7:command4:liste', source, 600);
    send(endpoint, 'k {"command":"list"}', source, 600);
    expect(replies).to.deep.equal([
      'k d6:result2:ok7:warning9:shortenede',
      'k {"result":"ok","warning":"shortened"}',
    ]);
    replies = [];
    send(endpoint, 'k d7:command4:list1:xi1ee', source, 1100);
    expect(replies[0]).to.have.lengthOf.above(1000);
  });

  it('answers with an error when nothing shorter can be said', () => {
    const long: NgDictionary = new Map([['sdp', 'x'.repeat(1000)]]);
    send(
      endpointWith(() => long),
      'k d7:command4:pinge',
      source,
      600,
    );
    expect(replies[0]).to.include('Reply too long for a datagram');
  });

  it('tells the handler whether a reply would fit', () => {
    const asked: boolean[] = [];
    const endpoint = endpointWith((_request, _from, fits) => {
      for (const length of [560, 600]) asked.push(fits(new Map([['sdp', 'x'.repeat(length)]])));
      return pong;
    });
    send(endpoint, 'k d7:command4:pinge', source, 600);
    expect(asked).to.deep.equal([true, false]);
  });

  it('takes a cookie that leaves no room for a reply as none', () => {
    send(
      endpointWith(() => pong),
      `${'k'.repeat(500)} d7:command4:pinge`,
      source,
      600,
    );
    expect(replies).to.deep.equal([]);
    expect(log[0]).to.match(/^no cookie: kkk/);
  });

  it('tells commands from those that cannot be done, and from malformed messages', () => {
    const endpoint = endpointWith(({ command }) => {
      if (command === 'query') throw new NgError('rejected', 'Unknown call-id');
      return command === 'delete' ? new Map([['warning', unmatched]]) : pong;
    });
    const kinds = (texts: readonly string[]): readonly MessageKind[] =>
      texts.map((text) => send(endpoint, text));
    const commands = ['4:list', '10:statistics', '4:list', '4:ping', '5:offer', '6:delete'].map(
      (command) => `d7:call-id1:x7:command${command}8:from-tag1:a3:sdp0:e`,
    );
    const unknown = 'd7:call-id1:x7:command5:querye';
    const others = ['d7:command12:play sausagee', 'd1:xi1ee', 'd', 'q', '{', '{"a":1}', ''];
    expect(kinds([...commands, unknown, unknown].map((body) => `k ${body}`))).to.deep.equal([
      ...['neutral', 'neutral', 'neutral', 'neutral', 'command', 'refused', 'refused', 'neutral'],
    ]);
    expect(kinds([...others.map((body) => `k ${body}`), 'nothing'])).to.deep.equal(
      Array(8).fill('malformed'),
    );
  });

  it('shows a long malformed message shortened', () => {
    const endpoint = endpointWith(() => pong);
    send(endpoint, `k d${'x'.repeat(60_000)}`);
    expect(log[0]).to.have.lengthOf.below(5000);
    expect(log[0]).to.match(/… \(60001 bytes\)\]$/);
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

  it('reports framing errors; the same bytes get the same reply again', () => {
    const endpoint = endpointWith(() => pong);
    send(endpoint, 'k l1:ae');
    send(endpoint, 'k l1:ae');
    expect(replies).to.deep.equal(
      Array(2).fill('k d6:result5:error12:error-reason22:Invalid NG data formate'),
    );
    expect(log).to.deep.equal(Array(2).fill('error -: Invalid NG data format [l1:ae]'));
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
