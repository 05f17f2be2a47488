/**
 * `advertised-address KIND`: prints the address that media is advertised with. KIND is an address, which is
 * printed as it is, one of the clouds, or `auto`.
 */
import { isIP } from 'node:net';
import { cloudAddress, clouds, metadataService } from './cloud-address.js';

async function address(kind: string): Promise<string> {
  if (isIP(kind) !== 0) return kind;
  const cloud = kind === 'auto' ? kind : clouds.find((each) => each === kind);
  if (cloud === undefined)
    throw new Error(`'${kind}' is neither an address nor ${clouds.join(', ')}, auto`);
  const limit = Number(process.env['RTPRELAY_METADATA_TIMEOUT_MS'] ?? '1000');
  return await cloudAddress(cloud, limit, process.env['RTPRELAY_METADATA_URL'] ?? metadataService);
}

address(process.argv[2] ?? '').then(
  (found) => process.stdout.write(`${found}\n`),
  (error: unknown) => {
    process.stderr.write(
      `advertised-address: ${error instanceof Error ? error.message : String(error)}\n`,
    );
    process.exitCode = 1;
  },
);
