/**
 * Conformance by tables: text files of requests and exact replies (rows/*.txt).
 *
 *     # name of the row: a call of its own
 *     > offer {"flags": ["loop-protect"]}
 *     m=audio 6000 RTP/AVP 0              the body; a usual head comes before it unless it has one
 *     <
 *     m=audio <1> RTP/AVP 0               the reply's body, or `error: REASON`, or its keys and values
 *
 * What differs from run to run has names: `<1>` is the first port that is shown, `<1+1>` the one above it,
 * `<key>` a key, `<token>` what else is random, `<tag>` a tag that was made up, `<time>` a moment. Requests have
 * a call-id and a command; offers, answers and publications have tags, a and x, too.
 */
import type { NgDictionary, NgValue } from '../../support/bencode.js';

export interface Step {
  readonly command: string;
  /** As in the file, for the file that `CONFORMANCE_UPDATE` writes. */
  readonly given: string;
  readonly body: readonly string[];
  readonly reply: readonly string[];
}

export interface Row {
  readonly name: string;
  readonly steps: readonly Step[];
}

const offererHead = ['v=0', 'o=ann 7001 3 IN IP4 192.0.2.10', 's=call one', 't=0 0'];
const answererHead = ['v=0', 'o=bea 9 9 IN IP4 192.0.2.77', 's=-', 't=0 0'];

const commandLine = /^> ([A-Za-z]+(?: [A-Za-z]+)*) ?(\{.*\})?$/;

