/** `list SETTING` and `set SETTING N`, in 10.5's words. */
import type { CliSetting, CliTarget } from './target.js';

interface SettingRow {
  /** Text of `list`. */
  readonly show: (value: number, target: CliTarget) => string;
  /** Name in the replies of `set`. */
  readonly name: string;
  /** Digits behind the point. */
  readonly digits: number;
  readonly minimum: number;
  readonly maximum?: number;
}

/** As an int of C, which rtpengine's are. */
const largestInt = 0x7fffffff;

const plain = (value: number): string => `${value}\n`;
const timeoutRow = (title: string): SettingRow => ({
  show: (value) => `${title}=${value}\n`,
  name: 'timeout',
  digits: 0,
  minimum: 0,
});
const redisRow = (name: string, minimum: number): SettingRow => ({
  show: plain,
  name,
  digits: 0,
  minimum,
});

const rows: Readonly<Record<CliSetting, SettingRow>> = {
  maxsessions: {
    show: (value) => `Maximum sessions configured on rtpengine: ${value}\n`,
    name: 'maxsessions',
    digits: 0,
    minimum: -1,
  },
  maxopenfiles: {
    show: (value, target) =>
      `Maximum open-files configured on rtpengine: ${value}; ` +
      `cat /proc/${target.processId()}/limits\n`,
    name: 'open_files',
    digits: 0,
    minimum: 0,
  },
  maxcpu: {
    show: (value) => `Maximum CPU usage configured on rtpengine: ${value.toFixed(1)}\n`,
    name: 'maxcpu',
    digits: 1,
    minimum: 0,
    maximum: 100,
  },
  maxload: {
    show: (value) => `Maximum load average configured on rtpengine: ${value.toFixed(2)}\n`,
    name: 'maxload',
    digits: 2,
    minimum: 0,
  },
  maxbw: {
    show: (value) => `Maximum bandwidth configured on rtpengine: ${value}\n`,
    name: 'maxbw',
    digits: 0,
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
  },
  timeout: timeoutRow('TIMEOUT'),
  silenttimeout: timeoutRow('SILENT_TIMEOUT'),
  offertimeout: timeoutRow('OFFER_TIMEOUT'),
  finaltimeout: timeoutRow('FINAL_TIMEOUT'),
  redisallowederrors: redisRow('redis-allowed-errors', -1),
  redisdisabletime: redisRow('redis-disable-time', 0),
  redisconnecttimeout: redisRow('redis-connect-timeout', 1),
  rediscmdtimeout: redisRow('redis-cmd-timeout', 0),
  controltos: { show: plain, name: 'control-tos', digits: 0, minimum: 0, maximum: 255 },
  deletedelay: redisRow('delete-delay', 0),
};

/** The setting of that name, or null. */
export function settingNamed(name: string): CliSetting | null {
  for (const key of settingNames) if (key === name) return key;
  return null;
}

/** In rtpengine's order. */
export const settingNames = [
  'maxsessions',
  'maxopenfiles',
  'maxcpu',
  'maxload',
  'maxbw',
  'timeout',
  'silenttimeout',
  'offertimeout',
  'finaltimeout',
  'redisallowederrors',
  'redisdisabletime',
  'redisconnecttimeout',
  'rediscmdtimeout',
  'controltos',
  'deletedelay',
] as const satisfies readonly CliSetting[];

/** `list maxsessions` etc. */
export function settingText(target: CliTarget, setting: CliSetting): string {
  return rows[setting].show(target.setting(setting), target);
}

const whole = /^[+-]?\d+$/;
const fraction = /^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$/;

/**
 * `set maxsessions N` etc. The whole word has to be a number: rtpengine takes `1e9` for 1 and says that
 * it was set.
 */
export function changeSettingText(target: CliTarget, setting: CliSetting, text: string): string {
  const row = rows[setting];
  const isNumber = (row.digits > 0 ? fraction : whole).test(text);
  if (!isNumber) {
    // The misspelling is rtpengine's, and scripts look for it.
    const why = /^[+-]?\d/.test(text) ? 'not a number' : 'no digists found';
    return `Fail setting ${row.name} to ${text}; ${why}\n`;
  }
  const value = Number(text);
  const shown = value.toFixed(row.digits);
  const maximum = row.maximum ?? largestInt;
  if (value > maximum)
    return `Fail setting ${row.name} to ${text}; out of range, at most ${maximum}\n`;
  if (value < row.minimum) {
    const allowed =
      row.minimum === -1
        ? 'either positive or -1 values allowed'
        : `out of range, at least ${row.minimum}`;
    return `Fail setting ${row.name} to ${shown}; ${allowed}\n`;
  }
  const refusal = target.changeSetting(setting, value);
  if (refusal !== null) return `Fail setting ${row.name} to ${shown}; ${refusal}\n`;
  const remark = setting === 'maxsessions' && value === -1 ? '; disable feature' : '';
  return `Success setting ${row.name} to ${shown}${remark}\n`;
}
