#!/usr/bin/env node
/**
 * No import circle in src/ and bin/, those of types alone included (eslint's `no-cycle` does not see them).
 * Prints each circle and exits 1 when there is one.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const top = dirname(dirname(fileURLToPath(import.meta.url)));

const filesBelow = (folder) =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name));

/** Files that `file` imports by relative paths, whichever way. */
function importsOf(file) {
  const { importedFiles } = ts.preProcessFile(readFileSync(file, 'utf8'), true, true);
  return importedFiles
    .map(({ fileName }) => fileName)
    .filter((name) => name.startsWith('.'))
    .map((name) => join(dirname(file), name.replace(/\.js$/, '.ts')));
}

const files = ['src', 'bin'].flatMap((folder) => filesBelow(join(top, folder)));
const imports = new Map(files.map((file) => [file, importsOf(file)]));

/** Groups of files that reach each other (Tarjan), without those of one file. */
function circles() {
  const found = [];
  const order = new Map();
  const low = new Map();
  const open = [];
  const visit = (file) => {
    order.set(file, order.size);
    low.set(file, order.get(file));
    open.push(file);
    for (const next of imports.get(file) ?? []) {
      if (!order.has(next)) visit(next);
      if (open.includes(next)) low.set(file, Math.min(low.get(file), low.get(next)));
    }
    if (low.get(file) !== order.get(file)) return;
    const group = open.splice(open.indexOf(file));
    if (group.length > 1 || imports.get(file)?.includes(file)) found.push(group);
  };
  for (const file of files) if (!order.has(file)) visit(file);
  return found;
}

const found = circles();
for (const group of found) {
  console.error(
    `import circle: ${group
      .map((file) => relative(top, file))
      .sort()
      .join(', ')}`,
  );
  for (const file of group)
    for (const next of imports.get(file) ?? [])
      if (group.includes(next)) console.error(`  ${relative(top, file)} -> ${relative(top, next)}`);
}
if (files.length < 100) throw new Error(`only ${files.length} files found`);
process.exitCode = found.length === 0 ? 0 : 1;
