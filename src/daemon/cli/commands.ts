/** The operator's commands: one line in, a text out (options.md §4, samples of 10.5). */
import { logSubsystems, type LogSubsystem } from '../../config/subsystems.js';
import { inSlices } from '../../media/slices.js';
import { callText, interfacesText, sessionCountsText, sessionsText, tagText } from './sessions.js';
import { changeSettingText, settingNamed, settingNames, settingText } from './settings.js';
import { streamsText } from './streams.js';
import { countersText, totalsText } from './statistics.js';
import { explanationText } from '../../observe/explain/text.js';
import { recentLineText } from '../../observe/recent-text.js';
import { printableJson, unprintable } from '../../observe/printable.js';
import { statusText } from '../node-status.js';
import { replayText } from './replay.js';
import type { CliCall, CliTarget } from './target.js';

/** A text, a long one in parts, each of whole lines unless it has none. */
export type CliText = string | readonly string[];

/** What a command answers. */
export type CliReply = CliText | Promise<CliText>;

/** Runs a command with the words behind its name. */
type Command = (target: CliTarget, words: readonly string[]) => CliReply;

const more = 'More parameters required.\n';

function unknown(words: readonly string[]): string {
  return `Unknown or incomplete command::${words.join(' ')}\n`;
}

/** Names at one level, as rtpengine lists them. */
function helpText(names: Iterable<string>): string {
  return `${['Available sub-commands at this level:', ...names].join('\n\t')}\n`;
}

/** What is chosen by a word that no command has. */
interface Others {
  readonly names: readonly string[];
  readonly run: Command;
}

/** A command that is chosen by its next word. */
function choice(commands: ReadonlyMap<string, Command>, others?: Others): Command {
  return (target, words) => {
    const [word, ...rest] = words;
    if (word === undefined) return more;
    const command = commands.get(word);
    if (command !== undefined) return command(target, rest);
    if (word === 'help' || word === 'usage') {
      return helpText([...commands.keys(), ...(others?.names ?? [])]);
    }
    return others === undefined ? unknown(words) : others.run(target, words);
  };
}

/** The call that an operator means: by its id, or by what was shown of it (`printable`). */
function callNamed(target: CliTarget, name: string): CliCall | null {
  return target.call(name) ?? target.call(unprintable(name));
}

function subsystemNamed(name: string): LogSubsystem | null {
  return logSubsystems.find(([subsystem]) => subsystem === name)?.[0] ?? null;
}

const listSessions: Command = (target, words) => {
  const which = words[0];
  if (which === undefined) return more;
  if (which === 'all' || which === 'own' || which === 'foreign') return sessionsText(target, which);
  if (which === 'recording' && words.length === 1 && callNamed(target, which) === null)
    return 'No recording sessions on this media relay.\n';
  const name = words.join(' ');
  const call = callNamed(target, name);
  return call === null ? `\nCall ID not found (${name}).\n\n` : callText(call);
};

const listLogLevel: Command = (target, words) => {
  const name = words[0];
  if (name === undefined) {
    return logSubsystems.map(([entry]) => `${entry} = ${target.logLevel(entry)}\n`).join('');
  }
  const subsystem = subsystemNamed(name);
  return subsystem === null
    ? `Unknown log subsystem '${name}'\n`
    : `${target.logLevel(subsystem)}\n`;
};

const setLogLevel: Command = (target, words) => {
  const [first, second] = words;
  const toAll = first !== undefined && /^\d/.test(first);
  const value = toAll ? first : second;
  if (first === undefined || value === undefined) return more;
  if (!/^\d{1,9}$/.test(value)) return `Fail setting loglevel to ${value}; no digists found\n`;
  const level = Number(value);
  const subsystem = toAll ? null : subsystemNamed(first);
  if (!toAll && subsystem === null) return `Unknown log subsystem '${first}'\n`;
  const all = logSubsystems.map(([name]) => name);
  for (const name of subsystem === null ? all : [subsystem]) target.setLogLevel(name, level);
  return `Success setting loglevel to ${level}\n`;
};

