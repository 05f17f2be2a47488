/**
 * Where rtprelayd answers otherwise than rtpengine 10.5, and why. The test fails on a difference
 * that is not listed and on a listed one that no longer occurs.
 */
export interface ExpectedDifference {
  readonly sequence: string;
  readonly reason: string;
  /** Exactly as the test words them. */
  readonly differences: readonly string[];
}

/** A difference that shows in many sequences, without the number and name of its step. */
export interface GeneralDifference {
  readonly reason: string;
  readonly pattern: RegExp;
}

export const generalDifferences: readonly GeneralDifference[] = [];

export const expectedDifferences: readonly ExpectedDifference[] = [];
