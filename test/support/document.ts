/**
 * Documents whose commands a test follows. A fenced block says behind its language for which machine it
 * is: ```sh node one; a file also where it goes: ```ini node one: /etc/x.conf. GitHub shows neither.
 */
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { IsolatedSystemd } from './systemd.js';

export interface Block {
  /** `sh` for commands; any other is a file. */
  readonly language: string;
  /** The machine that it is for, as the document says it. */
  readonly where: string;
  /** Where a file goes. */
  readonly path: string | null;
  readonly text: string;
}

export interface Section {
  readonly title: string;
  readonly blocks: readonly Block[];
}

function blocksOf(text: string): readonly Block[] {
  return [...text.matchAll(/^```(\w+) ([^\n:]+)(?:: (\S+))?\n(.*?)^```$/gms)].map(
    ([, language = '', where = '', path, body = '']) => ({
      language,
      where: where.trim(),
      path: path ?? null,
      text: body,
    }),
  );
}

/** README.md, or one of docs/. */
const pathOf = (name: string): string => (name === 'README.md' ? name : `docs/${name}`);

/** The sections of a document, with the blocks that are meant for a machine; what is before the first one is one without a title. */
function readDocument(name: string): readonly Section[] {
  const file = fileURLToPath(new URL(`../../${pathOf(name)}`, import.meta.url));
  const [beginning = '', ...parts] = readFileSync(file, 'utf8').split(/^## /m);
  const sections = parts.map((part) => {
    const end = part.indexOf('\n');
    return { title: part.slice(0, end), blocks: blocksOf(part.slice(end)) };
  });
  return [{ title: '', blocks: blocksOf(beginning) }, ...sections];
}

/** The section whose title begins so. @throws Error when the document has none. */
function sectionOf(document: readonly Section[], beginning: string): Section {
  const found = document.find(({ title }) => title.startsWith(beginning));
  if (found === undefined) throw new Error(`the document has no section '${beginning}'`);
  return found;
}

/** A document's commands, one by one: a test says which of them it runs, and in the end whether it was all of them. */
export class Commands {
  readonly #left: Set<string>;
  readonly #all: ReadonlySet<string>;

  constructor(private readonly name: string) {
    this.#left = new Set(
      readDocument(name)
        .flatMap(({ blocks }) => blocks)
        .filter(({ language }) => language === 'sh')
        .flatMap(({ text }) => text.split('\n'))
        .map((line) => line.replace(/\s+#.*$/, '').trim())
        .filter((line) => line !== ''),
    );
    this.#all = new Set(this.#left);
  }

  /** The command, which is about to be run. @throws Error when the document does not say it so. */
  take(command: string): string {
    if (!this.#all.has(command)) throw new Error(`${pathOf(this.name)} does not say: ${command}`);
    this.#left.delete(command);
    return command;
  }

  /** Those that were not taken. */
  get left(): readonly string[] {
    return [...this.#left];
  }
}

/** Which machines a document's words stand for. */
export type Machines = Readonly<Record<string, readonly IsolatedSystemd[]>>;

/** A document whose commands are run. */
export class Followed {
  readonly sections: readonly Section[];

  constructor(private readonly name: string) {
    this.sections = readDocument(name);
  }

  /** Blocks that somebody must follow: a checkout is built already where a test runs. */
  static isFollowable(block: Block): boolean {
    return !block.where.startsWith('build on ');
  }

  section(beginning: string): Section {
    return sectionOf(this.sections, beginning);
  }

  /** Packages that the commands install, all or those of some blocks. */
  packages(only: (block: Block) => boolean = () => true): readonly string[] {
    const blocks = this.sections.flatMap((section) => section.blocks.filter(Followed.isFollowable));
    const installed = blocks
      .filter(only)
      .flatMap(({ text }) => [...text.matchAll(/apt-get install ([^#\n]*)/g)]);
    return [...new Set(installed.flatMap(([, names = '']) => names.trim().split(/\s+/)))];
  }

  /**
   * Does what a section says, in its order, on the machines that it names, and returns what the commands
   * wrote. `only` chooses among its blocks.
   */
  follow(
    beginning: string,
    machines: Machines,
    only: (block: Block) => boolean = () => true,
  ): string {
    const { title, blocks } = this.section(beginning);
    const chosen = blocks.filter((block) => Followed.isFollowable(block) && only(block));
    if (chosen.length === 0) throw new Error(`${this.name}, ${title}: nothing to follow`);
    const output: string[] = [];
    for (const { language, where, path, text } of chosen) {
      const named = machines[where];
      if (named === undefined)
        throw new Error(`${this.name}, ${title}: which machine is '${where}'?`);
      for (const machine of named) {
        if (path !== null) machine.write(path, text);
        else if (language === 'sh') output.push(machine.shell(text));
        else throw new Error(`${this.name}, ${title}: what is to be done with '${text}'?`);
      }
    }
    return output.join('');
  }
}
