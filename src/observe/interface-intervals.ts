/** What has come to and left each interface since it was told last, as 12.5 publishes it by MQTT. */
import { qualityNames } from './quality-sums.js';
import { deviation, type InterfaceEntry } from './statistics.js';

type Numbers = ReadonlyMap<string, number>;

const none: Numbers = new Map();

/** In the order of 12.5. */
const ways = ['ingress', 'egress'] as const;

const numbersOf = (entry: InterfaceEntry | undefined, name: string): Numbers => {
  const value = entry?.get(name);
  return typeof value === 'object' ? value : none;
};

const numberOf = (entry: InterfaceEntry | undefined, name: string): number => {
  const value = entry?.get(name);
  return typeof value === 'number' ? value : 0;
};

const risen = (now: Numbers, before: Numbers): Numbers =>
  new Map([...now].map(([name, value]) => [name, value - (before.get(name) ?? 0)]));

/** Mean and deviation of the samples since `before`. */
function qualitySince(now: Numbers, before: Numbers): Numbers {
  const since = (name: string): number => (now.get(name) ?? 0) - (before.get(name) ?? 0);
  const quality = new Map<string, number>();
  for (const name of ['mos', ...qualityNames]) {
    const samples = since(`${name}_samples_total`);
    const sum = since(`${name}_total`);
    quality.set(name, samples === 0 ? 0 : sum / samples);
    quality.set(`${name}_stddev`, deviation(sum, since(`${name}2_total`), samples));
  }
  return quality;
}

/** Thread: control. */
export class InterfaceIntervals {
  #before: ReadonlyMap<string, InterfaceEntry> = new Map();
  #atMicros: number | null = null;

  /** The entries with what is new since the last call; rates from the second call on. */
  next(entries: readonly InterfaceEntry[], nowMicros: number): readonly InterfaceEntry[] {
    const seconds = this.#atMicros === null ? null : (nowMicros - this.#atMicros) / 1e6;
    const before = this.#before;
    const keyOf = (entry: InterfaceEntry): string =>
      `${String(entry.get('name'))} ${String(entry.get('address'))}`;
    this.#before = new Map(entries.map((entry) => [keyOf(entry), entry]));
    this.#atMicros = nowMicros;
    return entries.map((entry) => withIntervals(entry, before.get(keyOf(entry)), seconds));
  }
}

function withIntervals(
  entry: InterfaceEntry,
  before: InterfaceEntry | undefined,
  seconds: number | null,
): InterfaceEntry {
  const rates = (interval: Numbers): Numbers =>
    new Map([...interval].map(([name, value]) => [name, Math.floor(value / (seconds ?? 1))]));
  const lost: Numbers = new Map(
    ['packets_lost', 'duplicates'].map((name) => [
      name,
      numberOf(entry, name) - numberOf(before, name),
    ]),
  );
  const hasRates = seconds !== null && seconds > 0;
  const added = new Map<string, string | number | Numbers>();
  const quality = numbersOf(entry, 'voip_metrics');
  const traffic = ways.map(
    (way) => [way, risen(numbersOf(entry, way), numbersOf(before, way))] as const,
  );
  for (const [name, value] of entry) {
    added.set(name, value);
    if (name === 'duplicates') {
      added.set('interval', lost);
      if (hasRates) added.set('rate', rates(lost));
    } else if (name === 'voip_metrics') {
      added.set('voip_metrics_interval', qualitySince(quality, numbersOf(before, 'voip_metrics')));
    }
  }
  for (const [way, interval] of traffic) added.set(`${way}_interval`, interval);
  if (hasRates) for (const [way, interval] of traffic) added.set(`${way}_rate`, rates(interval));
  return added;
}
