/** The connection to the daemon: says what is wished, hands on frames, comes back when it is lost. */
import type { Frame, LiveProtocol, Wish } from '../../src/daemon/live/protocol.js';

export type FeedState =
  | { readonly is: 'connecting' | 'live' }
  /** `sinceMs`: of the last frame; null: there was none. */
  | { readonly is: 'lost' | 'busy'; readonly sinceMs: number | null; readonly retryMs: number };

const protocol: LiveProtocol = 'live.rtprelay';
/** Too many viewers (RFC 6455 §7.4.1). */
const tryLater = 1013;
const retriesMs = [500, 1000, 2000, 4000, 8000];
const busyMs = 15_000;
/** A frame comes every second: without any for so long, the connection is dead. */
const silenceMs = 5000;

export class Feed {
  #socket: WebSocket | null = null;
  #wish: Wish;
  #attempt = 0;
  #lastFrameMs: number | null = null;
  #watch = 0;

  constructor(
    wish: Wish,
    private readonly onFrame: (frame: Frame) => void,
    private readonly onState: (state: FeedState) => void,
  ) {
    this.#wish = wish;
    this.#connect();
    addEventListener('online', () => this.#retryNow());
  }

  wish(wish: Wish): void {
    this.#wish = wish;
    this.#send();
  }

  #send(): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(this.#wish));
    }
  }

  #connect(): void {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = new WebSocket(`${scheme}://${location.host}/live/feed`, protocol);
    this.#socket = socket;
    if (this.#lastFrameMs === null) this.onState({ is: 'connecting' });
    socket.addEventListener('open', () => {
      this.#send();
      this.#expect();
    });
    socket.addEventListener('message', ({ data }) => {
      this.#attempt = 0;
      this.#lastFrameMs = Date.now();
      this.#expect();
      this.onState({ is: 'live' });
      // Sent by the daemon that has sent this page.
      this.onFrame(JSON.parse(String(data)) as Frame);
    });
    socket.addEventListener('close', ({ code }) => {
      if (socket === this.#socket) this.#lost(code);
    });
  }

  #expect(): void {
    clearTimeout(this.#watch);
    this.#watch = setTimeout(() => {
      const socket = this.#socket;
      this.#socket = null;
      socket?.close();
      this.#lost(0);
    }, silenceMs);
  }

  #lost(code: number): void {
    clearTimeout(this.#watch);
    this.#socket = null;
    const isBusy = code === tryLater;
    const retryMs = isBusy ? busyMs : (retriesMs[this.#attempt] ?? 8000);
    this.#attempt = Math.min(this.#attempt + 1, retriesMs.length - 1);
    this.onState({ is: isBusy ? 'busy' : 'lost', sinceMs: this.#lastFrameMs, retryMs });
    this.#watch = setTimeout(() => this.#connect(), retryMs);
  }

  #retryNow(): void {
    if (this.#socket !== null) return;
    clearTimeout(this.#watch);
    this.#connect();
  }
}
