/** The command line of a daemon (`listen-cli`) over TCP. */
import { connect } from 'node:net';

export interface Sessions {
  readonly own: number;
  readonly foreign: number;
}

/**
 * The answer to one command; empty when nobody listens. Our side of the connection stays open: rtpengine 10.5 cuts
 * its answer short now and then where the client has closed its own.
 */
export async function cliAsk(port: number, command: string, host = '127.0.0.1'): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = connect(port, host, () => socket.write(`${command}\n`));
    socket.setEncoding('latin1');
    socket.setTimeout(30_000, () => socket.destroy());
    socket.on('data', (data: string) => (text += data));
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

/** `list numsessions` */
export async function sessionsOf(port: number, host?: string): Promise<Sessions> {
  const text = await cliAsk(port, 'list numsessions', host);
  const count = (name: string): number =>
    Number(new RegExp(`sessions ${name}:\\s*(\\d+)`).exec(text)?.[1]);
  return { own: count('own'), foreign: count('foreign') };
}
