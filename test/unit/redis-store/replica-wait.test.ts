import { expect } from 'chai';
import { ReplicaWait, replicationProgress } from '../../../src/redis-store/replica-wait.js';

interface Sent {
  readonly words: readonly (string | number)[];
  readonly answer: (reply: unknown) => void;
  readonly fail: (error: Error) => void;
}

const settled = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5));
const refused = (): Error => Object.assign(new Error('NOPERM no'), { name: 'ReplyError' });

function made(): { wait: ReplicaWait; sent: Sent[]; lines: string[] } {
  const sent: Sent[] = [];
  const lines: string[] = [];
  const note = (line: string): void => void lines.push(line);
  const wait = new ReplicaWait({
    replicas: 2,
    timeoutMs: 50,
    send: (...words) =>
      new Promise((answer, fail) => {
        sent.push({ words, answer, fail });
      }),
    log: { critical: note, error: note, warning: note, notice: note, info: note },
  });
  return { wait, sent, lines };
}

describe('waiting for replicas', () => {
  it('sends one WAIT for all that was acknowledged, and one more for what came meanwhile', async () => {
    const { wait, sent } = made();
    const done: string[] = [];
    for (const name of ['a', 'b', 'c']) void wait.reached().then(() => done.push(name));
    await settled();
    expect(sent.map(({ words }) => words)).to.deep.equal([['WAIT', 2, 50]]);
    for (const name of ['d', 'e']) void wait.reached().then(() => done.push(name));
    await settled();
    expect(sent).to.have.length(1);
    sent[0]?.answer(2);
    await settled();
    expect(done).to.deep.equal(['a', 'b', 'c']);
    expect(sent).to.have.length(2);
    sent[1]?.answer(3);
    await settled();
    expect(done).to.deep.equal(['a', 'b', 'c', 'd', 'e']);
    wait.close();
  });

  it('is over at once while the replicas lag, which is said once', async () => {
    const { wait, sent, lines } = made();
    const first = wait.reached();
    const joined = settled().then(() => wait.reached());
    await settled();
    sent[0]?.answer(1);
    await Promise.all([first, joined]);
    await wait.reached();
    expect(sent).to.have.length(1);
    expect(lines).to.deep.equal([
      'Replicas of Redis do not keep up (1 of 2 hold the last call): replies no longer wait for them',
    ]);
    wait.close();
  });

  it('is over when WAIT is refused, and when the connection is lost', async () => {
    const lost = made();
    const waiting = lost.wait.reached();
    await settled();
    lost.sent[0]?.fail(new Error('Connection is closed.'));
    await waiting;
    expect(lost.lines).to.deep.equal([]);
    const denied = made();
    const denial = denied.wait.reached();
    await settled();
    denied.sent[0]?.fail(refused());
    await denial;
    expect(denied.lines.join()).to.include('NOPERM');
    denied.wait.close();
  });

  it('reads how far replicas are, those that are online', () => {
    const facts =
      'role:master\r\nconnected_slaves:2\r\n' +
      'slave0:ip=127.0.0.1,port=1,state=online,offset=700,lag=0\r\n' +
      'slave1:ip=127.0.0.1,port=2,state=wait_bgsave,offset=0,lag=0\r\n' +
      'slave2:ip=::1,port=3,state=online,offset=690,lag=4\r\n' +
      'master_repl_offset:714\r\nsecond_repl_offset:-1\r\n';
    expect(replicationProgress(facts)).to.deep.equal({ offset: 714, acknowledged: [700, 690] });
    expect(replicationProgress('')).to.deep.equal({ offset: 0, acknowledged: [] });
  });
});
