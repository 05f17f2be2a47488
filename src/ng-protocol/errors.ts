/** Errors of the NG protocol: each knows the text that goes into `error-reason`. */
import type { NgDictionary } from './dictionary.js';

/** Stable codes; the text on the wire is the error's message. */
export type NgErrorCode =
  | 'no-payload'
  | 'bad-bencode'
  | 'bad-json'
  | 'not-a-json-object'
  | 'bad-format'
  | 'no-command'
  | 'unknown-command'
  | 'command-not-supported'
  | 'missing-key'
  | 'bad-value'
  | 'rejected'
  | 'too-long'
  | 'internal';

/**
 * A request that is answered with `result: error`. `message` is the exact `error-reason`
 * (ng-protocol.md §2, §3). A handler may throw it with code `rejected`.
 */
export class NgError extends Error {
  override readonly name = 'NgError';
  constructor(
    readonly code: NgErrorCode,
    reason: string,
    options?: { cause?: unknown },
  ) {
    super(reason, options);
  }

  /** No proxy sends such a message. */
  get isMalformed(): boolean {
    return malformed.has(this.code);
  }
}

const malformed: ReadonlySet<NgErrorCode> = new Set<NgErrorCode>([
  ...(['no-payload', 'bad-bencode', 'bad-json', 'not-a-json-object', 'bad-format'] as const),
  ...(['no-command', 'unknown-command'] as const),
]);

/** `error-reason` of a command that could be answered, but not within the transport's limit. */
export const tooLong = 'Reply too long for a datagram';

/** `warning` of a `delete` that has found nothing to end. */
export const unmatched = "Call-ID not found or tags didn't match";

export const isUnmatched = (reply: NgDictionary): boolean => reply.get('warning') === unmatched;

/** Bytes that are no bencode value, or one beyond the decoder's limits. */
export class BencodeError extends Error {
  override readonly name = 'BencodeError';
  constructor(
    reason: string,
    /** Where in the input, in bytes from its start. */
    readonly offset: number,
  ) {
    super(`${reason} at byte ${offset}`);
  }
}

/** The reply `{result: error, error-reason: TEXT}` in the order that rtpengine writes it. */
export function errorReply(reason: string): NgDictionary {
  return new Map([
    ['result', 'error'],
    ['error-reason', reason],
  ]);
}
