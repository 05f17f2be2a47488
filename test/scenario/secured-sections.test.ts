/**
 * Sections that are added to a secured call, and candidates that come, after the daemon was killed: it goes on from Redis,
 * or its pair takes over.
 */
import { CertificateAuthority } from '../support/certificates.js';
import { ProcessPair, limitMs } from '../support/process-pair.js';
import { SecuredSections, type Ask, type Section } from '../support/secured-sections.js';
import { StoredDaemon } from '../support/stored-daemon.js';
import type { Security } from '../support/secured-phone.js';
import { until } from '../support/wait.js';

/** A relay that may be killed, and goes on. */
interface Relay {
  readonly ask: Ask;
  start(): Promise<void>;
  kill(): Promise<void>;
  stop(): Promise<void>;
}

class Pair implements Relay {
  #pair = new ProcessPair();
  #times = 1;
  #killed = 0;

  readonly ask: Ask = async (words) => {
    const reply = await this.#pair.ng.ask(words);
    if (reply['result'] !== 'ok') throw new Error(`reply ${JSON.stringify(reply)}`);
    return String(reply['sdp'] ?? '');
  };

  async start(): Promise<void> {
    await this.#pair.warm(this.#times);
  }

  async kill(): Promise<void> {
    await this.#pair.warm(this.#times);
    // It may serve before its parent has said that it is the active one.
    await until(() => this.#pair.active() !== this.#killed, 'another active process', limitMs);
    this.#killed = this.#pair.active();
    process.kill(this.#killed, 'SIGKILL');
    this.#times += 1;
    await this.#pair.serves(this.#times);
  }

  async stop(): Promise<void> {
    await this.#pair.stop();
  }
}

const relays: readonly (readonly [string, () => Relay])[] = [
  ['it goes on from Redis', () => new StoredDaemon('sections')],
  ['its pair takes over', () => new Pair()],
];

const audio: Section = { type: 'audio' };
const video: Section = { type: 'video' };
const kinds: readonly (readonly [Security, readonly Section[]])[] = [
  [
    'SDES',
    [
      { ...audio, suites: ['AES_CM_128_HMAC_SHA1_80', 'F8_128_HMAC_SHA1_80'] },
      { ...video, suites: ['AEAD_AES_256_GCM', 'AES_256_CM_HMAC_SHA1_32'] },
      // Passed through, beside others that end here.
      { ...audio, suites: ['AES_192_CM_HMAC_SHA1_80', 'AES_192_CM_HMAC_SHA1_80'] },
    ],
  ],
  ['DTLS', [audio, video, video]],
];

for (const [how, open] of relays)
  describe(`a secured call whose daemon is killed, and ${how}`, function () {
    this.timeout(4 * limitMs);
    const authority = new CertificateAuthority('sections');
    const files = ['one', 'two', 'three'].map((each) => authority.issue(each, `DNS:${each}`));
    const relay = open();
    let call: SecuredSections;
    before(() => relay.start());
    afterEach(() => call.end());
    after(async () => {
      await relay.stop();
      authority.remove();
    });

    for (const [security, [first, second, third]] of kinds)
      it(`has further sections by ${security}, of either side, each secured by itself`, async () => {
        if (first === undefined || second === undefined || third === undefined) throw new Error();
        call = new SecuredSections(relay.ask, `further-${security}`, security, files);
        await call.add(first);
        await call.negotiate(0);
        await call.meet('at the beginning');
        await relay.kill();
        await call.add(second);
        await call.negotiate(0);
        await call.meet('with a second one');
        await relay.kill();
        await call.meet('after another kill');
        await call.add(third);
        await call.negotiate(1, () => relay.kill());
        await call.meet('killed once the third one was answered');
      });

    it('has candidates that come in fragments', async () => {
      call = new SecuredSections(relay.ask, 'fragments', 'DTLS', files);
      await call.add(audio, true);
      await call.negotiate(0, () => relay.kill());
      await call.meet('at the beginning');
      await call.add(video, true);
      await call.negotiate(1, () => relay.kill());
      await call.meet('with a second section');
      await relay.kill();
      await call.meet('after another kill');
    });
  });
