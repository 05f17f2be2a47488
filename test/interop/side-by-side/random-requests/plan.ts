/** What a random sequence asks for, as plain data: it can be printed, and made smaller one member after the other. */
import type { NgDictionary } from '../../../support/bencode.js';
import {
  command,
  media,
  report,
  sequence,
  wait,
  type CommandStep,
  type Party,
  type Scene,
  type Sequence,
  type Step,
} from '../sequence.js';
import { answerTo, offerOf, type Manner, type OfferedBody } from './phones.js';

/** One step; what is absent is nothing. */
export interface PlanStep {
  /** `RTP`, `RTCP`, `pause` of a second and a half, or a command. */
  readonly do: string;
  /** Who sends the body or the packets. */
  readonly from?: Party;
  /** Who is to get the SDP of the reply. */
  readonly to?: Party;
  readonly keys?: NgDictionary;
  /** An offer's body, or any text. */
  readonly body?: OfferedBody | string;
  /** How the phone answers the body that it was sent last. */
  readonly manner?: Manner;
}

export interface Plan {
  readonly steps: readonly PlanStep[];
}

async function bodyOf(step: PlanStep, scene: Scene): Promise<string | null> {
  const { from = 'a', body, manner } = step;
  if (typeof body === 'string') return body;
  if (body !== undefined) return offerOf(body, from, scene);
  if (manner === undefined) return null;
  const offered = scene.offeredTo(from);
  return offered === null ? null : answerTo(offered, manner, from, scene);
}

function commandStep(step: PlanStep): CommandStep {
  const { to, keys = {} } = step;
  return {
    ...command(step.do, {}, to === undefined ? {} : { delivers: to }),
    dictionary: async (scene) => {
      const sdp = await bodyOf(step, scene);
      return {
        'call-id': scene.callId,
        ...(sdp === null ? {} : { sdp }),
        ...keys,
        command: step.do,
      };
    },
  };
}

function stepOf(step: PlanStep): Step {
  if (step.do === 'RTP') return { ...media(step.from ?? 'a', 3), ifTold: true };
  if (step.do === 'RTCP') return { ...report(step.from ?? 'a'), ifTold: true };
  if (step.do === 'pause') return wait(1500);
  return commandStep(step);
}

export function sequenceOf(name: string, plan: Plan): Sequence {
  return sequence(name, ...plan.steps.map(stepOf));
}

function shownBody(body: OfferedBody | string): string {
  if (typeof body === 'string') return JSON.stringify(body);
  const { media: sections = [], ...others } = body;
  const shown = sections.map(
    ({ type = 'audio', port = 0, protocol = 'RTP/AVP', formats = '0 8', lines = [] }) =>
      `\n      m=${type} ${port} ${protocol} ${formats} ${lines.join(' | ')}`,
  );
  return `${JSON.stringify(others)}${shown.join('')}`;
}

/** The plan in words, a line for each step and each section. */
export function shownPlan({ steps }: Plan): string {
  return steps
    .map(({ do: word, from, to, keys, body, manner }) => {
      const parties = `${from ?? ''}${to === undefined ? '' : `>${to}`}`;
      const how = manner === undefined ? '' : ` as ${JSON.stringify(manner)}`;
      const text = body === undefined ? '' : ` ${shownBody(body)}`;
      return `    ${word} ${parties} ${JSON.stringify(keys ?? {})}${how}${text}`;
    })
    .join('\n');
}
