/** Static payload types as rtpengine writes them (sdp-rules.md §4; RFC 3551 §6 but for type 10). */
export interface StaticPayload {
  readonly encoding: string;
  readonly clockRate: number;
  readonly channels: number;
}

const table: readonly (readonly [number, string, number, number?])[] = [
  [0, 'PCMU', 8000],
  [3, 'GSM', 8000],
  [4, 'G723', 8000],
  [5, 'DVI4', 8000],
  [6, 'DVI4', 16000],
  [7, 'LPC', 8000],
  [8, 'PCMA', 8000],
  [9, 'G722', 8000],
  [10, 'L16', 44100],
  [11, 'L16', 44100, 2],
  [12, 'QCELP', 8000],
  [13, 'CN', 8000],
  [14, 'MPA', 90000],
  [15, 'G728', 8000],
  [16, 'DVI4', 11025],
  [17, 'DVI4', 22050],
  [18, 'G729', 8000],
  [25, 'CelB', 90000],
  [26, 'JPEG', 90000],
  [28, 'nv', 90000],
  [31, 'H261', 90000],
  [32, 'MPV', 90000],
  [33, 'MP2T', 90000],
  [34, 'H263', 90000],
];

const byNumber = new Map<number, StaticPayload>(
  table.map(([number, encoding, clockRate, channels = 1]) => [
    number,
    { encoding, clockRate, channels },
  ]),
);

export function staticPayload(payloadType: number): StaticPayload | null {
  return byNumber.get(payloadType) ?? null;
}

/** The static number of a codec; null: it has none. */
export function staticPayloadTypeOf(
  encoding: string,
  clockRate: number,
  channels: number,
): number | null {
  const name = encoding.toUpperCase();
  const found = table.find(
    ([, each, clock, count = 1]) =>
      each.toUpperCase() === name && clock === clockRate && count === channels,
  );
  return found === undefined ? null : found[0];
}
