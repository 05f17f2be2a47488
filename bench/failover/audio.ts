/** Speech-like sound made by ourselves, A-law (G.711) and WAV files. */

export const sampleRate = 8000;

/** A linear sample of 16 bits as A-law, even bits inverted. */
function toAlaw(linear: number): number {
  const sign = linear >= 0 ? 0x80 : 0;
  const magnitude = Math.min(32_767, Math.abs(linear)) >> 4;
  let exponent = 0;
  for (let rest = magnitude >> 4; rest > 0; rest >>= 1) exponent += 1;
  const mantissa = exponent === 0 ? magnitude : (magnitude >> (exponent - 1)) & 0x0f;
  return (sign | (exponent << 4) | mantissa) ^ 0x55;
}

function fromAlaw(byte: number): number {
  const bits = byte ^ 0x55;
  const exponent = (bits >> 4) & 7;
  const mantissa = ((bits & 0x0f) << 1) | 1;
  const magnitude = exponent === 0 ? mantissa : (mantissa | 0x20) << (exponent - 1);
  return (bits & 0x80) !== 0 ? magnitude << 3 : -(magnitude << 3);
}

/** First two formants of five vowels, Hz. */
const vowels: readonly (readonly [number, number])[] = [
  [730, 1090],
  [270, 2290],
  [570, 840],
  [530, 1840],
  [300, 870],
];
const syllableSeconds = 0.25;

/** A resonance: y[n] = x[n] + 2 r cos(w) y[n-1] - r² y[n-2]. */
class Resonator {
  #last = 0;
  #before = 0;

  next(input: number, frequency: number, bandwidth: number): number {
    const radius = Math.exp((-Math.PI * bandwidth) / sampleRate);
    const turn = 2 * radius * Math.cos((2 * Math.PI * frequency) / sampleRate);
    const output = input + turn * this.#last - radius * radius * this.#before;
    this.#before = this.#last;
    this.#last = output;
    return output;
  }
}

/** A voice that says vowels: glottal pulses of a wandering pitch through two formants. */
export function speech(seconds: number): Buffer {
  const formants = [new Resonator(), new Resonator()] as const;
  const samples: number[] = [];
  let phase = 0;
  for (let n = 0; n < seconds * sampleRate; n++) {
    const time = n / sampleRate;
    const syllable = Math.floor(time / syllableSeconds);
    const [first, second] = vowels[(syllable * 3) % vowels.length] ?? [500, 1500];
    const pitch = 115 + 25 * Math.sin(2 * Math.PI * 0.4 * time) + 8 * Math.sin(2 * Math.PI * time);
    phase += pitch / sampleRate;
    const pulse = phase >= 1 ? 1 : 0;
    phase -= pulse;
    // Never silent, so that every missing packet shows.
    const within = (time % syllableSeconds) / syllableSeconds;
    const loudness = 0.35 + 0.65 * Math.sin(Math.PI * within) ** 2;
    const voice = formants[1].next(formants[0].next(pulse, first, 90), second, 120);
    samples.push(voice * loudness);
  }
  const peak = samples.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  return Buffer.from(samples.map((value) => toAlaw(Math.round((value / peak) * 24_000))));
}

/** Samples of 16 bits. */
export function decode(alaw: Buffer): Int16Array {
  return Int16Array.from(alaw, fromAlaw);
}

/** A WAV file of 16 bits, one channel. */
export function wav(samples: Int16Array): Buffer {
  const data = Buffer.from(samples.buffer, samples.byteOffset, samples.byteLength);
  const header = Buffer.alloc(44);
  header.write('RIFF', 0, 'latin1');
  header.writeUInt32LE(36 + data.length, 4);
  header.write('WAVEfmt ', 8, 'latin1');
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // channels
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36, 'latin1');
  header.writeUInt32LE(data.length, 40);
  return Buffer.concat([header, data]);
}
