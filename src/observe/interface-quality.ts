/** Media quality by local address, under the names of rtpengine 12.5 (`rtpengine_interface_*`, `statistics`). */
import type { Counters } from './counters.js';
import { qualityNames, QualitySums } from './quality-sums.js';

/** Lost and repeated packets, then sums, squares and samples. */
export function* interfaceQuality(
  { byAddress, packetsByAddress }: Counters,
  address: string,
): Generator<readonly [name: string, value: number]> {
  const counted = packetsByAddress.get(address);
  const reports = byAddress.get(address)?.reports;
  yield ['packets_lost', counted?.packets.packets_lost ?? 0];
  yield ['duplicates', counted?.packets.rtp_duplicates ?? 0];
  yield ['mos_total', reports?.mos.total ?? 0];
  yield ['mos2_total', reports?.mos.squares ?? 0];
  yield ['mos_samples_total', reports?.rated ?? 0];
  const sums = new QualitySums();
  if (reports !== undefined) sums.addReports(reports, undefined);
  for (const name of qualityNames) {
    const { total, squares, samples } =
      name === 'jitter_measured' && counted !== undefined
        ? counted.values[name]
        : sums.values[name];
    yield [`${name}_total`, total];
    yield [`${name}2_total`, squares];
    yield [`${name}_samples_total`, samples];
  }
}
