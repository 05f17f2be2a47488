/** An explanation as text for a terminal. */
import type { ExplainedDirection, ExplainedEnd, Explanation } from './explain.js';
import type { Quality } from '../measured.js';
import type { Finding } from './finding.js';

const nameOf = ({ tag, label }: ExplainedEnd): string =>
  `${tag === '' ? '(no tag)' : tag}${label === null ? '' : ` (${label})`}`;

function findingLines({ weight, text, next }: Finding, indent: string): readonly string[] {
  const lines = [`${indent}${weight === 'cause' ? '!' : '-'} ${text}`];
  if (next !== null) lines.push(`${indent}  Next: ${next}`);
  return lines;
}

function learnedText({ learned, learnedSecondsAgo, confirmed }: ExplainedEnd): string {
  if (learned === null) return 'not heard yet';
  const when = learnedSecondsAgo === null ? '' : `, ${learnedSecondsAgo} s ago`;
  return `heard from ${learned} (${confirmed ? 'confirmed' : 'still learning'}${when})`;
}

const endLine = (title: string, end: ExplainedEnd): string =>
  `  ${title.padEnd(9)}${nameOf(end)}: signalled ${end.signalled ?? 'nothing'}, ${learnedText(end)}, our port ${end.local ?? 'none'}`;

function qualityLines({ lossPercent, jitterMs, mos }: Quality): readonly string[] {
  const known = [
    ...(lossPercent === null ? [] : [`${lossPercent.toFixed(1)} % lost`]),
    ...(jitterMs === null ? [] : [`jitter ${jitterMs.toFixed(0)} ms`]),
    ...(mos === null ? [] : [`MOS ${mos.toFixed(1)}`]),
  ];
  return known.length === 0 ? [] : [`  quality  ${known.join(', ')}`];
}

function directionLines(direction: ExplainedDirection): readonly string[] {
  const {
    from,
    to,
    media,
    flows,
    received,
    sent,
    lastPacketSecondsAgo: last,
    findings,
  } = direction;
  const dropped = Object.entries(direction.dropped).filter(([, count]) => count > 0);
  const drops = dropped.map(([reason, count]) => `${count} ${reason}`).join(', ');
  const when = last === null ? '' : `, the last ${last} s ago`;
  return [
    '',
    `${nameOf(from)} -> ${nameOf(to)}, ${media} (section ${from.section}): ${flows ? 'flows' : 'DOES NOT FLOW'}`,
    endLine('from', from),
    endLine('to', to),
    `  packets  ${received} received${when}; ${sent} sent; dropped: ${drops === '' ? 'none' : drops}`,
    ...qualityLines(direction.quality),
    ...findings.flatMap((finding) => findingLines(finding, '  ')),
  ];
}

/** What `explain CALLID` prints. */
export function explanationText(explanation: Explanation): string {
  const { callId, summary, findings, directions } = explanation;
  const rest = findings.filter(({ text, next }) => text !== summary || next !== null);
  return `${[
    `Call ${callId}: ${summary}`,
    ...rest.flatMap((finding) => findingLines(finding, '  ')),
    ...directions.flatMap(directionLines),
  ].join('\n')}\n`;
}