const list = choice(
  new Map<string, Command>([
    ['numsessions', sessionCountsText],
    ['sessions', listSessions],
    ['totals', (target) => totalsText(target.statistics())],
    ['counters', (target) => countersText(target.statistics())],
    ['jsonstats', (target) => `${JSON.stringify(target.statistics())}\n`],
    ['interfaces', interfacesText],
    ['transcoders', () => 'No stats entries\n'],
    ['loglevel', listLogLevel],
    [
      'loglevels',
      () => logSubsystems.map(([name, description]) => `${name} - ${description}\n`).join(''),
    ],
  ]),
  {
    names: settingNames,
    run: (target, words) => {
      const setting = settingNamed(words[0] ?? '');
      return setting === null ? unknown(words) : settingText(target, setting);
    },
  },
);

/** `set redisdisable 0|1`, in 12.5's words. */
const setRedisDisable: Command = (target, [word]) => {
  if (word === undefined) return more;
  if (!/^\d{1,9}$/.test(word)) return `Fail setting redisdisable to ${word}; no digists found\n`;
  const verb = Number(word) === 0 ? 're-enable' : 'disable';
  return target.switchRedis(verb === 're-enable')
    ? `Success ${verb} redis write\n`
    : `No redis write to ${verb}\n`;
};

const ownSettings = new Map([
  ['loglevel', setLogLevel],
  ['redisdisable', setRedisDisable],
]);

const set = choice(ownSettings, {
  names: settingNames,
  run: (target, words) => {
    const setting = settingNamed(words[0] ?? '');
    if (setting === null) return unknown(words);
    const value = words[1];
    return value === undefined ? more : changeSettingText(target, setting, value);
  },
});

const terminate: Command = (target, words) => {
  const which = words[0];
  if (which === undefined) return more;
  if (which === 'all' || which === 'own' || which === 'foreign') {
    const text = `All ${which === 'all' ? '' : `${which} `}calls terminated by operator.\n`;
    return target.terminateCalls(which).then(() => text);
  }
  const name = words.join(' ');
  const call = callNamed(target, name);
  return call !== null && target.terminateCall(call.callId)
    ? `\nCall Id (${name}) successfully terminated by operator.\n\n`
    : `\nCall Id not found (${name}).\n\n`;
};

function parameters(target: CliTarget, when: 'start' | 'current'): string {
  return target
    .parameters(when)
    .map(([name, value]) => `${name} = ${value}\n`)
    .join('');
}

function changedParameters(target: CliTarget): string {
  const before = target.parameters('configured');
  return target
    .parameters('current')
    .flatMap(([name, value], index) => {
      const old = before[index]?.[1] ?? '';
      return old === value ? [] : [`${name}: ${old} => ${value}\n`];
    })
    .join('');
}

const params = choice(
  new Map<string, Command>([
    ['start', (target) => parameters(target, 'start')],
    ['current', (target) => parameters(target, 'current')],
    ['diff', changedParameters],
    [
      'revert',
      (target) => {
        target.revertParameters();
        return '';
      },
    ],
  ]),
);

function setDebug(target: CliTarget, callId: string, word: string | undefined): string {
  if (word !== undefined && word !== 'on' && word !== 'off') {
    return `Invalid on/off flag ('${word}') specified\n`;
  }
  const on = word !== 'off';
  const call = callNamed(target, callId);
  if (call === null || !target.setCallDebug(call.callId, on))
    return `Call ID '${callId}' not found\n`;
  return `${on ? 'Enabled' : 'Disabled'} debugging for call '${callId}'\n`;
}

const debug: Command = (target, words) =>
  words[0] === undefined ? 'No call ID specified\n' : setDebug(target, words[0], words[1]);

const callCommand: Command = (target, words) => {
  const [callId, action, ...rest] = words;
  if (callId === undefined) return more;
  const call = callNamed(target, callId);
  if (call === null) return `No such call '${callId}'\n`;
  switch (action) {
    case 'info':
      return callText(call);
    case 'terminate':
      return target.terminateCall(call.callId)
        ? `\nCall '${callId}' terminated.\n\n`
        : `No such call '${callId}'\n`;
    case 'debug':
      return setDebug(target, callId, rest[0]);
    case 'tag':
      return callTag(call, rest);
    case 'help':
    case 'usage':
      return helpText(['info', 'terminate', 'debug', 'tag']);
    default:
      return action === undefined ? more : unknown(words.slice(1));
  }
};

