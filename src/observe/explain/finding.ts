/** What `explain` finds. Codes are for programs, sentences for people. */

export type FindingCode =
  | 'call-ended'
  | 'port-closed-by-timeout'
  | 'foreign-call'
  | 'answer-missing'
  | 'traffic-dropped'
  | 'address-not-here'
  | 'section-refused'
  | 'hold'
  | 'blocked'
  | 'silenced'
  | 'no-packets'
  | 'nothing-comes-back'
  | 'rtp-on-rtcp-port'
  | 'wrong-source'
  | 'stopped'
  | 'not-authentic'
  | 'no-key'
  | 'looks-like-srtp'
  | 'unexpected-payload'
  | 'codec-changed'
  | 'ssrc-changed'
  | 'other-drops'
  | 'no-destination'
  | 'family-mismatch'
  | 'icmp-unreachable'
  | 'send-failed'
  | 'never-heard';

export interface Finding {
  readonly code: FindingCode;
  /** `cause`: nothing is heard because of it. `hint`: it may have to do with it. */
  readonly weight: 'cause' | 'hint';
  /** What is the case. */
  readonly text: string;
  /** What to do about it. */
  readonly next: string | null;
}

export const cause = (code: FindingCode, text: string, next: string | null = null): Finding => ({
  ...{ code, weight: 'cause', text, next },
});

export const hint = (code: FindingCode, text: string, next: string | null = null): Finding => ({
  ...{ code, weight: 'hint', text, next },
});

/** Nothing flows because somebody has said so. */
export const isHold = ({ code, weight }: Finding): boolean => code === 'hold' && weight === 'cause';
