/**
 * The values an NG message is made of (ng-protocol.md §1.1). Strings are byte strings (latin1);
 * a Map keeps the order of the keys.
 */
export type NgValue = string | number | readonly NgValue[] | NgDictionary;
export type NgDictionary = ReadonlyMap<string, NgValue>;
