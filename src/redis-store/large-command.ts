/**
 * Commands with values of hundreds of kilobytes, as calls of hundreds of branches have: ioredis copies what it sends into
 * one buffer, here such values go to the socket as they are.
 */
import type { Redis } from 'ioredis';
import { commandOf } from './client.js';

/** Values from this size on are not copied, bytes. */
const largeBytes = 64 * 1024;

export type Argument = string | Buffer | number;

const isLarge = (argument: Argument): argument is Buffer =>
  Buffer.isBuffer(argument) && argument.length >= largeBytes;

export const hasLarge = (args: readonly Argument[]): boolean => args.some(isLarge);

/** Where a command is written to. */
interface Socket {
  write(bytes: Buffer): unknown;
}

/**
 * Writes all of a command (RESP arrays of bulk strings) but its end, which it returns. Large values must stay as they
 * are until the server has answered.
 */
function writeCommand(socket: Socket, name: string, args: readonly Argument[]): Buffer {
  let small: Buffer[] = [Buffer.from(`*${args.length + 1}\r\n$${name.length}\r\n${name}\r\n`)];
  for (const argument of args) {
    const bytes = Buffer.isBuffer(argument) ? argument : Buffer.from(String(argument));
    small.push(Buffer.from(`$${bytes.length}\r\n`));
    if (isLarge(bytes)) {
      socket.write(Buffer.concat(small));
      socket.write(bytes);
      small = [];
    } else small.push(bytes);
    small.push(Buffer.from('\r\n'));
  }
  return Buffer.concat(small);
}

/** As `callBuffer` of the client. */
export function sendLarge(redis: Redis, name: string, args: readonly Argument[]): Promise<unknown> {
  const command = commandOf(name, args);
  command.toWritable = (socket: object): Buffer => writeCommand(socket as Socket, name, args);
  void redis.sendCommand(command);
  return command.promise;
}
