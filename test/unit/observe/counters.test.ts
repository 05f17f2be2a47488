import { expect } from 'chai';
import { Counters } from '../../../src/observe/counters.js';

describe('command counters', () => {
  it('keep no name that rtpengine does not have', () => {
    const counters = new Counters(0);
    counters.commandDone('192.0.2.1', 'offer', 0.5, false);
    counters.commandDone('192.0.2.1', 'offer', 0.25, true);
    for (let i = 0; i < 100; i++) counters.commandDone('192.0.2.1', `strange-${i}`, 1, true);
    const figures = counters.proxies.get('192.0.2.1');
    expect([...(figures?.commands.keys() ?? [])]).to.deep.equal(['offer']);
    expect(figures?.commands.get('offer')).to.deep.equal({ count: 2, seconds: 0.75 });
    expect(figures?.errors).to.equal(101);
  });

  it('tell a bounded number of proxies apart', () => {
    const counters = new Counters(0);
    for (let i = 0; i < 5000; i++) counters.commandDone(`2001:db8::${i}`, 'ping', 0, false);
    expect(counters.proxies.size).to.equal(1001);
    expect(counters.proxies.get('others')?.commands.get('ping')?.count).to.equal(4000);
  });
});
