/** Bounds of HTTP and WebSocket clients: a slow, silent or greedy one costs the others nothing. */

/** Longest request body and WebSocket message. */
export const maxMessageBytes = 1024 * 1024;
/** Replies that wait for a client that does not read; then it is disconnected. */
export const maxWaitingBytes = 4 * 1024 * 1024;
/** A request has to be whole so long after its beginning. */
export const requestTimeoutMs = 10_000;
/** A WebSocket that does not answer a ping until the next one is gone. */
export const pingMs = 30_000;
/** Requests that a connection sends without waiting for the answers; then it is disconnected. */
export const maxUnanswered = 16;
export const maxConnections = 4096;
export const maxConnectionsPerSource = 512;
