/**
 * The table of dynamic symbols of an executable with fewer of them: what the dynamic linker and add-ons find by name. Each part is made
 * anew (gABI, "Symbol Table", "Relocation"; GNU's hash table and versions: LSB 5.0, chapter 10).
 */
import { ElfError, type ElfFile, textAt, wide } from './elf.js';

/** In the order of the file. */
export const tableNames = [
  '.gnu.hash',
  '.dynsym',
  '.dynstr',
  '.gnu.version',
  '.gnu.version_r',
  '.rela.dyn',
  '.rela.plt',
] as const;
export type TableName = (typeof tableNames)[number];

const symbolSize = 24;
const relocationSize = 24;
/** Kinds of entries of `.dynamic` whose value is the place of a name: NEEDED, SONAME, RPATH, RUNPATH. */
const namedEntries = [1, 14, 15, 29];

interface Symbol {
  readonly name: string;
  /** In the table before. */
  readonly index: number;
  readonly hash: number;
}

function gnuHash(name: string): number {
  let hash = 5381;
  for (let i = 0; i < name.length; i += 1) hash = (hash * 33 + name.charCodeAt(i)) % 0x1_0000_0000;
  return hash;
}

/** Each name once. */
class Names {
  readonly #places = new Map<string, number>([['', 0]]);
  readonly #parts: string[] = ['\0'];
  #size = 1;

  place(name: string): number {
    const known = this.#places.get(name);
    if (known !== undefined) return known;
    const place = this.#size;
    this.#places.set(name, place);
    this.#parts.push(`${name}\0`);
    this.#size += name.length + 1;
    return place;
  }

