/** What is noted of a request while its keys are read, for the log. */

/** A request that is being read; the lists are those of its `RequestNotes`. */
export interface NotedRequest {
  readonly command: string;
  readonly unknown: string[];
  readonly unsupported: string[];
  readonly idle: string[];
}

/** Notes kept of one request, and of what each shows: a hostile one could otherwise fill the log. */
const maxNotes = 50;
const maxNoteLength = 160;

/** Adds a log text about something unknown. */
export function noteUnknown({ unknown }: NotedRequest, text: string): void {
  if (unknown.length < maxNotes) unknown.push(text.slice(0, maxNoteLength));
}

/** `Unknown 'KEY' flag encountered: 'WORD'`, the text of 10.5 (seen). */
export function noteUnknownWord(request: NotedRequest, key: string, word: string): void {
  noteUnknown(request, `Unknown '${key}' flag encountered: '${word}'`);
}

/** Adds something understood that this version does not honour; once each. */
export function noteUnsupported({ unsupported }: NotedRequest, what: string): void {
  addOnce(unsupported, what);
}

/**
 * Adds something that has no effect here. Not of a `delete`, in which proxies repeat the words of their
 * offers; of those only what could mean the delete itself is noted (`noteUnsupported`).
 */
export function noteIdle({ command, idle }: NotedRequest, what: string): void {
  if (command !== 'delete') addOnce(idle, what);
}

function addOnce(notes: string[], what: string): void {
  const note = what.slice(0, maxNoteLength);
  if (notes.length < maxNotes && !notes.includes(note)) notes.push(note);
}

const signalling: ReadonlySet<string> = new Set([
  ...['offer', 'answer', 'publish', 'subscribe request', 'subscribe answer'],
  ...['create', 'create answer', 'transform'],
]);

/** Whether the request carries a body, or gets one. */
export const isSignalling = ({ command }: NotedRequest): boolean => signalling.has(command);

/** Whether the body of the reply is an offer. */
export const makesOffer = ({ command }: NotedRequest): boolean =>
  command === 'offer' || command === 'subscribe request' || command === 'create';