/** Rows of a file. @throws Error for a line that is none. */
export function parseRows(text: string): readonly Row[] {
  const rows: Row[] = [];
  for (const block of text.split(/^# /m).slice(1)) {
    const [name = '', ...lines] = block.trimEnd().split('\n');
    const steps: { command: string; given: string; body: string[]; reply: string[] }[] = [];
    let into: string[] | undefined;
    for (const line of lines) {
      const last = steps.at(-1);
      if (line.startsWith('> ')) {
        const [, command, given = ''] = commandLine.exec(line) ?? [];
        if (command === undefined) throw new Error(`${name}: no command in '${line}'`);
        const step = { command, given, body: [], reply: [] };
        steps.push(step);
        into = step.body;
      } else if (line === '<') into = last?.reply;
      else if (into === undefined) throw new Error(`${name}: '${line}' belongs to nothing`);
      else into.push(line);
    }
    rows.push({ name, steps });
  }
  return rows;
}

/** The text that `parseRows` reads, with these replies. */
export function writeRows(
  heading: string,
  rows: readonly Row[],
  replies: ReadonlyMap<Step, readonly string[]>,
): string {
  const blocks = rows.map(({ name, steps }) => {
    const lines = steps.flatMap((step) => [
      `> ${step.command}${step.given === '' ? '' : ` ${step.given}`}`,
      ...step.body,
      '<',
      ...(replies.get(step) ?? step.reply),
    ]);
    return [`# ${name}`, ...lines, ''].join('\n');
  });
  return `${heading}${blocks.join('\n')}`;
}

const headOf = ({ command }: Step): readonly string[] =>
  command.endsWith('answer') ? answererHead : offererHead;

/** The request of a step. `\r` and `\0` in a body stand for these characters. */
export function requestOf(step: Step, callId: string): NgDictionary {
  const { command, given, body } = step;
  const keys = given === '' ? {} : (JSON.parse(given) as NgDictionary);
  const signalling = command === 'offer' || command === 'answer';
  const lines = body[0]?.startsWith('v=') === true ? body : [...headOf(step), ...body];
  const sdp = lines.map((line) => `${line}\r\n`).join('');
  return {
    'call-id': callId,
    ...(signalling || command === 'publish' ? { 'from-tag': 'a' } : {}),
    ...(signalling || body.length > 0 ? { sdp } : {}),
    ...(command === 'answer' ? { 'to-tag': 'x' } : {}),
    ...keys,
    command,
  };
}

/** Names for what differs from run to run, the same port the same name throughout a row. */
export class Names {
  readonly #ports = new Map<string, string>();
  #count = 0;
  /** A number of IPv6 is another port. */
  #family = '';

  constructor(private readonly ownsPort: (port: number) => boolean) {}

  /** @param alone it is no neighbour of another, which a single port may be by chance. */
  #port(digits: string, alone = false): string {
    const port = Number(digits);
    if (!this.ownsPort(port)) return digits;
    const key = (number: number): string => `${this.#family}${number}`;
    let name = this.#ports.get(key(port));
    if (name === undefined) {
      const below = !alone && port % 2 === 1 ? this.#ports.get(key(port - 1)) : undefined;
      name = below === undefined ? `${(this.#count += 1)}` : `${below}+1`;
      this.#ports.set(key(port), name);
    }
    return `<${name}>`;
  }

  body(lines: readonly string[]): readonly string[] {
    return lines.map((line, at) => {
      if (line.startsWith('m=')) {
        const connection = lines.slice(at).find((each) => each.startsWith('c=')) ?? '';
        this.#family = connection.startsWith('c=IN IP6 ') ? 'IP6 ' : '';
      }
      return this.line(line);
    });
  }

  line(line: string): string {
    return line
      .replace(/^(m=\S+ |a=rtcp:)(\d+)/, (_all, head: string, port: string) => {
        return head + this.#port(port, head.startsWith('m='));
      })
      .replace(
        /^a=candidate:\S+ (\d \S+ \d+ \S+ )(\d+)(.*)$/,
        (_all, middle: string, port: string, end: string) =>
          `a=candidate:<token> ${middle}${this.#port(port)}` +
          end.replace(/(?<= rport )\d+$/, (related) => this.#port(related)),
      )
      .replace(/^(a=crypto:.* inline:)[A-Za-z0-9+/=]+/, '$1<key>')
      .replace(/^(a=(?:ice-ufrag|ice-pwd|tls-id|rtpengine):).+$/, '$1<token>')
      .replace(/^(a=fingerprint:\S+ ).+$/, '$1<token>')
      .replace(/^o=- \d{6,} \d{6,} /, 'o=- <token> <token> ')
      .replace(/^s=rtp(?:engine|relay)[\w.~+-]*$/, 's=<software>');
  }

  /** A value of a reply, in JSON where it has members. */
  value(value: NgValue): string {
    if (typeof value !== 'object') {
      return String(value).replaceAll(madeUp, '<tag>').replaceAll('\n', '\\n');
    }
    return JSON.stringify(value, (key, member: NgValue) => {
      if (moments.has(key)) return '<time>';
      return key === 'local port' && typeof member === 'number' ? this.#port(`${member}`) : member;
    }).replaceAll(madeUp, '<tag>');
  }
}

const madeUp = /\b[0-9a-f]{64}\b/g;
const moments: ReadonlySet<string> = new Set([
  ...['created', 'created_us', 'created_ts', 'last signal', 'last redis update'],
  ...['last packet', 'last kernel packet', 'last user packet'],
]);

/** The reply as the files have it: what it holds beside a body comes first. */
export function shownReply(step: Step, reply: NgDictionary, names: Names): readonly string[] {
  const { sdp, result = '', 'error-reason': reason, ...others } = reply;
  if (reason !== undefined) return [`error: ${names.value(reason)}`];
  const lineOf = (key: string, value: NgValue): string =>
    `${key}: ${moments.has(key) ? '<time>' : names.value(value)}`;
  const keys = Object.entries(others).map(([key, value]) => lineOf(key, value));
  if (typeof sdp !== 'string') return [lineOf('result', result), ...keys];
  if (!sdp.endsWith('\r\n')) return ['a body that does not end with a line'];
  const lines = names.body(sdp.slice(0, -2).split('\r\n'));
  const head = headOf(step);
  const body = head.every((line, at) => lines[at] === line) ? lines.slice(head.length) : lines;
  return [...keys, ...body];
}
