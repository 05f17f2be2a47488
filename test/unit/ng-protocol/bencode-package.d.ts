/** The npm package `bencode` has no types of its own; what the tests use of it. */
declare module 'bencode' {
  const bencode: {
    /** Keys are sorted; strings are UTF-8, Buffers go as they are. */
    encode(value: unknown): Uint8Array;
  };
  export default bencode;
}
