/** NG clients that others wrote: `rtpengine-client` from npm and Debian's `rtpengine-ng-client`. */
import { expect } from 'chai';
import { execFile } from 'node:child_process';
import { createRequire } from 'node:module';
import { promisify } from 'node:util';
import { isInstalled } from '../support/child-process.js';
import { MediaDaemon, subjectKind } from '../support/daemons.js';
import type { NgClient } from '../support/ng-client.js';
import { buildSdp, mediaTarget } from '../support/sdp.js';

type Reply = Readonly<Record<string, unknown>>;
type Send = (port: number, host: string, keys?: Reply) => Promise<Reply>;

/** The part of `rtpengine-client` that the test uses; the package has no types. */
interface PackageClient {
  readonly ping: Send;
  readonly offer: Send;
  readonly answer: Send;
  readonly query: Send;
  readonly list: Send;
  readonly statistics: Send;
  readonly delete: Send;
  readonly close: () => void;
}

interface ClientPackage {
  readonly Client: new (options: { timeout: number }) => PackageClient;
}

function loadPackage(): ClientPackage {
  return createRequire(import.meta.url)('rtpengine-client') as ClientPackage;
}

const caller = buildSdp();
const callee = buildSdp({ user: 'bea', origin: '192.0.2.77', address: '192.0.2.77' });

describe(`${subjectKind} and other people's clients`, () => {
  let daemon: MediaDaemon;
  let own: NgClient;

  before(async () => {
    daemon = await MediaDaemon.start(subjectKind);
    own = daemon.client();
  });
  after(async () => {
    own?.close();
    await daemon?.stop();
  });

  async function exists(callId: string): Promise<boolean> {
    return (await own.ask({ command: 'query', 'call-id': callId }))['result'] === 'ok';
  }

  describe('rtpengine-client (npm)', () => {
    let client: PackageClient;
    before(() => {
      client = new (loadPackage().Client)({ timeout: 3000 });
    });
    after(() => client?.close());

    const keys = { 'call-id': 'by-package', 'from-tag': 'a' };
    const send = async (
      command: Exclude<keyof PackageClient, 'close'>,
      more: Reply = {},
    ): Promise<Reply> => client[command](daemon.controlPort, '127.0.0.1', { ...keys, ...more });

    it('gets its pong', async () => {
      expect(await send('ping')).to.deep.equal({ result: 'pong' });
    });

    it('sets up a call, sees it and takes it down', async () => {
      const offered = await send('offer', {
        sdp: caller,
        flags: ['trust-address'],
        replace: ['origin'],
      });
      expect(offered).to.include({ result: 'ok' });
      expect(mediaTarget(String(offered['sdp'])).address).to.equal('127.0.0.1');
      const answered = await send('answer', { sdp: callee, 'to-tag': 'x' });
      expect(answered).to.include({ result: 'ok' });
      const towards = [offered, answered].map((reply) => mediaTarget(String(reply['sdp'])).port);
      expect(new Set(towards).size).to.equal(2);
      expect(await send('query')).to.have.nested.property('tags.x.tag', 'x');
      expect((await send('list'))['calls']).to.include('by-package');
      const deleted = await send('delete', { 'delete-delay': 0 });
      expect(deleted).to.include({ result: 'ok' }).and.to.have.property('totals');
      expect(await exists('by-package')).to.equal(false);
    });

    it('gets errors as replies', async () => {
      const reply = await send('query', { 'call-id': 'nobody' });
      expect(reply).to.deep.equal({ result: 'error', 'error-reason': 'Unknown call-id' });
    });

    it('gets the statistics', async () => {
      expect(await send('statistics')).to.have.property('statistics');
    });
  });

  describe('rtpengine-ng-client (Debian)', () => {
    before(function () {
      if (!isInstalled('rtpengine-ng-client')) this.skip();
    });

    async function run(command: string, ...words: readonly string[]): Promise<string> {
      const at = ['--proxy-address=127.0.0.1', `--proxy-port=${daemon.controlPort}`];
      const all = [...at, '--call-id=by-program', '--from-tag=a', ...words, command];
      const { stdout } = await promisify(execFile)('rtpengine-ng-client', all, { timeout: 10_000 });
      return stdout;
    }

    it('gets its pong in bencode and in JSON', async () => {
      expect(await run('ping')).to.match(/result => 'pong'/);
      expect(await run('ping', '--json')).to.match(/result => 'pong'/);
    });

    for (const [encoding, words] of [
      ['bencode', []],
      ['JSON', ['--json']],
    ] as const) {
      it(`sets up a call, sees it and takes it down (${encoding})`, async () => {
        const offered = await run('offer', ...words, `--sdp=${caller}`, '--replace-origin');
        expect(offered).to.match(/New SDP:[^]*o=ann 7001 3 IN IP4 127\.0\.0\.1/);
        expect(offered).to.match(/New SDP:[^]*m=audio \d+ RTP\/AVP 0 8 101/);
        const answered = await run('answer', ...words, `--sdp=${callee}`, '--to-tag=x');
        expect(answered).to.match(/New SDP:[^]*m=audio \d+ RTP\/AVP 0 8 101/);
        expect(await run('query', ...words)).to.match(/tag'?\s+=> 'x'/);
        // It prints the reply without its result, and fails when that is an error.
        expect(await run('delete', ...words, '--delete-delay=0')).to.match(/totals'?\s+=>/);
        expect(await exists('by-program')).to.equal(false);
      });
    }

    it('reports errors', async () => {
      const failure = await run('query', '--call-id=nobody').catch((error: unknown) =>
        String(error),
      );
      expect(failure).to.match(/Error reason: "Unknown call-id"/);
    });
  });
});
