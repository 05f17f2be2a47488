/**
 * Every row of the reference's tables is tried: its words stand in a row of rows/, or reference.txt says where. What that file
 * says is looked after, too: the places exist, and no row is named that is not there or that needs no naming.
 */
import { expect } from 'chai';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { parseRows, type Row } from './row.js';

const here = (path: string): URL => new URL(path, import.meta.url);
const read = (path: string): string => readFileSync(here(path), 'utf8');

/** A row of a table: `PAGE §SECTION FIRST CELL`. */
interface ReferenceRow {
  readonly name: string;
  readonly cell: string;
}

const isRule = (line = ''): boolean => /^\|[-| :]+\|$/.test(line);

/** Rows of the tables of a page, without headings. */
function rowsOf(page: string): readonly ReferenceRow[] {
  const lines = read(`../../../docs/reference/${page}.md`)
    .replace(/^```[^]*?^```/gm, '')
    .split('\n');
  let section = '';
  return lines.flatMap((line, at) => {
    section = /^#+ (\d+\w?(?:\.\d+)?|Appendix)\b/.exec(line)?.[1] ?? section;
    if (!line.startsWith('|') || isRule(line) || isRule(lines[at + 1])) return [];
    const cell = (line.split(/(?<!\\)\|/)[1] ?? '').trim().replaceAll('\\|', '|');
    return [{ name: `${page} §${section} ${cell}`, cell }];
  });
}

const folder = here('./rows/');
const tables: ReadonlyMap<string, { readonly rows: readonly Row[]; readonly text: string }> =
  new Map(
    readdirSync(folder).map((file) => {
      const text = readFileSync(new URL(file, folder), 'latin1');
      return [file.replace('.txt', ''), { rows: parseRows(text), text }] as const;
    }),
  );
/** All requests and replies. */
const tried = [...tables.values()].map(({ text }) => text).join('\n');

/** `key=value` is tried with any value. */
const wordsOf = (cell: string): readonly string[] =>
  [...cell.matchAll(/`([^`=]+)[^`]*`/g)].map(([, word = '']) => word);

const quotes = /[.*+?^${}()|[\]\\/]/g;

/** As a word of its own, or as its beginning. */
function isTried(word: string): boolean {
  const end = /[-\w]$/.test(word) && !word.endsWith('-') ? '(?![-\\w])' : '';
  return new RegExp(`(?<![-\\w])${word.replaceAll(quotes, '\\$&')}${end}`).test(tried);
}

/** Options, commands of the CLI and lines of the log are no words of requests. */
const hasWords = ({ name, cell }: ReferenceRow): boolean => {
  const words = name.startsWith('options ') ? [] : wordsOf(cell);
  return words.length > 0 && words.every(isTried);
};

/** What reference.txt says: the beginning of a row's name, and the place. */
const places: readonly (readonly [row: string, place: string])[] = read('./reference.txt')
  .split('\n')
  .flatMap((line) => {
    const [row, place] = line.split(' => ');
    return row === undefined || place === undefined || !/^\S+ §/.test(row)
      ? []
      : [[row, place] as const];
  });

function exists(place: string): boolean {
  const [, file = '', title = ''] = /^(\S+?): (.*)$/.exec(place) ?? [];
  if (file.startsWith('rows/'))
    return tables.get(file.slice('rows/'.length))?.rows.some(({ name }) => name === title) === true;
  const path = `../../../${file}`;
  return existsSync(here(path)) && read(path).includes(title);
}

const isOf = (row: string, { name }: ReferenceRow): boolean =>
  name === row || name.startsWith(`${row} `);

describe('the rows of the reference', () => {
  const rows = ['ng-protocol', 'sdp-rules', 'options'].flatMap(rowsOf);
  const unnamed = rows.filter((row) => !places.some(([name]) => isOf(name, row)));

  it('are read', () => {
    expect(rows.length).to.be.greaterThan(250);
    expect(places.length).to.be.greaterThan(100);
  });

  it('are tried, each', () => {
    expect(unnamed.filter((row) => !hasWords(row)).map(({ name }) => name)).to.deep.equal([]);
  });

  it('are tried where it is said that they are', () => {
    expect(places.filter(([, place]) => !exists(place))).to.deep.equal([]);
  });

  it('are named only where they are and need to be', () => {
    const stale = places.filter(([name]) => !rows.some((row) => isOf(name, row)));
    const needless = rows.filter(
      (row) => hasWords(row) && places.some(([name]) => isOf(name, row)),
    );
    expect({ stale, needless: needless.map(({ name }) => name) }).to.deep.equal({
      stale: [],
      needless: [],
    });
  });
});
