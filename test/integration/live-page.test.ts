/** The live page's server: who gets what at /live, how viewers are bounded, what is wished. */
import { expect } from 'chai';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { get, type IncomingMessage } from 'node:http';
import { WebSocket } from 'ws';
import type { Frame, Wish } from '../../src/daemon/live/protocol.js';
import { firstWish } from '../../src/daemon/live/wish.js';
import { cliAsk } from '../support/cli.js';
import { MediaDaemon } from '../support/daemons.js';
import { freeTcpPort } from '../support/free-ports.js';
import { audioSdp } from '../support/ng-client.js';
import { until } from '../support/wait.js';

/** proc(5) */
const residentKib = (pid: number): number =>
  Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1]);

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

async function fetched(port: number, path: string, accept = '*/*'): Promise<Answer> {
  const request = get({ host: '127.0.0.1', port, path, headers: { accept } });
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, text };
}

const page = 'text/html,application/xhtml+xml,*/*;q=0.8';

describe('live page: the server', function () {
  this.timeout(40_000);
  let daemon: MediaDaemon;
  let plain: MediaDaemon;
  let [http, plainHttp, cli] = [0, 0, 0];
  const sockets: WebSocket[] = [];

  before(async () => {
    [http, plainHttp, cli] = [freeTcpPort(), freeTcpPort(), freeTcpPort()];
    plain = await MediaDaemon.start('rtprelayd', {
      extra: [`--listen-http=127.0.0.1:${plainHttp}`],
    });
    daemon = await MediaDaemon.start('rtprelayd', {
      extra: [
        ...[`--listen-http=127.0.0.1:${http}`, '--live-page', `--listen-cli=127.0.0.1:${cli}`],
      ],
    });
  });
  after(async () => {
    await daemon?.stop();
    await plain?.stop();
  });
  afterEach(() => {
    for (const socket of sockets.splice(0)) socket.terminate();
  });

  function connect(port = http): WebSocket {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/live/feed`, 'live.rtprelay');
    socket.on('error', () => undefined);
    sockets.push(socket);
    return socket;
  }

  async function frame(
    socket: WebSocket,
    of: (frame: Frame) => boolean = () => true,
  ): Promise<Frame> {
    for (;;) {
      const [data] = (await once(socket, 'message')) as [Buffer];
      const seen = JSON.parse(data.toString('utf8')) as Frame;
      if (of(seen)) return seen;
    }
  }

  it('probes get their answer, with the page and without', async () => {
    for (const port of [http, plainHttp]) {
      expect(await fetched(port, '/live')).to.include({ status: 200, text: 'live\n' });
      expect(await fetched(port, '/live', 'text/plain')).to.include({ text: 'live\n' });
      expect(await fetched(port, '/ready')).to.include({ status: 200, text: 'ready\n' });
    }
    expect(await fetched(plainHttp, '/live', page)).to.include({ status: 200, text: 'live\n' });
    const led = await fetched(http, '/live', page);
    expect(led.status).to.equal(307);
    expect(led.headers.location).to.equal('/live/');
  });

  it('without --live-page there is no page and no feed', async () => {
    const { status, text } = await fetched(plainHttp, '/live/', page);
    expect([status, text]).to.deep.equal([404, 'the live page is off: --live-page\n']);
    const [error] = (await once(connect(plainHttp), 'error')) as [Error];
    expect(error.message).to.include('400');
  });

  it('serves its files with a policy that allows nothing inline and nobody else', async () => {
    const { status, headers, text } = await fetched(http, '/live/', page);
    expect(status).to.equal(200);
    const policy = String(headers['content-security-policy']);
    expect(policy).to.include("default-src 'none'");
    expect(policy).not.to.include('unsafe');
    const links = [...text.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, link]) => link ?? '');
    expect(links).to.have.length(4);
    for (const link of links) expect((await fetched(http, link)).status, link).to.equal(200);
    expect((await fetched(http, '/live/../package.json')).status).to.equal(404);
    expect((await fetched(http, '/live/nothing')).status).to.equal(404);
  });

  it('sends what is wished, in the order that is wished', async () => {
    const client = daemon.client();
    const socket = connect();
    await once(socket, 'open');
    for (let number = 0; number < 60; number += 1) {
      const call = {
        'call-id': `wish-${String(number).padStart(2, '0')}`,
        'from-tag': `tag${number}`,
      };
      await client.request({ command: 'offer', ...call, sdp: audioSdp(20_000 + 2 * number) });
    }
    const wish: Wish = { ...firstWish, sort: 'id', descending: true, from: 20, count: 5 };
    socket.send(JSON.stringify(wish));
    const { list, node } = await frame(
      socket,
      (each) => each.list.matching === 60 && each.list.from === 20,
    );
    expect(list.rows.map(({ id }) => id)).to.deep.equal([
      'wish-39',
      'wish-38',
      'wish-37',
      'wish-36',
      'wish-35',
    ]);
    expect(list.rows[0]).to.include({ condition: 'ringing', media: 'audio', where: 'nothing' });
    expect(list.rows[0]?.parties[0]).to.equal('tag39');
    expect(node).to.include({ own: 60, foreign: 0, store: 'none' });
    socket.send(JSON.stringify({ ...wish, from: 0, search: 'TAG5', call: 'wish-50' }));
    const found = await frame(socket, ({ call }) => call !== null);
    expect(found.list.matching).to.equal(11);
    expect(found.call).to.include({ id: 'wish-50', known: true, ended: false });
    const { summary } = JSON.parse(await cliAsk(cli, 'explain --json wish-50')) as {
      summary: string;
    };
    // The same sentence; its seconds are those of two moments.
    const timeless = (sentence = ''): string => sentence.replace(/ \d+ s ago/, ' N s ago');
    expect(timeless(found.call?.summary)).to.equal(timeless(summary)).and.to.match(/tag50/);
    // Past the end: the end is what is seen.
    socket.send(JSON.stringify({ ...wish, from: 1e6 }));
    const end = await frame(socket, ({ list: { from } }) => from === 55);
    expect(end.list.rows.map(({ id }) => id).at(-1)).to.equal('wish-00');
    client.close();
  });

  it('shows no keys', async () => {
    const client = daemon.client();
    const key = 'WVNfX19zZW1jdGwgKCkgewkyMjA7fQp9CnVubGVz';
    const sdp = audioSdp(21_000, [`a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:${key}`]).replace(
      'RTP/AVP',
      'RTP/SAVP',
    );
    await client.request({ command: 'offer', 'call-id': 'secret', 'from-tag': 's', sdp });
    const socket = connect();
    await once(socket, 'open');
    socket.send(JSON.stringify({ ...firstWish, search: 'secret', call: 'secret' }));
    const seen = await frame(socket, ({ call }) => call?.known === true);
    expect(JSON.stringify(seen)).not.to.match(/inline|WVNf|crypto/);
    client.close();
  });

  it('shows calls whose ids are longer than a wish, each by a name of its own', async () => {
    const client = daemon.client();
    const long = 'x'.repeat(9000);
    for (const end of ['first', 'second']) {
      const call = { 'call-id': `${long}-${end}`, 'from-tag': `${long}-${end}-tag` };
      await client.request({ command: 'offer', ...call, sdp: audioSdp(22_000) });
    }
    const socket = connect();
    await once(socket, 'open');
    socket.send(JSON.stringify({ ...firstWish, search: long.slice(0, 200) }));
    const { list } = await frame(socket, (each) => each.list.matching === 2);
    expect(new Set(list.rows.map(({ id }) => id)).size).to.equal(2);
    for (const { id, parties } of list.rows) {
      expect(JSON.stringify({ ...firstWish, call: id }).length).to.be.lessThan(2000);
      expect(parties.join('').length).to.be.lessThan(1000);
      socket.send(JSON.stringify({ ...firstWish, call: id }));
      const { call } = await frame(socket, (each) => each.call?.id === id);
      expect(call?.known).to.equal(true);
    }
    for (const end of ['first', 'second']) {
      await client.request({ command: 'delete', 'call-id': `${long}-${end}`, 'delete-delay': 0 });
    }
    client.close();
  });

  it('refuses what is no wish, and viewers beyond the limit', async () => {
    const silly = [
      'no JSON',
      '[]',
      '{}',
      JSON.stringify({ ...firstWish, from: -1 }),
      JSON.stringify({ ...firstWish, sort: 'x' }),
      'x'.repeat(9000),
    ];
    for (const text of silly) {
      const socket = connect();
      await once(socket, 'open');
      socket.send(text);
      const [code] = (await once(socket, 'close')) as [number];
      expect(code, text.slice(0, 40)).to.equal(1008);
    }
    const many = Array.from({ length: 17 }, () => connect());
    const codes: number[] = [];
    for (const socket of many) socket.on('close', (code: number) => codes.push(code));
    await until(() => codes.length > 0, 'a refusal');
    expect(codes).to.deep.equal([1013]);
    expect(
      (await frame(many.find(({ readyState }) => readyState === 1) ?? connect())).node.viewers,
    ).to.equal(16);
  });

  it('does not store up frames for a viewer that does not read', async () => {
    const slow = connect();
    await once(slow, 'open');
    slow.send(JSON.stringify({ ...firstWish, count: 100 }));
    slow.pause();
    const reader = connect();
    await once(reader, 'open');
    // Wishes are answered at once: many of them fill what the kernel keeps for a connection.
    const asking = setInterval(() => slow.send(JSON.stringify({ ...firstWish, count: 100 })), 20);
    const memory = (): number => residentKib(daemon.process.pid);
    const before = memory();
    await new Promise((resolve) => setTimeout(resolve, 4000));
    clearInterval(asking);
    expect(memory() - before, 'KiB').to.be.lessThan(50_000);
    expect((await frame(reader)).node.viewers).to.equal(2);
  });
});
