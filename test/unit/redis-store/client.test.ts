import { setFlagsFromString } from 'node:v8';
import { runInThisContext } from 'node:vm';
import { expect } from 'chai';
import { loadRedisClient } from '../../../src/redis-store/client.js';

/** Whether V8 finds the methods of strings without a search. */
function stringMethodsAreFast(): unknown {
  setFlagsFromString('--allow-natives-syntax');
  try {
    return runInThisContext('%HasFastProperties(String.prototype)');
  } finally {
    setFlagsFromString('--no-allow-natives-syntax');
  }
}

describe('the Redis client', () => {
  it('leaves the methods of strings as fast as they were before it was loaded', async () => {
    await loadRedisClient();
    expect(stringMethodsAreFast()).to.equal(true);
  });
});
