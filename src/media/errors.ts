/** Errors of the call model. `code` is stable; the daemon turns them into NG replies. */

export type SignallingErrorCode =
  | 'unknown-call'
  | 'unknown-participant'
  | 'bad-address'
  | 'invalid-dialogue'
  | 'bad-sdp'
  | 'incomplete-sdp'
  | 'sdp-not-writable'
  | 'reply-too-long'
  | 'too-many-medias'
  | 'out-of-ports'
  | 'not-readable'
  | 'not-possible'
  | 'refused-answer';

/** A command that cannot be carried out; the previous state stands. */
export class SignallingError extends Error {
  override readonly name = 'SignallingError';
  constructor(
    readonly code: SignallingErrorCode,
    message: string,
    options?: { cause?: unknown },
  ) {
    super(message, options);
  }
}

export type PortAllocationCause = 'range-exhausted' | 'no-such-address';

/** No port (pair) can be had on the wanted address. */
export class PortAllocationError extends Error {
  override readonly name = 'PortAllocationError';
  constructor(
    readonly reason: PortAllocationCause,
    readonly logicalInterface: string,
    readonly ports: number,
  ) {
    super(
      `Failed to get ${ports} consecutive ports on interface ${logicalInterface} for media relay (last error: ${reason})`,
    );
  }
}
