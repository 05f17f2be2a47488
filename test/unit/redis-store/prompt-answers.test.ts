import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { loadRedisClient } from '../../../src/redis-store/client.js';
import { notAsked, PromptAnswers } from '../../../src/redis-store/prompt-answers.js';

interface Sent {
  readonly unsent: string;
  readonly name: string;
}

/** A connection of which only what comes and goes is there. */
function makeConnection(): {
  redis: Redis;
  inside: { status: string; commandQueue: { length: number }; stream: Record<string, unknown> };
  sent: Sent[];
  heard: string[];
} {
  const sent: Sent[] = [];
  const heard: string[] = [];
  const stream = {
    ...{ writable: true, writableLength: 0, _handle: { fd: 7 } },
    emit: (_event: string, bytes: Buffer) => heard.push(bytes.toString()),
  };
  const inside = {
    ...{ status: 'ready', commandQueue: { length: 0 }, stream },
    sendCommand: (command: { name: string; toWritable: (to: object) => Buffer }) => {
      sent.push({ name: command.name, unsent: command.toWritable(stream).toString() });
    },
  };
  return { redis: inside as unknown as Redis, inside, sent, heard };
}

/** Answers with these, one after the other; a number is what `exchange` returns. */
function answering(...answers: (string | number)[]): { prompt: PromptAnswers; asked: string[] } {
  const asked: string[] = [];
  const prompt = new PromptAnswers((fd, request, length, answer) => {
    expect(fd).to.equal(7);
    asked.push(request.toString('latin1', 0, length));
    const next = answers.shift() ?? 0;
    return typeof next === 'number' ? next : answer.write(next, 'latin1');
  });
  return { prompt, asked };
}

describe('answers that are waited for', () => {
  before(async () => {
    await loadRedisClient();
  });

  it('are a word, a number or nothing', () => {
    const { redis, sent } = makeConnection();
    const { prompt, asked } = answering('+OK\r\n', ':1\r\n', ':4711\r\n', '$-1\r\n');
    const key = Buffer.from('a\xff', 'latin1');
    expect(prompt.ask(redis, 'SET', [key, Buffer.from('{}'), 'EX', 60])).to.deep.equal(
      Buffer.from('OK'),
    );
    expect(asked[0]).to.equal(
      '*5\r\n$3\r\nSET\r\n$2\r\na\xff\r\n$2\r\n{}\r\n$2\r\nEX\r\n$2\r\n60\r\n',
    );
    expect(prompt.ask(redis, 'DEL', [key])).to.equal(1);
    expect(prompt.ask(redis, 'DEL', [key])).to.equal(4711);
    expect(prompt.ask(redis, 'SET', [key, Buffer.from('{}'), 'XX'])).to.equal(null);
    expect(sent).to.deep.equal([]);
  });

  it('go the connection’s way when they are late, errors, cut or longer', () => {
    const { redis, sent, heard } = makeConnection();
    const answers = ['-OOM no room\r\n', '+O', '$2\r\nab\r\n', '+OK\r\n+OK\r\n', 0];
    const { prompt } = answering(...answers);
    for (const _each of answers)
      expect(prompt.ask(redis, 'DEL', ['a'])).to.be.an.instanceOf(Promise);
    expect(heard).to.deep.equal(['-OOM no room\r\n', '+O', '$2\r\nab\r\n', '+OK\r\n+OK\r\n']);
    expect(sent).to.deep.equal(answers.map(() => ({ name: 'DEL', unsent: '' })));
  });

  it('leave what could not be sent to the connection', () => {
    const { redis, sent } = makeConnection();
    const { prompt } = answering(-1, -1 - 10);
    const whole = '*2\r\n$3\r\nDEL\r\n$1\r\na\r\n';
    expect(prompt.ask(redis, 'DEL', ['a'])).to.be.an.instanceOf(Promise);
    for (let command = 0; command < 32; command += 1)
      expect(prompt.ask(redis, 'DEL', ['a'])).to.equal(notAsked);
    expect(prompt.ask(redis, 'DEL', ['a'])).to.be.an.instanceOf(Promise);
    expect(sent.map(({ unsent }) => unsent)).to.deep.equal([whole, whole.slice(10)]);
  });

  it('are not waited for so often where they are late, and more often again where they are not', () => {
    const { redis } = makeConnection();
    const late = Array.from({ length: 12 }, () => 0);
    const { prompt, asked } = answering(...late, '+OK\r\n', '+OK\r\n', 0);
    const unawaited = (): number => {
      let count = 0;
      while (prompt.ask(redis, 'DEL', ['a']) === notAsked) count += 1;
      return count;
    };
    expect(late.map(unawaited)).to.deep.equal([
      ...[0, 32, 64, 128, 256, 512, 1024, 2048, 4096, 4096, 4096, 4096],
    ]);
    expect(unawaited()).to.equal(4096);
    expect([unawaited(), unawaited(), unawaited()]).to.deep.equal([0, 0, 1024]);
    expect(asked).to.have.length(16);
  });

  it('are not waited for while something is on its way, by TLS, or when the command is long', () => {
    const { redis, inside } = makeConnection();
    const { prompt, asked } = answering();
    const refuses = (): void => expect(prompt.ask(redis, 'DEL', ['a'])).to.equal(notAsked) as never;
    inside.commandQueue.length = 1;
    refuses();
    inside.commandQueue.length = 0;
    inside.status = 'connecting';
    refuses();
    inside.status = 'ready';
    for (const [name, value] of [
      ...([
        ['writable', false],
        ['writableLength', 1],
        ['encrypted', true],
        ['_handle', null],
      ] as const),
    ]) {
      const before = inside.stream[name];
      inside.stream[name] = value;
      refuses();
      inside.stream[name] = before;
    }
    for (const long of [Buffer.alloc(65_536), 'é'.repeat(32_768)])
      expect(prompt.ask(redis, 'SET', ['a', long])).to.equal(notAsked);
    expect(asked).to.deep.equal([]);
  });
});
