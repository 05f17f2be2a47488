/**
 * A network namespace with browsers in it: they talk from one address, relays and phones have others.
 * Without a default route Firefox believes that it is offline, and every ICE agent fails at once.
 */
import type { NetworkNamespace } from '../namespaces.js';
import { Phones, type Address } from '../phones.js';
import type { NgDictionary } from '../bencode.js';
import { Browser, type BrowserName } from './browser.js';
import { pause } from '../wait.js';
import { CallPage, type CallOptions } from './call-page.js';

const browserAddress = '10.0.0.1';

/** Makes a namespace such that browsers gather one candidate in it, of `browserAddress`. */
export function prepareForBrowsers(namespace: NetworkNamespace): void {
  namespace.ip('link', 'add', 'media0', 'type', 'veth', 'peer', 'name', 'media1');
  namespace.addAddress('media0', `${browserAddress}/24`);
  for (const device of ['media0', 'media1']) namespace.ip('link', 'set', device, 'up');
}

export class BrowserNet {
  readonly #browsers = new Map<BrowserName, Browser>();

  private constructor(
    readonly namespace: NetworkNamespace,
    readonly phones: Phones,
  ) {}

  /** Gives it a default route, to a gateway that there is not. */
  static async open(namespace: NetworkNamespace): Promise<BrowserNet> {
    namespace.ip('route', 'add', 'default', 'via', '10.0.0.254');
    return new BrowserNet(namespace, await Phones.start(namespace));
  }

  /** A page in a browser, which is started with the first of them. */
  async page(name: BrowserName, options: CallOptions = {}): Promise<CallPage> {
    let browser = this.#browsers.get(name);
    if (browser === undefined) {
      browser = await Browser.start(name, this.namespace.name);
      this.#browsers.set(name, browser);
    }
    return CallPage.open(browser, options);
  }

  async close(): Promise<void> {
    for (const browser of this.#browsers.values()) await browser.stop();
    await this.phones.stop();
    await this.namespace.killAll();
    for (const browser of this.#browsers.values()) browser.removeFiles();
  }
}

const ownCandidate = /^a=candidate:.* 10\.0\.0\.1 .*\r\n/gm;

/** What the proxy says of a call besides its tags and bodies. */
export type NgWords = Readonly<Record<string, string | string[]>>;

export interface RelayedCall {
  readonly callId: string;
  /** The offer as it came. */
  readonly received: string;
  /** The bodies that the relay wrote. */
  readonly offered: string;
  readonly answered: string;
}

/** A call between two pages by way of a relay, or a later offer in one: `caller` is the page that offers. */
export async function callThrough(
  net: BrowserNet,
  relay: Address,
  pages: { readonly caller: CallPage; readonly callee: CallPage },
  words: {
    readonly callId: string;
    readonly offer?: NgWords;
    readonly answer?: NgWords;
    /** The pages are not told of each other's addresses: there is no way but through the relay. */
    readonly relayOnly?: boolean;
    /** Who offers is the one who was called. */
    readonly backwards?: boolean;
    readonly iceRestart?: boolean;
    /** How long the answer takes to come to the relay, in ms. */
    readonly answerDelayMs?: number;
  },
): Promise<RelayedCall> {
  const { callId, relayOnly = false, backwards = false, iceRestart = false } = words;
  const [fromTag, toTag] = backwards ? ['callee', 'caller'] : ['caller', 'callee'];
  const told = (sdp: string): string => (relayOnly ? sdp.replace(ownCandidate, '') : sdp);
  const ask = async (dictionary: NgDictionary): Promise<string> => {
    const { reply } = await net.phones.ng(relay, dictionary);
    if (reply['result'] !== 'ok') throw new Error(JSON.stringify(reply));
    return String(reply['sdp']);
  };
  const tags = {
    'call-id': callId,
    'from-tag': fromTag,
    ...(backwards ? { 'to-tag': toTag } : {}),
  };
  const received = await pages.caller.offer({ iceRestart });
  const offered = await ask({ command: 'offer', ...tags, sdp: received, ...words.offer });
  const answer = await pages.callee.answer(told(offered));
  await pause(words.answerDelayMs ?? 0);
  const answered = await ask({
    command: 'answer',
    ...tags,
    'to-tag': toTag,
    sdp: answer,
    ...words.answer,
  });
  await pages.caller.accept(told(answered));
  return { callId, received, offered, answered };
}
