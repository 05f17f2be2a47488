/** How call quality is rated: `--mos`. */
import type { OptionReader } from './sources.js';

/** How RTCP receiver reports become a MOS (ng-protocol.md §6). */
export interface MosConfig {
  /** `G.107`: simplified, narrow band, as rtpengine 26.3; `legacy`: the only one of 10.5. */
  readonly formula: 'G.107' | 'legacy';
  /** `listening` (LQ) leaves the round trip out, `conversational` (CQ) has none without it. */
  readonly kind: 'conversational' | 'listening';
}

/** Where a reply shows what is known of each source (options.md §3.3). */
export type SsrcReporting = 'full' | 'inline' | 'global' | 'none';

export function ssrcReportingOf(options: OptionReader): SsrcReporting {
  const word = options.text('ssrc-reporting');
  return word === 'inline' || word === 'global' || word === 'none' ? word : 'full';
}

const wordsOf = (options: OptionReader): readonly string[] => options.texts('mos');

/** Of contradicting words the last holds. */
export function mosConfig(options: OptionReader): MosConfig {
  let formula: MosConfig['formula'] = 'G.107';
  let kind: MosConfig['kind'] = 'conversational';
  for (const word of wordsOf(options)) {
    if (word === 'legacy') formula = 'legacy';
    else if (word.startsWith('G.107')) formula = 'G.107';
    else kind = word === 'LQ' ? 'listening' : 'conversational';
  }
  return { formula, kind };
}

/** Why a word does not do what it says; null: all do. */
export function uselessMos(options: OptionReader): string | null {
  return wordsOf(options).includes('G.107.2') ? 'G.107 rates full band codecs too' : null;
}
