/**
 * As much of Helm as the chart uses, for machines without it: actions with `-` trimming, `if`, `else`, `with`, `range`,
 * pipelines of `quote`, `toYaml`, `nindent`, `printf`, `add`. Anything else throws. That Go's own text/template makes
 * the same of the chart is what scripts/package-test looks at.
 */
import { readFileSync, readdirSync } from 'node:fs';

export type Value =
  string | number | boolean | null | readonly Value[] | { readonly [key: string]: Value };

interface Branch {
  readonly kind: 'if' | 'with' | 'range';
  readonly pipeline: string;
  readonly then: readonly Node[];
  readonly otherwise: readonly Node[];
}
type Node = { readonly text: string } | { readonly pipeline: string } | Branch;

interface Token {
  readonly text: string;
  readonly action: boolean;
}

function tokens(template: string): Token[] {
  const found: Token[] = [];
  let trimNext = false;
  let rest = template;
  for (;;) {
    const match = /\{\{(-?)\s?(.*?)\s?(-?)\}\}/s.exec(rest);
    let text = match === null ? rest : rest.slice(0, match.index);
    if (trimNext) text = text.trimStart();
    if (match?.[1] === '-') text = text.trimEnd();
    found.push({ text, action: false });
    if (match === null) return found;
    found.push({ text: (match[2] ?? '').trim(), action: true });
    trimNext = match[3] === '-';
    rest = rest.slice(match.index + match[0].length);
  }
}

/** Nodes up to `end` or `else`, which is left. */
function parse(list: Token[]): readonly Node[] {
  const nodes: Node[] = [];
  for (let token = list[0]; token !== undefined; token = list[0]) {
    if (token.action && /^(end|else)$/.test(token.text)) break;
    list.shift();
    const branch = /^(if|with|range) (.*)$/.exec(token.text);
    if (!token.action) nodes.push({ text: token.text });
    else if (branch === null) nodes.push({ pipeline: token.text });
    else {
      const then = parse(list);
      const otherwise = list.shift()?.text === 'else' ? parse(list) : [];
      if (otherwise.length > 0) list.shift();
      const kind = branch[1] === 'if' ? 'if' : branch[1] === 'with' ? 'with' : 'range';
      nodes.push({ kind, pipeline: branch[2] ?? '', then, otherwise });
    }
  }
  return nodes;
}

const isList = (value: Value): value is readonly Value[] => Array.isArray(value);

function lookUp(path: string, dot: Value): Value {
  let value = dot;
  for (const key of path.split('.').filter(Boolean)) {
    if (typeof value !== 'object' || value === null || isList(value) || !(key in value)) {
      throw new Error(`no ${path} in the values`);
    }
    value = value[key] ?? null;
  }
  return value;
}

/** As sigs.k8s.io/yaml writes it: keys in order of the alphabet, lists not indented. */
function toYaml(value: Value, indent = ''): string {
  if (isList(value)) {
    return value.length === 0
      ? '[]'
      : value.map((each) => `${indent}- ${toYaml(each, `${indent}  `).trimStart()}`).join('\n');
  }
  if (typeof value === 'object' && value !== null) {
    const keys = Object.keys(value).sort();
    return keys.length === 0
      ? '{}'
      : keys
          .map((key) => {
            const item = value[key] ?? null;
            const below = typeof item === 'object' && item !== null && Object.keys(item).length > 0;
            const inner = isList(item) ? indent : `${indent}  `;
            return `${indent}${key}:${below ? '\n' : ' '}${below ? toYaml(item, inner) : toYaml(item)}`;
          })
          .join('\n');
  }
  if (
    typeof value === 'string' &&
    (value === '' || /^[\d.]+$|^(true|false|null|yes|no|on|off)$|[:#]/.test(value))
  ) {
    return JSON.stringify(value);
  }
  return String(value);
}

function words(text: string): readonly string[] {
  return text.match(/"(?:[^"\\]|\\.)*"|\S+/g) ?? [];
}

function term(word: string, dot: Value, top: Value): Value {
  if (word.startsWith('"')) return JSON.parse(word) as Value;
  if (/^-?\d+$/.test(word)) return Number(word);
  if (word === '.') return dot;
  if (/^\.[A-Z]/.test(word)) return lookUp(word, top);
  if (word.startsWith('.')) return lookUp(word, dot);
  throw new Error(`not understood: ${word}`);
}

function call(name: string, given: readonly Value[]): Value {
  const [first = null, second = null] = given;
  switch (name) {
    case 'quote':
      return JSON.stringify(String(first));
    case 'toYaml':
      return toYaml(first);
    case 'nindent':
      return `\n${String(second)
        .split('\n')
        .map((line) => ' '.repeat(Number(first)) + line)
        .join('\n')}`;
    case 'add':
      return given.reduce<number>((sum, each) => sum + Number(each), 0);
    case 'printf':
      return given
        .slice(1)
        .reduce<string>((text, each) => text.replace('%s', String(each)), String(first));
    default:
      throw new Error(`no function ${name}`);
  }
}

function evaluate(pipeline: string, dot: Value, top: Value): Value {
  let result: Value | undefined;
  for (const stage of pipeline.split(' | ')) {
    const [head = '', ...others] = words(stage);
    const given = others.map((word) => term(word, dot, top));
    if (/^[a-zA-Z]+$/.test(head))
      result = call(head, result === undefined ? given : [...given, result]);
    else result = term(head, dot, top);
  }
  return result ?? null;
}

function isTrue(value: Value): boolean {
  if (typeof value === 'object' && value !== null) return Object.keys(value).length > 0;
  return value !== null && value !== '' && value !== 0 && value !== false;
}

function write(nodes: readonly Node[], dot: Value, top: Value): string {
  return nodes
    .map((node) => {
      if ('text' in node) return node.text;
      const value = evaluate(node.pipeline, dot, top);
      if (!('kind' in node)) return String(value);
      if (!isTrue(value)) return write(node.otherwise, dot, top);
      if (node.kind === 'if') return write(node.then, dot, top);
      if (node.kind === 'with') return write(node.then, value, top);
      return isList(value) ? value.map((each) => write(node.then, each, top)).join('') : '';
    })
    .join('');
}

/** The templates of a chart, filled in: texts by file name. */
export function renderChart(
  chart: string,
  values: Value,
  release: string,
): ReadonlyMap<string, string> {
  const top = { Values: values, Release: { Name: release } };
  const names = readdirSync(`${chart}/templates`).sort();
  return new Map(
    names.map((name) => {
      const nodes = parse(tokens(readFileSync(`${chart}/templates/${name}`, 'utf8')));
      return [name, write(nodes, top, top)];
    }),
  );
}
