/** As much of ELF (64 bits, little-endian) as it takes to write another table of dynamic symbols; elf(5), the gABI. */

/** A part of the file; `at` is where its header lies. */
export interface Section {
  readonly name: string;
  readonly at: number;
  readonly address: number;
  readonly offset: number;
  readonly size: number;
}

/** What is loaded; `at` is where its header lies. */
export interface Segment {
  readonly at: number;
  readonly type: number;
  readonly offset: number;
  readonly address: number;
  readonly fileSize: number;
  readonly align: number;
}

export const loaded = 1;
const magic = 0x464c457f;

/** A file that is not laid out as this module needs it. */
export class ElfError extends Error {}

export const wide = (file: Buffer, at: number): number => Number(file.readBigUInt64LE(at));

export function setWide(file: Buffer, at: number, value: number): void {
  file.writeBigUInt64LE(BigInt(value), at);
}

/** Text up to the next zero byte. */
export function textAt(table: Buffer, at: number): string {
  return table.toString('latin1', at, table.indexOf(0, at));
}

export class ElfFile {
  readonly sections: readonly Section[];
  readonly segments: readonly Segment[];

  /** @throws ElfError */
  constructor(readonly bytes: Buffer) {
    if (bytes.length < 64 || bytes.readUInt32LE(0) !== magic || bytes.readUInt16LE(4) !== 0x0102)
      throw new ElfError('no ELF file of 64 bits, little-endian');
    this.segments = this.#headers(32, 54).map((at) => ({
      at,
      type: bytes.readUInt32LE(at),
      offset: wide(bytes, at + 8),
      address: wide(bytes, at + 16),
      fileSize: wide(bytes, at + 32),
      align: wide(bytes, at + 48),
    }));
    const headers = this.#headers(40, 58);
    const names = headers[bytes.readUInt16LE(62)];
    if (names === undefined) throw new ElfError('no sections');
    const text = bytes.subarray(wide(bytes, names + 24));
    this.sections = headers.map((at) => ({
      at,
      name: textAt(text, bytes.readUInt32LE(at)),
      address: wide(bytes, at + 16),
      offset: wide(bytes, at + 24),
      size: wide(bytes, at + 32),
    }));
  }

  /** @throws ElfError: there is none. */
  section(name: string): Section {
    const found = this.sections.find((each) => each.name === name);
    if (found === undefined) throw new ElfError(`no section ${name}`);
    return found;
  }

  content({ offset, size }: Section): Buffer {
    return this.bytes.subarray(offset, offset + size);
  }

  /** Where the headers are of which the file header tells the first, their size and number. */
  #headers(first: number, size: number): readonly number[] {
    const start = wide(this.bytes, first);
    const length = this.bytes.readUInt16LE(size);
    return Array.from({ length: this.bytes.readUInt16LE(size + 2) }, (_, i) => start + i * length);
  }
}
