/**
 * Bodies with what real phones put where the RFC has nothing: blanks, tabs, other line ends, stray bytes, signs and zeros
 * before numbers, other case, lines twice or elsewhere. The same for the same seed.
 */
import { randomSource, type Below } from '../../support/random.js';
import { answer, offer, query, sequence, type Sequence } from './sequence.js';

const phone = (port: number, address: string): string[] => [
  ...[
    'v=0',
    `o=ann 7001 3 IN IP4 ${address}`,
    's=call',
    `c=IN IP4 ${address}`,
    'b=AS:512',
    't=0 0',
  ],
  ...['a=tool:phone 1.0', `m=audio ${port} RTP/AVP 0 8 96 101`, 'b=AS:64', 'b=TIAS:64000'],
  ...[
    'a=rtpmap:96 opus/48000/2',
    'a=fmtp:96 useinbandfec=1;stereo=0',
    'a=rtpmap:101 telephone-event/8000',
  ],
  ...['a=fmtp:101 0-15', 'a=ptime:20', 'a=maxptime:60', `a=rtcp:${port + 7} IN IP4 ${address}`],
  ...['a=mid:first', 'a=sendrecv', 'a=ssrc:1234567 cname:ann', 'a=rtcp-fb:96 nack'],
  ...[
    `m=video ${port + 20} RTP/AVP 97`,
    'a=rtpmap:97 H264/90000',
    'a=fmtp:97 profile-level-id=42e01f',
  ],
  ...['a=recvonly', 'a=label:2'],
];

interface Place {
  readonly lines: string[];
  readonly at: number;
  readonly pick: Below;
}

/** At one of the places in the line that `pattern` finds. */
function somewhere(
  { lines, at, pick }: Place,
  pattern: RegExp,
  text: (found: string) => string,
): void {
  const line = lines[at] ?? '';
  const places = [...line.matchAll(pattern)];
  const place = places[pick(places.length)];
  if (place === undefined) return;
  const end = place.index + place[0].length;
  lines[at] = line.slice(0, place.index) + text(place[0]) + line.slice(end);
}

const strange = ['\0', '\x01', '\x7f', '\xff', '\xc3\xa4', '"', '\\', '%', ','];

const oddities: readonly ((place: Place) => void)[] = [
  (place) => somewhere(place, / /g, () => ['  ', '\t', ' \t', '   '][place.pick(4)] ?? ''),
  (place) =>
    somewhere(place, /[=:]/g, (found) => `${found}${[' ', '\t', '  '][place.pick(3)] ?? ''}`),
  (place) => somewhere(place, /[=:/;]/g, (found) => ` ${found}`),
  (place) => somewhere(place, /$/g, () => [' ', '\t', '  ', ' x'][place.pick(4)] ?? ''),
  (place) => somewhere(place, /^/g, () => [' ', '\t'][place.pick(2)] ?? ''),
  (place) => somewhere(place, /(?<=.)|$/g, () => strange[place.pick(strange.length)] ?? ''),
  (place) => somewhere(place, /\d+/g, (found) => `0${found}`),
  (place) => somewhere(place, /\d+/g, (found) => `${['+', '-', ' '][place.pick(3)] ?? ''}${found}`),
  (place) =>
    somewhere(
      place,
      /\d+/g,
      (found) => `${found}${['x', '.5', '/', '99999'][place.pick(4)] ?? ''}`,
    ),
  (place) => somewhere(place, /[a-z]{2,}/gi, (found) => found.toUpperCase()),
  (place) => somewhere(place, /[A-Z]{2,}/g, (found) => found.toLowerCase()),
  (place) => somewhere(place, /[^ =:]+/g, () => ''),
  ({ lines, at }) => void lines.splice(at, 0, lines[at] ?? ''),
  ({ lines, at, pick }) => void lines.splice(pick(lines.length), 0, ...lines.splice(at, 1)),
  ({ lines, at }) => void lines.splice(at, 1),
  ({ lines, at, pick }) =>
    void lines.splice(at, 0, ['', ' ', 'x', 'x=', '=', 'a=', 'i=1', 'k=x:'][pick(8)] ?? ''),
];

const lineEnds = ['\r\n', '\r\n', '\r\n', '\n', '\r\r\n'];

function oddBody(pick: Below, port: number, address: string): string {
  const lines = phone(port, address);
  for (let left = 1 + pick(2); left > 0; left -= 1)
    oddities[pick(oddities.length)]?.({ lines, at: pick(lines.length), pick });
  const usual = lineEnds[pick(lineEnds.length)] ?? '\r\n';
  return lines.map((line) => line + usual).join('');
}

/** An offer, every third time an answer, that is odd. */
export function oddSequence(seed: number): Sequence {
  const pick = randomSource(seed);
  if (seed % 3 !== 0)
    return sequence(`odd ${seed}`, offer(oddBody(pick, 6000, '192.0.2.10')), query());
  const plain = phone(6000, '192.0.2.10').map((line) => `${line}\r\n`);
  return sequence(
    `odd ${seed}`,
    offer(plain.join('')),
    answer(oddBody(pick, 7000, '192.0.2.77')),
    query(),
  );
}
