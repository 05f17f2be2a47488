#!/usr/bin/env node
/** The operator's command line: sends one line to a daemon's CLI port and prints what comes back. */
import { existsSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';
import { parseListenAddress } from '../src/config/addresses.js';
import { parseIniFile } from '../src/config/ini-file.js';
import { defaultConfigFiles, defaultSection } from '../src/config/sources.js';
import type { CaptureAnswer } from '../src/daemon/cli/capture-file.js';
import { captureOptions, runCapture } from '../src/daemon/cli/capture.js';
import type { KeysAnswer } from '../src/daemon/cli/decrypt.js';
import { parseSnapshot, type StreamsSnapshot } from '../src/daemon/cli/streams.js';
import { runTop, topOptions, type TopTerminal } from '../src/daemon/cli/top.js';
import { programVersion } from '../src/daemon/process/version.js';
import { controlOptions, isFailure, usageLines } from '../src/daemon/cli/usage.js';

const usage = `
    rtprelayctl [ OPTION... ] <command>

${controlOptions.map(([name, value, meaning]) => `    ${`-${name} <${value}>`.padEnd(29)}${meaning}`).join('\n')}
    -help                        this text
    -version                     the version of this program

    Each option may be written with one dash or two, and its value behind a '='. Without -ip and -port the
    address is listen-cli of ${defaultConfigFiles.join(',\n    else of ')}, else 127.0.0.1:9900.

    Commands (COMMAND --help: one of them):

${usageLines()}
    The exit status is 0, or 1 when the daemon could not be asked or did not do it.
`;

interface Target {
  readonly host: string;
  readonly port: number;
  readonly timeoutMs: number;
  readonly command: string;
}

function fail(text: string): never {
  process.stderr.write(`${text}\n`);
  process.exit(1);
}

function numberOf(name: string, text: string, maximum: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1 || value > maximum) {
    fail(`rtprelayctl: ${name} takes a number from 1 to ${maximum}, not '${text}'`);
  }
  return value;
}

/** `address`, `address:port`, `[address]:port`; an IPv6 address alone needs no brackets. */
function addressOf(text: string): { readonly host: string; readonly port: number | null } {
  const match = /^\[([^\]]+)\](?::(\d+))?$/.exec(text) ?? /^([^:]+)(?::(\d+))?$/.exec(text);
  if (match === null) return { host: text, port: null };
  const [, host = '', port] = match;
  return { host, port: port === undefined ? null : numberOf('the port of -ip', port, 65535) };
}

const fallback = { host: '127.0.0.1', port: 9900 };

/** Where the daemon of a configuration listens; a wildcard address is reached over loopback. */
function configured(named: string | null, section: string): { host: string; port: number } {
  const path = named === 'none' ? null : (named ?? defaultConfigFiles.find(existsSync) ?? null);
  if (path === null) return fallback;
  try {
    const entry = parseIniFile(readFileSync(path, 'latin1'), path).get(section)?.get('listen-cli');
    const [first = ''] = entry?.value.split(';') ?? [];
    if (first.trim() === '') return fallback;
    const { host, port } = parseListenAddress(first.trim(), 'listen-cli');
    if (host === null || host === '0.0.0.0') return { host: '127.0.0.1', port };
    return { host: host === '::' ? '::1' : host, port };
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    // A file that was not asked for may be one that only the daemon can read.
    if (named === null && 'code' in Object(error)) return fallback;
    return fail(`rtprelayctl: ${why}`);
  }
}

type OptionName = (typeof controlOptions)[number][0];

interface Words {
  readonly options: ReadonlyMap<OptionName, string>;
  readonly command: string;
}

/** A word: what is wanted of this program alone. */
function parse(words: readonly string[]): Words | 'help' | 'version' {
  const options = new Map<OptionName, string>();
  let at = 0;
  for (; words[at]?.startsWith('-') === true; at += 1) {
    const [, written = '', attached] = /^--?([^=]*)(?:=(.*))?$/s.exec(words[at] ?? '') ?? [];
    if (written === 'help' || written === 'h') return 'help';
    if (written === 'version' || written === 'v') return 'version';
    const name = controlOptions.map(([each]) => each).find((each) => each === written);
    if (name === undefined) fail(`rtprelayctl: unknown option ${words[at]}; see --help`);
    const value = attached ?? words[(at += 1)];
    if (value === undefined) fail(`rtprelayctl: -${name} needs a value; see --help`);
    options.set(name, value);
  }
  return { options, command: words.slice(at).join(' ').trim() };
}

