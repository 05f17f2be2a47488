/**
 * Stands for `@ioredis/commands` in the bundle. The daemon sends every command by `call`, so ioredis
 * need not make two methods for each of 400 commands when it is loaded: that was a third of what
 * Redis costs the start. Methods are made for those that ioredis itself uses.
 */
'use strict';
exports.list = [
  ...['auth', 'client', 'hello', 'info', 'ping', 'quit', 'readonly', 'select', 'sentinel'],
  ...['subscribe', 'unsubscribe', 'psubscribe', 'punsubscribe', 'ssubscribe', 'sunsubscribe'],
];
// What these are asked for is key prefixes, offline queues and Redis Cluster: the daemon uses none.
exports.exists = () => false;
exports.hasFlag = () => false;
exports.getKeyIndexes = () => [];
