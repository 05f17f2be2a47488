/** G.711 A-law (ITU-T G.711) and WAV files of what was sent and heard. */

export const sampleRate = 8000;

/** One 16-bit sample as an A-law code. */
export function encodeALaw(sample: number): number {
  const sign = sample >= 0 ? 0x80 : 0;
  let magnitude = Math.min(32_635, Math.abs(sample));
  let code: number;
  if (magnitude < 256) code = magnitude >> 4;
  else {
    let exponent = 7;
    for (let mask = 0x4000; (magnitude & mask) === 0 && exponent > 1; mask >>= 1) exponent -= 1;
    magnitude >>= exponent + 3;
    code = (exponent << 4) | (magnitude & 0x0f);
  }
  return (code | sign) ^ 0x55;
}

/** The 16-bit sample of an A-law code. */
export function decodeALaw(code: number): number {
  const value = code ^ 0x55;
  const exponent = (value >> 4) & 0x07;
  let magnitude = ((value & 0x0f) << 4) + 8;
  if (exponent > 0) magnitude = (magnitude + 0x100) << (exponent - 1);
  return (value & 0x80) !== 0 ? magnitude : -magnitude;
}

/**
 * Something like speech to look at and to listen to, 4 s of PCMA: syllables of three harmonics whose
 * pitch and loudness change.
 */
export function speechLike(): Buffer {
  const seconds = 4;
  const audio = Buffer.alloc(seconds * sampleRate);
  let phase = 0;
  for (let n = 0; n < audio.length; n++) {
    const time = n / sampleRate;
    const pitch = 140 + 40 * Math.sin(2 * Math.PI * 0.5 * time);
    phase += (2 * Math.PI * pitch) / sampleRate;
    const syllable = Math.max(0, Math.sin(2 * Math.PI * 2.5 * time)) ** 0.5;
    const voice = Math.sin(phase) + 0.5 * Math.sin(3 * phase) + 0.3 * Math.sin(7 * phase);
    audio[n] = encodeALaw(Math.round(7000 * (0.15 + 0.85 * syllable) * voice));
  }
  return audio;
}

/** A WAV file of 16-bit samples from PCMA. */
export function wavOf(pcma: Uint8Array): Buffer {
  const header = Buffer.alloc(44);
  const bytes = pcma.length * 2;
  header.write('RIFF', 0);
  header.writeUInt32LE(36 + bytes, 4);
  header.write('WAVEfmt ', 8);
  header.writeUInt32LE(16, 16);
  header.writeUInt16LE(1, 20); // PCM
  header.writeUInt16LE(1, 22); // mono
  header.writeUInt32LE(sampleRate, 24);
  header.writeUInt32LE(sampleRate * 2, 28);
  header.writeUInt16LE(2, 32);
  header.writeUInt16LE(16, 34);
  header.write('data', 36);
  header.writeUInt32LE(bytes, 40);
  const samples = Buffer.alloc(bytes);
  pcma.forEach((code, n) => samples.writeInt16LE(decodeALaw(code), n * 2));
  return Buffer.concat([header, samples]);
}