/** `call CALLID tag TAG ...` */
function callTag(call: CliCall, [tag, action, ...rest]: readonly string[]): string {
  if (tag === undefined || action === undefined) return more;
  switch (action) {
    case 'info':
      return tagText(call, tag);
    case 'help':
    case 'usage':
      return helpText(['info', 'delay', 'detect-dtmf']);
    // What runs codecs is not there: said, rather than accepted in silence.
    case 'delay':
    case 'detect-dtmf':
      return `Fail: '${action}' needs media processing, which this version does not have\n`;
    default:
      return unknown([action, ...rest]);
  }
}

/** Ours: `explain [--json] CALLID`, the option at either end. */
const explain: Command = (target, words) => {
  const json = words[0] === '--json' || words.at(-1) === '--json';
  const rest = words[0] === '--json' ? words.slice(1) : json ? words.slice(0, -1) : words;
  const name = rest.join(' ');
  if (name === '') return more;
  const explanation = target.explain(name) ?? target.explain(unprintable(name));
  if (explanation === null) {
    return `Call ID not found (${name}): not here since the start, or it has ended long ago.\n`;
  }
  return json ? `${printableJson(JSON.stringify(explanation))}\n` : explanationText(explanation);
};

// The texts of 10.5, spelling included: operators' scripts compare them.

const ksadd: Command = (target, [word]) => {
  if (word === undefined) return more;
  if (!/^\d{1,6}$/.test(word)) {
    return `Fail adding keyspace ${word} to redis notifications; no digists found\n`;
  }
  return target.follow(Number(word))
    ? `Success adding keyspace ${word} to redis notifications.\n`
    : `Keyspace ${word} is already among redis notifications.\n`;
};

const ksrm: Command = async (target, [word]) => {
  if (word === undefined) return more;
  if (!/^\d{1,6}$/.test(word)) {
    return `Fail removing keyspace ${word} to redis notifications; no digists found\n`;
  }
  return (await target.unfollow(Number(word)))
    ? `Successfully unsubscribed from keyspace ${word}.\n` +
        `Successfully removed all foreign calls for keyspace ${word}.\n`
    : `Keyspace ${word} is not among redis notifications.\n`;
};

const makeAll =
  (ownership: 'own' | 'foreign'): Command =>
  async (target) => {
    await target.makeAll(ownership);
    const name = ownership === 'own' ? 'owned (active)' : 'foreign (standby)';
    return `Ok, all calls set to '${name}'\n`;
  };

/** Ours: `drain [SECONDS]`, `drain off`. */
const drain: Command = (target, [word]) => {
  if (word === 'off') {
    return target.cancelDrain() ? 'New calls are taken again.\n' : 'Not draining.\n';
  }
  if (word !== undefined && !/^\d{1,7}$/.test(word)) {
    return `Fail draining; '${word}' is neither a number of seconds nor 'off'\n`;
  }
  target.drain(word === undefined ? null : Number(word));
  return `Draining, ${target.sessionCounts().own} calls left.\n`;
};

/** Ours: the process pair goes over to what is installed now. */
const upgrade: Command = (target) =>
  target.upgrade()
    ? 'Upgrading: the log tells how it goes.\n'
    : 'Fail upgrading; this daemon has no parent (--pair)\n';

/** Ours. */
const kernel: Command = async (target) => {
  const state = await target.kernel();
  if (state === null) return 'No kernel forwarding: media is relayed in user space.\n';
  const { mode, devices, flows, refused, totals } = state;
  const lines = [
    `Mode: ${mode}`,
    `Devices: ${devices.length === 0 ? 'none' : devices.join(' ')}`,
    `Flows: ${flows.length}`,
  ];
  await inSlices(flows, (flow) => {
    lines.push(
      `  ${flow.from} > ${flow.local} | ${flow.source} > ${flow.to} | ${flow.packets} p, ` +
        `${flow.bytes} b, ${flow.passedUp} up, ${flow.dropped} dropped, ${flow.lost} lost, ` +
        `jitter ${flow.jitter}${flow.rtcpOnly ? ', RTCP while no daemon runs' : ''}`,
    );
  });
  lines.push(
    `Refused flows: ${refused.now} now, ${refused.total} in all`,
    'Packets:',
    ...Object.entries(totals)
      .filter(([, packets]) => packets > 0)
      .map(([reason, packets]) => `  ${reason}: ${packets}`),
  );
  return `${lines.join('\n')}\n`;
};