  bytes(): Buffer {
    return Buffer.from(this.#parts.join(''), 'latin1');
  }
}

/** Bits of the filter that says at once of most names that they are not here, as GNU ld chooses them. */
function filterBits(symbols: number): number {
  const log = Math.floor(Math.log2(Math.max(symbols, 1))) + 1;
  return Math.max(6, log + ((1 << Math.max(log - 2, 0)) & symbols ? 3 : 2));
}

/** @param found symbols in the order of their buckets, `first` the index of the first of them. */
function hashTable(found: readonly Symbol[], first: number, buckets: number): Buffer {
  const shift = filterBits(found.length);
  const words = (1 << shift) / 64;
  const table = Buffer.alloc(16 + words * 8 + buckets * 4 + found.length * 4);
  [buckets, first, words, shift].forEach((value, i) => table.writeUInt32LE(value, 4 * i));
  const chains = 16 + words * 8 + buckets * 4;
  found.forEach(({ hash }, i) => {
    const word = 16 + 8 * (Math.floor(hash / 64) % words);
    const bits = (1n << BigInt(hash % 64)) | (1n << BigInt((hash >>> shift) % 64));
    table.writeBigUInt64LE(table.readBigUInt64LE(word) | bits, word);
    const bucket = 16 + words * 8 + 4 * (hash % buckets);
    if (table.readUInt32LE(bucket) === 0) table.writeUInt32LE(first + i, bucket);
    const next = found[i + 1];
    const isLast = next === undefined || next.hash % buckets !== hash % buckets;
    table.writeUInt32LE(((hash & ~1) | (isLast ? 1 : 0)) >>> 0, chains + 4 * i);
  });
  return table;
}

/** Names of the versions that are needed of other libraries (LSB 5.0, 10.7.4). */
function renamedVersions(content: Buffer, rename: (place: number) => number): Buffer {
  const out = Buffer.from(content);
  for (let at = 0, more = true; more;) {
    out.writeUInt32LE(rename(out.readUInt32LE(at + 4)), at + 4);
    let aux = at + out.readUInt32LE(at + 8);
    for (let left = out.readUInt16LE(at + 2); left > 0; left -= 1) {
      out.writeUInt32LE(rename(out.readUInt32LE(aux + 8)), aux + 8);
      aux += out.readUInt32LE(aux + 12);
    }
    const next = out.readUInt32LE(at + 12);
    more = next !== 0;
    at += next;
  }
  return out;
}

/** Which symbols relocations speak of, by index. */
function referenced(relocations: readonly Buffer[]): ReadonlySet<number> {
  const indices = new Set<number>();
  for (const table of relocations)
    for (let at = 0; at < table.length; at += relocationSize)
      indices.add(table.readUInt32LE(at + 12));
  return indices;
}

function renumbered(relocations: Buffer, indices: ReadonlyMap<number, number>): Buffer {
  const out = Buffer.from(relocations);
  for (let at = 0; at < out.length; at += relocationSize) {
    const index = indices.get(out.readUInt32LE(at + 12));
    if (index === undefined) throw new ElfError('a relocation of a symbol that is gone');
    out.writeUInt32LE(index, at + 12);
  }
  return out;
}

/** Symbols that are kept: those that are not looked up by name, then the others by bucket; and their buckets. */
function chosen(
  elf: ElfFile,
  isWanted: (name: string) => boolean,
): { readonly hidden: readonly Symbol[]; readonly found: readonly Symbol[]; buckets: number } {
  const symbols = elf.content(elf.section('.dynsym'));
  const strings = elf.content(elf.section('.dynstr'));
  const relocations = [
    elf.content(elf.section('.rela.dyn')),
    elf.content(elf.section('.rela.plt')),
  ];
  const inUse = referenced(relocations);
  const firstFound = elf.content(elf.section('.gnu.hash')).readUInt32LE(4);
  const all = Array.from({ length: symbols.length / symbolSize }, (_, index) => {
    const name = textAt(strings, symbols.readUInt32LE(index * symbolSize));
    return { name, index, hash: gnuHash(name) };
  });
  const hidden = all.slice(0, firstFound);
  const kept = all
    .slice(firstFound)
    .filter(({ index, name }) => inUse.has(index) || isWanted(name));
  const buckets = Math.max(1, Math.floor(kept.length / 4) | 1);
  const found = kept.sort((a, b) => (a.hash % buckets) - (b.hash % buckets));
  return { hidden, found, buckets };
}

/** The tables with what `isWanted`, what relocations speak of, and what is taken from libraries; and `.dynamic`. */
export function smallerTables(
  elf: ElfFile,
  isWanted: (name: string) => boolean,
): { readonly tables: Readonly<Record<TableName, Buffer>>; readonly dynamic: Buffer } {
  const { hidden, found, buckets } = chosen(elf, isWanted);
  const kept = [...hidden, ...found];
  const oldSymbols = elf.content(elf.section('.dynsym'));
  const oldStrings = elf.content(elf.section('.dynstr'));
  const oldVersions = elf.content(elf.section('.gnu.version'));
  const names = new Names();
  const symbols = Buffer.alloc(kept.length * symbolSize);
  const versions = Buffer.alloc(kept.length * 2);
  kept.forEach(({ name, index }, i) => {
    oldSymbols.copy(symbols, i * symbolSize, index * symbolSize, (index + 1) * symbolSize);
    symbols.writeUInt32LE(names.place(name), i * symbolSize);
    versions.writeUInt16LE(oldVersions.readUInt16LE(index * 2), i * 2);
  });
  const indices = new Map(kept.map(({ index }, i) => [index, i]));
  const rename = (place: number): number => names.place(textAt(oldStrings, place));
  const needed = renamedVersions(elf.content(elf.section('.gnu.version_r')), rename);
  const dynamic = Buffer.from(elf.content(elf.section('.dynamic')));
  for (let at = 0; at < dynamic.length; at += 16) {
    if (namedEntries.includes(wide(dynamic, at)))
      dynamic.writeBigUInt64LE(BigInt(rename(wide(dynamic, at + 8))), at + 8);
  }
  return {
    dynamic,
    tables: {
      '.gnu.hash': hashTable(found, hidden.length, buckets),
      '.dynsym': symbols,
      '.dynstr': names.bytes(),
      '.gnu.version': versions,
      '.gnu.version_r': needed,
      '.rela.dyn': renumbered(elf.content(elf.section('.rela.dyn')), indices),
      '.rela.plt': renumbered(elf.content(elf.section('.rela.plt')), indices),
    },
  };
}
