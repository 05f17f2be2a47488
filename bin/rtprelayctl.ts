#!/usr/bin/env node
/** The operator's command line: sends one line to a daemon's CLI port and prints what comes back. */
import { connect } from 'node:net';

const usage = `
    rtprelayctl [ -ip <ipaddress>[:<port>] -port <port> -timeout <seconds> ] <command>

    Talks to the address of --listen-cli, by default 127.0.0.1:9900. 'help' lists the commands.
    The exit status is 0, or 1 when the daemon could not be asked.
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

function numberOf(name: string, text: string | undefined, maximum: number): number {
  const value = Number(text);
  if (text === undefined || !/^\d+$/.test(text) || value < 1 || value > maximum) {
    fail(`rtprelayctl: ${name} takes a number from 1 to ${maximum}, not '${text ?? ''}'`);
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

function targetOf(words: readonly string[]): Target | null {
  let host = '127.0.0.1';
  let port = 9900;
  let timeoutMs = 5000;
  let at = 0;
  for (; words[at]?.startsWith('-') === true; at += 2) {
    const name = words[at]?.replace(/^--?/, '');
    const value = words[at + 1];
    if (name === 'ip' && value !== undefined) {
      const address = addressOf(value);
      host = address.host;
      port = address.port ?? port;
    } else if (name === 'port') port = numberOf('-port', value, 65535);
    else if (name === 'timeout') timeoutMs = numberOf('-timeout', value, 86_400) * 1000;
    else return null;
  }
  const command = words.slice(at).join(' ').trim();
  return command === '' ? null : { host, port, timeoutMs, command };
}

const target = targetOf(process.argv.slice(2));
if (target === null) fail(usage);
const { host, port, timeoutMs, command } = target;
const place = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
const socket = connect({ host, port }, () => socket.write(`${command}\n`));
socket.setTimeout(timeoutMs, () => fail(`rtprelayctl: no answer from ${place}`));
socket.on('error', (error) => fail(`rtprelayctl: cannot reach ${place}: ${error.message}`));
socket.pipe(process.stdout);
