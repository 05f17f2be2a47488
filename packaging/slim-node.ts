/**
 * `tsx packaging/slim-node.ts FROM TO`: Node's executable without the names of the C++ functions of V8, Node and ICU, which only
 * add-ons written against their headers look up: a fourteenth of the file. Node-API, libuv, OpenSSL and the C++ library stay. Code and
 * constants are the same, byte for byte and at the same addresses.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';
import { smallerTables, tableNames, type TableName } from './dynamic-symbols.js';
import { ElfError, ElfFile, loaded, type Section, setWide, wide } from './elf.js';

/** Namespaces of Node alone, mangled (Itanium C++ ABI, 5.1): what belongs to the C++ library is one with that of other libraries. */
const ownNamespaces = [
  ...['2v8', '4node', '12v8_inspector', '8v8_crdtp', '6v8impl', '6cppgc', '4heap'],
  ...['8unibrow', '6disasm', '3ada', '7simdutf', String.raw`6icu_\d\d`],
];
const own = new RegExp(
  `^_Z(?:T[VTISCWH]|GV|GR|Th?n?\\d+_)?N?[KVRO]*(?:${ownNamespaces.join('|')})`,
);

/** What our add-on looks up of V8 (`beginCollection` in native/api/process.cc). */
const lookedUp = [
  '_ZN2v87Isolate10GetCurrentEv',
  '_ZN2v87Isolate26MemoryPressureNotificationENS_19MemoryPressureLevelE',
];
const isWanted = (name: string): boolean => lookedUp.includes(name) || !own.test(name);

/** Tags of `.dynamic` that say where a table lies. */
const placeTags: Readonly<Partial<Record<TableName, number>>> = {
  '.gnu.hash': 0x6ffffef5,
  '.dynsym': 6,
  '.dynstr': 5,
  '.gnu.version': 0x6ffffff0,
  '.gnu.version_r': 0x6ffffffe,
  '.rela.dyn': 7,
  '.rela.plt': 23,
};
const sizeOfNames = 10;

const upTo = (value: number, unit: number): number => Math.ceil(value / unit) * unit;

/** The tables lie one after the other at the end of the first segment, which begins with the file. @throws ElfError */
function checkLayout(elf: ElfFile): { readonly start: number; readonly end: number } {
  const [first, second] = elf.segments.filter(({ type }) => type === loaded);
  if (first?.offset !== 0 || second === undefined) throw new ElfError('another first segment');
  const sections = tableNames.map((name) => elf.section(name));
  const start = sections[0]?.offset ?? 0;
  const last = sections.at(-1) as Section;
  const isInOrder = sections.every(
    ({ offset, address }, i) =>
      address === first.address + offset && offset >= (sections[i - 1]?.offset ?? 0),
  );
  const others = elf.sections.filter(
    ({ name, offset, size }) =>
      size > 0 && offset >= start && offset < last.offset && !tableNames.some((n) => n === name),
  );
  if (!isInOrder || others.length > 0 || last.offset + last.size !== first.fileSize)
    throw new ElfError('the tables lie otherwise');
  return { start, end: second.offset };
}

/** Where each table goes, from `start` on; and the end of the last. */
function places(
  tables: Readonly<Record<TableName, Buffer>>,
  start: number,
): { readonly at: ReadonlyMap<TableName, number>; readonly end: number } {
  const at = new Map<TableName, number>();
  let end = start;
  for (const name of tableNames) {
    const place = upTo(end, 8);
    at.set(name, place);
    end = place + tables[name].length;
  }
  return { at, end };
}

/** @throws ElfError: it is laid out otherwise. */
export function slim(bytes: Buffer): Buffer {
  const elf = new ElfFile(bytes);
  const { start, end: oldEnd } = checkLayout(elf);
  const { tables, dynamic } = smallerTables(elf, isWanted);
  const { at, end } = places(tables, start);
  const segments = elf.segments.filter(({ type }) => type === loaded);
  // In the file and in memory they lie alike.
  const unit = Math.max(...segments.map(({ align }) => align));
  const gone = Math.floor((oldEnd - end) / unit) * unit;
  if (gone <= 0) throw new ElfError('nothing is gained');
  const out = Buffer.concat([bytes.subarray(0, oldEnd - gone), bytes.subarray(oldEnd)]);
  out.fill(0, start, oldEnd - gone);
  const base = segments[0]?.address ?? 0;
  for (const [name, place] of at) {
    tables[name].copy(out, place);
    setTag(dynamic, placeTags[name] ?? 0, base + place);
  }
  setTag(dynamic, sizeOfNames, tables['.dynstr'].length);
  dynamic.copy(out, elf.section('.dynamic').offset - gone);
  const moved = (offset: number): number => (offset >= oldEnd ? offset - gone : offset);
  for (const segment of elf.segments) setWide(out, segment.at + 8, moved(segment.offset));
  for (const field of [32, 40]) setWide(out, (segments[0]?.at ?? 0) + field, end);
  for (const section of elf.sections) {
    const place = at.get(section.name as TableName);
    const header = section.at - gone;
    setWide(out, header + 24, place ?? moved(section.offset));
    if (place === undefined) continue;
    setWide(out, header + 16, base + place);
    setWide(out, header + 32, tables[section.name as TableName].length);
  }
  setWide(out, 40, wide(bytes, 40) - gone);
  return out;
}

/** @throws ElfError: there is no such entry. */
function setTag(dynamic: Buffer, tag: number, value: number): void {
  for (let at = 0; at < dynamic.length; at += 16) {
    if (wide(dynamic, at) === tag) {
      setWide(dynamic, at + 8, value);
      return;
    }
  }
  throw new ElfError(`nothing of ${tag} in .dynamic`);
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const [from, to] = process.argv.slice(2);
  if (from === undefined || to === undefined) {
    process.stderr.write('usage: slim-node.ts FROM TO\n');
    process.exit(2);
  }
  writeFileSync(to, slim(readFileSync(from)), { mode: 0o755 });
}
