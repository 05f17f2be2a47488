/**
 * Messages that tests damage at random. Some damage is deadly to programs of others, which must not find
 * it here: of such a class there is a member that they refuse, and our own decoder is tested with it.
 */

/** `-3:`, also with a fraction behind it. */
const negativeLength = /-[0-9]+(\.[^:]{0,20})?:/g;

/**
 * The same message with every negative length of a string as `-0:`, which is refused all the same. The
 * npm package `bencode` goes back by a negative length, to where it was, and never ends.
 */
export function withoutTheDeadly(message: string): string {
  return message.replace(negativeLength, '-0:');
}
