/**
 * Tells a B2BUA of calls that timed out (options.md §9.1): XML-RPC by POST, one after the other. Requests,
 * pauses and number of attempts as seen on rtpengine 10.5, the form of the body as on 12.5 (which escapes nothing).
 */
import type { XmlRpcConfig } from '../../config/telemetry.js';
import type { CallState } from '../../media/call-state.js';

export interface XmlRpcOptions {
  readonly config: XmlRpcConfig;
  readonly post: (url: string, body: string) => Promise<string>;
  readonly onInfo: (message: string, callId: string) => void;
  readonly onWarning: (message: string, callId: string) => void;
}

const attempts = 4;
const pauseMs = 10;
/** Notices that wait; when a server is away and a thousand calls time out, the rest is given up. */
const maxWaiting = 1000;
const timeoutMs = 5000;
const maxReplyBytes = 65_536;

const escapes: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
const escaped = (text: string): string => text.replace(/[&<>]/g, (each) => escapes[each] ?? each);

interface Notice {
  readonly callId: string;
  readonly url: string;
  /** For the log. */
  readonly about: string;
  readonly body: string;
}

function bodyOf(method: string, params: readonly string[]): string {
  const values = params.map(
    (text) => `<param><value><string>${escaped(text)}</string></value></param>`,
  );
  return (
    '<?xml version="1.0" encoding="UTF-8"?><methodCall>' +
    `<methodName>${method}</methodName><params>${values.join('')}</params></methodCall>`
  );
}

/** What is sent about a call. */
export function noticesOf(state: CallState, { url, format }: XmlRpcConfig): readonly Notice[] {
  const { callId, createdFromAddress, noticeAddress, participants } = state;
  const address = noticeAddress === '' ? createdFromAddress : noticeAddress;
  const host = address.includes(':') ? `[${address}]` : address;
  const common = { callId, url: url.replaceAll('%%', host) };
  const tags = participants.flatMap(({ tag }) => (tag === null || tag === '' ? [] : [tag]));
  switch (format) {
    case 0:
      return tags.map((tag) => ({
        ...common,
        about: `tag ${tag}`,
        body: bodyOf('di', ['sbc', 'postControlCmd', tag, 'teardown']),
      }));
    case 1:
      return [{ ...common, about: `ID ${callId}`, body: bodyOf('teardown', [callId]) }];
    case 2:
      return pairsOf(state).map(([tag, peer]) => ({
        ...common,
        about: `ID ${callId}, tags ${tag} and ${peer}`,
        body: bodyOf('dlg.terminate_dlg', [callId, tag, peer]),
      }));
  }
}

/** Each pair of tags in dialogue once. */
function pairsOf({ participants }: CallState): readonly (readonly [string, string])[] {
  const tags = new Map(participants.map(({ id, tag }) => [id, tag ?? '']));
  return participants.flatMap(({ id, tag, associated }) =>
    associated
      .filter((other) => other > id && tags.has(other))
      .map((other): readonly [string, string] => [tag ?? '', tags.get(other) ?? '']),
  );
}

/** Thread: control. */
export class XmlRpcNotices {
  readonly #options: XmlRpcOptions;
  #waiting: Notice[] = [];
  #running = false;
  #dropped = false;

  constructor(options: XmlRpcOptions) {
    this.#options = options;
  }

  /** A call has timed out. */
  timedOut(state: CallState): void {
    const { config, onWarning } = this.#options;
    const notices = noticesOf(state, config);
    if (this.#waiting.length + notices.length > maxWaiting) {
      if (!this.#dropped) onWarning('XMLRPC server is too slow: notices are dropped', state.callId);
      this.#dropped = true;
      return;
    }
    this.#dropped = false;
    this.#waiting.push(...notices);
    if (!this.#running) void this.#run();
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      await this.#tell(next);
    }
    this.#running = false;
  }

  async #tell(notice: Notice): Promise<void> {
    const { post, onInfo, onWarning } = this.#options;
    onInfo(`Initiating XMLRPC for call (${notice.about}) to ${notice.url}`, notice.callId);
    for (let attempt = 0; attempt < attempts; attempt += 1) {
      const why = await post(notice.url, notice.body).then(faultOf, reasonOf);
      if (why === null) return;
      onWarning(`XMLRPC fault occurred: ${why}`, notice.callId);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
  }

  close(): void {
    this.#waiting = [];
  }
}

/** Of a post that failed: `fetch` says only that it did, its cause why. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const { cause } = error;
  return cause instanceof Error && cause.message !== '' ? cause.message : error.message;
}

function faultOf(reply: string): string | null {
  if (!reply.includes('<methodResponse')) return 'the reply is no XML-RPC';
  if (!reply.includes('<fault>') || /dialog not found/i.test(reply)) return null;
  return /<string>([^<]{0,200})/.exec(reply)?.[1] ?? 'fault';
}

/** Posts a body and returns the reply's, cut. @throws when there is none in time. */
export async function postXml(url: string, body: string): Promise<string> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'text/xml' },
    body: Buffer.from(body, 'latin1'),
    redirect: 'error',
    signal: AbortSignal.timeout(timeoutMs),
  });
  let text = '';
  if (response.body === null) return text;
  for await (const part of response.body as AsyncIterable<Uint8Array>) {
    text += Buffer.from(part).toString('latin1');
    if (text.length > maxReplyBytes) break;
  }
  return text;
}
