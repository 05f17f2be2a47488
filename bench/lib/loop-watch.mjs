/**
 * Loaded into a measured daemon by `--import`. Writes a line once a second to the file `LOOP_WATCH`: how long its event
 * loop was held up at the longest, ms, and how much CPU time the process took at most between two of its turns, ms. The
 * second does not depend on what else the machine does.
 */
import { appendFileSync } from 'node:fs';

const file = process.env.LOOP_WATCH;
if (file !== undefined) {
  let [longest, costliest] = [0, 0];
  let [at, cpu] = [performance.now(), process.cpuUsage()];
  setInterval(() => {
    const spent = process.cpuUsage(cpu);
    const now = performance.now();
    longest = Math.max(longest, now - at - 1);
    costliest = Math.max(costliest, (spent.user + spent.system) / 1000);
    [at, cpu] = [now, process.cpuUsage()];
  }, 1).unref();
  setInterval(() => {
    appendFileSync(file, `${longest.toFixed(2)} ${costliest.toFixed(2)}\n`);
    [longest, costliest] = [0, 0];
  }, 1000).unref();
}