function targetOf({ options, command }: Words): Target {
  const section = options.get('config-section') ?? defaultSection;
  const ip = options.get('ip');
  const asked = ip === undefined ? { host: null, port: null } : addressOf(ip);
  const portText = options.get('port');
  const port = portText === undefined ? asked.port : numberOf('-port', portText, 65535);
  const base =
    ip === undefined && port === null
      ? configured(options.get('config-file') ?? null, section)
      : fallback;
  const timeoutMs = numberOf('-timeout', options.get('timeout') ?? '5', 86_400) * 1000;
  return { host: asked.host ?? base.host, port: port ?? base.port, timeoutMs, command };
}

const words = parse(process.argv.slice(2));
if (typeof words === 'string') {
  process.stdout.write(words === 'help' ? usage : `Version: ${programVersion()}\n`);
  process.exit(0);
}
const [, asked] = /^(\S+)(?:\s.*)?\s--?h(?:elp)?$/.exec(words.command) ?? [];
const answer = asked === undefined ? '' : usageLines(asked);
if (answer !== '') {
  process.stdout.write(answer);
  process.exit(0);
}
if (words.command === '') fail(usage);
const { host, port, timeoutMs, command } = targetOf(words);
const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;

/** Sends a line and passes on what comes back. @throws Error when there is no answer. */
async function ask(line: string, onBytes: (bytes: Buffer) => void): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const socket = connect({ host, port }, () => socket.write(`${line}\n`));
    socket.setTimeout(timeoutMs, () => socket.destroy(new Error(`no answer from ${place}`)));
    socket.on('error', (error: NodeJS.ErrnoException) => {
      const known = error.code === undefined;
      reject(known ? error : new Error(`cannot reach ${place}: ${error.message}`));
    });
    socket.on('data', onBytes);
    socket.on('end', resolve);
  });
}

const terminal: TopTerminal = {
  write: (text) => process.stdout.write(text),
  size: () => ({ width: process.stdout.columns, height: process.stdout.rows }),
  isTerminal: process.stdout.isTTY && process.stdin.isTTY,
  onKey: (listener) => {
    const onData = (bytes: Buffer): void => listener(bytes.toString('latin1'));
    process.stdin.setRawMode(true).resume().on('data', onData);
    return () => {
      process.stdin.off('data', onData).setRawMode(false).pause();
    };
  },
};

async function snapshot(): Promise<StreamsSnapshot> {
  const chunks: Buffer[] = [];
  await ask('streams', (bytes) => chunks.push(bytes));
  return parseSnapshot(Buffer.concat(chunks).toString('utf8'));
}

/** What the daemon says as JSON. @throws Error with what it says instead. */
async function json<Answer>(line: string): Promise<Answer> {
  const chunks: Buffer[] = [];
  await ask(line, (bytes) => chunks.push(bytes));
  const text = Buffer.concat(chunks).toString('latin1');
  try {
    return JSON.parse(text) as Answer;
  } catch {
    throw new Error(text.trim());
  }
}

async function capture(rest: readonly string[]): Promise<void> {
  const options = captureOptions(rest);
  if (typeof options === 'string') fail(`rtprelayctl: ${options}`);
  const done = await runCapture(
    options,
    {
      call: () => json<CaptureAnswer>(`capture ${options.callId}`),
      keys: () => json<KeysAnswer>(`srtpkeys ${options.callId}`),
    },
    (end) => process.on('SIGINT', end).on('SIGTERM', end),
  );
  process.stdout.write(done);
}

async function run(): Promise<void> {
  const [first, ...rest] = command.split(/\s+/);
  if (first === 'capture' && rest.length !== 1) {
    await capture(rest);
    return;
  }
  if (first === 'top') {
    const options = topOptions(rest);
    if (typeof options === 'string') fail(`rtprelayctl: ${options}`);
    await runTop(options, snapshot, terminal);
    return;
  }
  let beginning = '';
  await ask(command, (bytes) => {
    if (beginning.length < 200) beginning += bytes.toString('latin1');
    process.stdout.write(bytes);
  });
  process.exitCode = isFailure(beginning) ? 1 : 0;
}

run().catch((error: unknown) =>
  fail(`rtprelayctl: ${error instanceof Error ? error.message : String(error)}`),
);
