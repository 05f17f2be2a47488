/** Who looks at the live page: each gets frames of what it wishes to see, as fast as it reads them. */
import type { WebSocket } from 'ws';
import { callDetail } from './call-detail.js';
import { CallList, turnMs, type CallSource } from './call-list.js';
import { NodeWatch, type NodeSource } from './node-watch.js';
import type { Explanation } from '../../observe/explain/explain.js';
import { Order } from './order.js';
import type { CallDetail, Frame, Wish } from './protocol.js';
import { firstWish, parseWish } from './wish.js';

/** What the page is made of. */
export interface LiveSource {
  readonly calls: CallSource;
  readonly node: NodeSource;
  readonly explain: (callId: string) => Explanation | null;
}

/** Viewers at a time; one more is told to come later. */
const maxViewers = 16;
/** Codes of RFC 6455 §7.4.1 and of its registry: try again later, policy violation. */
const tryLater = 1013;
const notUnderstood = 1008;
/** Bytes that wait for a viewer; with more it gets no further frame until it has read them. */
const maxWaitingBytes = 256 * 1024;
/** Wishes are answered so soon, and all viewers' together not more often than that, ms: each may be a search of all calls. */
const answerMs = 120;

interface Viewer {
  readonly socket: WebSocket;
  readonly order: Order;
  wish: Wish;
  /** The last event that it was sent. */
  event: number;
  leftOut: number;
  /** ms, when it was sent a frame. */
  sentMs: number;
  answer: NodeJS.Timeout | null;
}

/** Thread: control. Runs until `close`, with or without viewers: the last minutes are kept for them. */
export class Viewers {
  readonly #source: LiveSource;
  readonly #list: CallList;
  readonly #node: NodeWatch;
  readonly #viewers = new Set<Viewer>();
  readonly #timer: NodeJS.Timeout;
  /** null: nobody looks. */
  #turns: NodeJS.Timeout | null = null;

  constructor(source: LiveSource) {
    this.#source = source;
    this.#list = new CallList(source.calls);
    this.#node = new NodeWatch(source.node, source.calls.nowMicros());
    this.#everySecond();
    this.#timer = setInterval(() => this.#everySecond(), 1000).unref();
  }

  get count(): number {
    return this.#viewers.size;
  }

  /** Serves a connection until it is closed, by whomever. */
  add(socket: WebSocket): void {
    if (this.#viewers.size >= maxViewers) {
      socket.close(tryLater, `${maxViewers} viewers are there already`);
      return;
    }
    const viewer: Viewer = {
      ...{ socket, order: new Order(() => this.#send(viewer)), wish: firstWish },
      ...{ event: 0, leftOut: 0 },
      ...{ sentMs: -Infinity, answer: null },
    };
    this.#viewers.add(viewer);
    if (this.#turns === null) {
      this.#list.compare();
      this.#turns = setInterval(() => this.#list.turn(), turnMs).unref();
    }
    socket.on('close', () => {
      this.#viewers.delete(viewer);
      if (this.#viewers.size === 0) this.#rest();
      if (viewer.answer !== null) clearTimeout(viewer.answer);
    });
  }

  /** What a viewer says. */
  receive(socket: WebSocket, message: Buffer): void {
    const viewer = [...this.#viewers].find((each) => each.socket === socket);
    if (viewer === undefined) return;
    const wish = parseWish(message.toString('utf8'));
    if (wish === null) {
      socket.close(notUnderstood, 'that is no wish');
      return;
    }
    viewer.wish = wish;
    const now = this.#source.calls.costMs();
    const waitMs = Math.max(0, viewer.sentMs + answerMs * this.#viewers.size - now);
    viewer.answer ??= setTimeout(() => {
      viewer.answer = null;
      this.#send(viewer);
    }, waitMs).unref();
  }

  #rest(): void {
    if (this.#turns !== null) clearInterval(this.#turns);
    this.#turns = null;
  }

  #everySecond(): void {
    const { calls } = this.#source;
    if (this.#viewers.size > 0) this.#list.compare();
    else this.#list.unwatched();
    this.#node.everySecond(calls.nowMicros(), this.#list.quality());
    for (const viewer of this.#viewers) this.#send(viewer);
  }

  #send(viewer: Viewer): void {
    const { socket } = viewer;
    if (socket.readyState !== socket.OPEN) return;
    if (socket.bufferedAmount > maxWaitingBytes) {
      viewer.leftOut += 1;
      return;
    }
    const frame = this.#frame(viewer);
    if (frame === null) return;
    viewer.sentMs = this.#source.calls.costMs();
    viewer.event = this.#node.lastEvent;
    socket.send(JSON.stringify(frame));
  }

  #frame({ wish, order, event, leftOut }: Viewer): Frame | null {
    const { calls } = this.#source;
    const node = this.#node.statistics(this.#viewers.size);
    if (node === null) return null;
    const tracks = order.of(wish, this.#list.all(), calls.costMs());
    if (tracks === null) return null;
    const nowMicros = calls.nowMicros();
    // A shorter list than the viewer knew: it sees the end of it.
    const from = Math.max(0, Math.min(wish.from, tracks.length - wish.count));
    return {
      node,
      list: {
        ...{ total: this.#list.size, matching: tracks.length, from },
        rows: this.#list.rows(tracks, { from, count: wish.count }),
        conditions: this.#list.conditions(),
      },
      call: wish.call === null ? null : this.#detail(wish.call, nowMicros),
      events: this.#node.eventsAfter(event),
      leftOut,
    };
  }

  #detail(name: string, nowMicros: number): CallDetail {
    const callId = this.#list.idOf(name);
    return callDetail(name, this.#source.explain(callId), this.#list.fresh(callId), nowMicros);
  }

  close(): void {
    clearInterval(this.#timer);
    this.#rest();
    for (const { socket, answer } of this.#viewers) {
      if (answer !== null) clearTimeout(answer);
      socket.terminate();
    }
    this.#viewers.clear();
  }
}
