// A Unix socket that leads to a TCP port of the network namespace in which this runs: node bridge.mjs PATH PORT
import { connect, createServer } from 'node:net';

const [path, port] = process.argv.slice(2);
createServer((near) => {
  const far = connect(Number(port), '127.0.0.1');
  near.pipe(far).pipe(near);
  for (const end of [near, far]) {
    end.on('error', () => {
      near.destroy();
      far.destroy();
    });
  }
}).listen(path, () => console.log('ready'));
