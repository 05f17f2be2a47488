/** What an earlier process has left in its table, from nft's JSON listing of it. Pure. */
import type { Endpoint } from '../media/call-state.js';
import type { Flow } from './flows.js';
import { layoutVersion, slotOf, type SlotFlow, type Table } from './nft-ruleset.js';

export interface TableListing {
  readonly table: Table;
  readonly devices: { readonly ipv4: readonly string[]; readonly ipv6: readonly string[] };
  readonly flows: readonly SlotFlow[];
  /** Of flows that were being removed, or waiting: marks by map. */
  readonly remains: ReadonlyMap<string, readonly number[]>;
}

/** One element: its key, its value in a map, its comment. */
interface Element {
  readonly key: readonly (string | number)[];
  readonly value: string | number | null;
  readonly comment: string;
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const scalars = (values: readonly unknown[]): readonly (string | number)[] =>
  values.filter((value) => typeof value === 'string' || typeof value === 'number');

function keyOf(value: unknown): readonly (string | number)[] {
  if (isRecord(value)) return Array.isArray(value['concat']) ? scalars(value['concat']) : [];
  return scalars([value]);
}

function elementOf(listed: unknown): Element {
  const [left, right]: readonly unknown[] = Array.isArray(listed) ? listed : [listed, null];
  const value = typeof right === 'string' || typeof right === 'number' ? right : null;
  const inner = isRecord(left) && isRecord(left['elem']) ? left['elem'] : null;
  const comment = inner?.['comment'];
  return {
    key: keyOf(inner === null ? left : inner['val']),
    value,
    comment: typeof comment === 'string' ? comment : '',
  };
}

/** Elements of all sets and maps, by name. */
function elementsOf(json: string): ReadonlyMap<string, readonly Element[]> {
  const found = new Map<string, readonly Element[]>();
  const document: unknown = JSON.parse(json);
  const objects = isRecord(document) ? document['nftables'] : null;
  for (const object of Array.isArray(objects) ? (objects as readonly unknown[]) : []) {
    if (!isRecord(object)) continue;
    const set = object['map'] ?? object['set'];
    if (!isRecord(set) || typeof set['name'] !== 'string') continue;
    const elements: readonly unknown[] = Array.isArray(set['elem']) ? set['elem'] : [];
    found.set(set['name'], elements.map(elementOf));
  }
  return found;
}

/** Names of the tables in a listing of all tables. */
export function parseTableNames(json: string): readonly string[] {
  const document: unknown = JSON.parse(json);
  const objects = isRecord(document) ? document['nftables'] : null;
  return (Array.isArray(objects) ? (objects as readonly unknown[]) : []).flatMap((object) => {
    const table = isRecord(object) ? object['table'] : null;
    return isRecord(table) && typeof table['name'] === 'string' ? [table['name']] : [];
  });
}

type Elements = ReadonlyMap<string, readonly Element[]>;

const numbersByKey = (elements: Elements, map: string): ReadonlyMap<number, number> =>
  new Map((elements.get(map) ?? []).map(({ key, value }) => [Number(key[0]), Number(value)]));

/** The table's description; null: of another layout, or none of ours. */
function aboutOf(elements: Elements, name: string): Table | null {
  const about = numbersByKey(elements, 'about');
  const [version, instance, maxFlows] = [about.get(1), about.get(2), about.get(3)];
  if (version !== layoutVersion || instance === undefined || maxFlows === undefined) return null;
  return { name, instance, maxFlows };
}

/** The instance number of a table of whichever layout, from a listing of its map `about`. */
export const parseInstance = (json: string): number | null =>
  numbersByKey(elementsOf(json), 'about').get(2) ?? null;

/** What is known of a mark. */
interface Marked {
  readonly addresses: ReadonlyMap<string | number, string>;
  readonly ports: ReadonlyMap<string | number, { readonly port: number; readonly comment: string }>;
}

function marked(elements: Elements, direction: 'd' | 's'): Marked {
  const addresses = [`${direction}addr4`, `${direction}addr6`].flatMap(
    (map) => elements.get(map) ?? [],
  );
  return {
    addresses: new Map(addresses.map(({ key: [mark = 0], value }) => [mark, String(value)])),
    ports: new Map(
      (elements.get(`${direction}port`) ?? []).map(({ key: [mark = 0], value, comment }) => [
        mark,
        { port: Number(value), comment },
      ]),
    ),
  };
}

function endpointOf({ addresses, ports }: Marked, mark: number): Endpoint | null {
  const address = addresses.get(mark);
  const port = ports.get(mark)?.port;
  return address === undefined || port === undefined ? null : { address, port };
}

const entryMaps = ['flows4', 'flows6', 'opaque4', 'opaque6'];

/** All of the table; null: of another layout, or none of ours. */
export function parseListing(json: string, name: string): TableListing | null {
  const elements = elementsOf(json);
  const table = aboutOf(elements, name);
  if (table === null) return null;
  const flows = parseFlows(elements);
  const known = new Set(flows.map(({ slot }) => slot));
  const devices = (set: string): readonly string[] =>
    (elements.get(set) ?? []).map(({ key }) => String(key[0]));
  return {
    table,
    devices: { ipv4: devices('devices4'), ipv6: devices('devices6') },
    flows,
    remains: remainsOf(elements, known),
  };
}

const mapsByMark = ['daddr4', 'daddr6', 'saddr4', 'saddr6', 'dport', 'sport', 'dscp', 'counted'];

function remainsOf(
  elements: Elements,
  known: ReadonlySet<number>,
): ReadonlyMap<string, readonly number[]> {
  const remains = new Map<string, readonly number[]>();
  for (const map of mapsByMark) {
    const marks = (elements.get(map) ?? []).map(({ key: [mark] }) => Number(mark));
    const unknown = marks.filter((mark) => !known.has(slotOf(mark)));
    if (unknown.length > 0) remains.set(map, unknown);
  }
  return remains;
}

function parseFlows(elements: Elements): readonly SlotFlow[] {
  const [destinations, sources] = [marked(elements, 'd'), marked(elements, 's')];
  return entryMaps.flatMap((map) =>
    (elements.get(map) ?? []).flatMap(({ key, value }) => {
      const mark = Number(value);
      const [address, port, expectedAddress, expectedPort] = key;
      const destination = endpointOf(destinations, mark);
      const source = endpointOf(sources, mark);
      if (destination === null || source === null) return [];
      const comment = sources.ports.get(mark)?.comment ?? '';
      const [tos = 0, clockRate = 0] = comment.split(' ').map(Number);
      const flow: Flow = {
        local: { address: String(address), port: Number(port) },
        expected: { address: String(expectedAddress), port: Number(expectedPort) },
        source,
        destination,
        tos,
        opaque: map.startsWith('opaque'),
        excludedPayloadTypes: [],
        rtcpOnly: false,
        rtcp: null,
        clockRate,
      };
      return [{ slot: slotOf(mark), flow, admitted: true }];
    }),
  );
}
