/** The connection to the system log: nobody there costs hardly anything, and nothing of what waits is out of order. */
import { expect } from 'chai';
import { openSync } from 'node:fs';
import { SyslogConnection } from '../../../src/observe/log-sinks.js';
import { until } from '../../support/wait.js';

describe('the connection to the system log', () => {
  function connection() {
    const sent: string[] = [];
    const state = { there: false, asked: 0 };
    const syslog = new SyslogConnection({
      functions: {
        openOutput: (fd) => fd,
        connectOutput: () => {
          state.asked += 1;
          return state.there ? [openSync('/dev/null', 'r'), false] : 2;
        },
        writeOutput: (_fd, bytes) => {
          sent.push(bytes.toString('latin1').replace(/^.*relay: /, ''));
          return bytes.length;
        },
      },
      ...{ path: '/nowhere', programName: 'relay', facility: 3, nowMicros: () => 0 },
    });
    return { syslog, sent, state };
  }

  const lines = Array.from({ length: 500 }, (_, number) => `line ${number}`);

  it('is not asked for with each line while nobody is there, and gets all of them when somebody is', async () => {
    const { syslog, sent, state } = connection();
    for (const line of lines) syslog.send(30, line);
    expect(state.asked).to.equal(1);
    await until(() => state.asked > 1, 'it is asked for again');
    expect(syslog.empty).to.equal(false);
    state.there = true;
    await until(() => syslog.empty, 'all lines have gone');
    syslog.send(30, 'last');
    expect(sent).to.deep.equal([...lines, 'last']);
    syslog.close();
  });

  it('is asked for at once when the operator has it opened again', () => {
    const { syslog, sent, state } = connection();
    for (const line of lines) syslog.send(30, line);
    state.there = true;
    syslog.reopen();
    expect(sent).to.deep.equal(lines);
    syslog.close();
  });
});