/** Ours: `interface add [NAME/]ADDR[!ADVERTISED]`, `interface del NAME`. */
const interfaces = choice(
  new Map<string, Command>([
    [
      'add',
      async (target, [text]) => {
        if (text === undefined) return more;
        const why = await target.addInterface(text);
        return why === null
          ? `Success adding interface ${text}\n`
          : `Fail adding interface ${text}; ${why}\n`;
      },
    ],
    [
      'del',
      (target, [name]) => {
        if (name === undefined) return more;
        const why = target.removeInterface(name);
        return why === null
          ? `Success removing interface ${name}\n`
          : `Fail removing interface ${name}; ${why}\n`;
      },
    ],
  ]),
);

/** Ours: `log CALLID`. */
const log: Command = (target, words) => {
  const name = words.join(' ');
  if (name === '') return more;
  const exact = target.recentLines(name);
  const lines = exact.length > 0 ? exact : target.recentLines(unprintable(name));
  if (lines.length === 0) {
    return `No lines of the log are kept of this call (${name}): the last 10,000 of all calls are.\n`;
  }
  return lines.map(recentLineText).join('');
};

/** Ours: what `rtprelayctl capture` asks. */
const capture: Command = (target, words) => {
  const name = words.join(' ');
  if (name === '') return more;
  const answer = target.capture(name) ?? target.capture(unprintable(name));
  return answer === null
    ? `No such call '${name}'\n`
    : `${printableJson(JSON.stringify(answer))}\n`;
};

/** Ours: what `rtprelayctl capture --decrypt` asks. */
const srtpKeys: Command = (target, words) => {
  const name = words.join(' ');
  if (name === '') return more;
  const answer = target.srtpKeys(name) ?? target.srtpKeys(unprintable(name));
  if (answer === null) return `No such call '${name}'\n`;
  return typeof answer === 'string'
    ? `SRTP keys are not told: ${answer}\n`
    : `${JSON.stringify(answer)}\n`;
};

/** Ours: `status [--json]`. */
const status: Command = (target, [word]) => {
  if (word !== undefined && word !== '--json') return unknown([word]);
  const now = target.status();
  return word === undefined ? statusText(now) : `${printableJson(JSON.stringify(now))}\n`;
};

/** Ours: as SIGHUP. */
const reload: Command = async (target) => `${(await target.reload()).join('\n')}\n`;

const commands: ReadonlyMap<string, Command> = new Map<string, Command>([
  ['list', list],
  ['terminate', terminate],
  ['set', set],
  ['get', list],
  ['params', params],
  ['ksadd', ksadd],
  ['ksrm', ksrm],
  [
    'kslist',
    (target) => {
      const lines = target.keyspaces().map((keyspace) => `${keyspace} `);
      return `\nSubscribed-on keyspaces:\n${lines.join('')}\n`;
    },
  ],
  ['active', makeAll('own')],
  ['standby', makeAll('foreign')],
  ['kernel', kernel],
  ['drain', drain],
  ['upgrade', upgrade],
  ['interface', interfaces],
  ['reload', reload],
  ['status', status],
  ['replay', (target) => replayText(target.replay())],
  ['log', log],
  ['capture', capture],
  ['srtpkeys', srtpKeys],
  ['explain', explain],
  ['streams', streamsText],
  ['debug', debug],
  ['call', callCommand],
]);

const top = choice(commands);

/**
 * Runs one line. Words are separated by white space.
 *
 * @returns the text to send back, with its line ends; '' for commands that say nothing.
 */
export function runCommand(target: CliTarget, line: string): CliReply {
  return top(
    target,
    line.split(/[ \t]+/).filter((word) => word !== ''),
  );
}
