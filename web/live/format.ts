/** Numbers and wire text for people. */

const decoder = new TextDecoder('utf-8', { fatal: true });
/** Controls, marks of line and direction, what has no width: what could make a text look like another one. */
const harmful = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}\u034f\u115f\u1160\u3164\uffa0]/gu;

/** Text off the wire has a character for each byte, and is mostly UTF-8. */
export function shown(text: string): string {
  let letters = text;
  if (/[\x80-\xff]/.test(text) && !/[^\x00-\xff]/.test(text)) {
    try {
      letters = decoder.decode(Uint8Array.from(text, (character) => character.charCodeAt(0)));
    } catch {
      // Some other encoding: the bytes are shown.
    }
  }
  return letters.replace(
    harmful,
    (character) => `\\u${(character.codePointAt(0) ?? 0).toString(16).padStart(4, '0')}`,
  );
}

const two = (value: number): string => String(value).padStart(2, '0');

/** `4:05`, `1:04:05`, `2 d 4 h` */
export function age(seconds: number): string {
  const [hours, minutes] = [Math.floor(seconds / 3600), Math.floor(seconds / 60) % 60];
  if (hours >= 48) return `${Math.floor(hours / 24)} d ${hours % 24} h`;
  const rest = `${two(minutes)}:${two(Math.floor(seconds % 60))}`;
  return hours > 0 ? `${hours}:${rest}` : rest.replace(/^0/, '');
}

export const whole = (value: number): string =>
  Math.round(value).toLocaleString('en-US').replaceAll(',', '\u202f');

/** With a tenth where that says something. */
export function rate(value: number): string {
  return value > 0 && value < 10 ? value.toFixed(1) : whole(value);
}

/** `64 kbit/s`: number and unit. */
export function bits(perSecond: number): readonly [number: string, unit: string] {
  if (perSecond >= 1e9) return [(perSecond / 1e9).toFixed(2), 'Gbit/s'];
  if (perSecond >= 1e6) return [(perSecond / 1e6).toFixed(1), 'Mbit/s'];
  return [(perSecond / 1e3).toFixed(perSecond > 0 && perSecond < 1e4 ? 1 : 0), 'kbit/s'];
}

export const percent = (value: number | null): string =>
  value === null ? '–' : value.toFixed(value > 0 && value < 10 ? 1 : 0);

export const milliseconds = (value: number | null): string =>
  value === null ? '–' : value.toFixed(0);

export const score = (value: number | null): string => (value === null ? '–' : value.toFixed(1));

/** `14:03:12`, of the viewer's clock. */
export function clock(ms: number): string {
  const date = new Date(ms);
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
}

/** How bad a figure is; '' not at all. */
export type Level = '' | 'fair' | 'bad';

export const lossLevel = (value: number | null): Level =>
  value === null || value < 1 ? '' : value < 5 ? 'fair' : 'bad';
export const jitterLevel = (value: number | null): Level =>
  value === null || value < 30 ? '' : value < 60 ? 'fair' : 'bad';
/** ITU-T G.107 annex B. */
export const mosLevel = (value: number | null): Level =>
  value === null || value >= 3.6 ? '' : value >= 3.1 ? 'fair' : 'bad';
