/** A request over a connected stream socket whose answer is waited for on the spot, for a moment. */
import { loadRelayAddon } from './addon.js';

/**
 * Sends the first `length` bytes of `request` without waiting and waits up to `micros` (at most 1 ms) for what comes. Bytes of `answer`;
 * 0: nothing has come; -1 - n: no more than n bytes could be sent.
 */
export type Exchange = (
  fd: number,
  request: Buffer,
  length: number,
  answer: Buffer,
  micros: number,
) => number;

/** native/api/exchange.h. @throws NativeRelayError */
export const nativeExchange = (): Exchange =>
  (loadRelayAddon() as { readonly exchange: Exchange }).exchange;
