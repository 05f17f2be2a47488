/**
 * Where the encoders put what they write. A value is made of groups: the members that belong to one entity.
 * Of a call with many of them, each group is made anew only when something that it depends on is another
 * object (or number) than last time: entities are never changed in place, so what is the same object says the
 * same. Of other entities a group depends on the members that it is made of, not on the whole: in a call of
 * hundreds of branches the offerer changes with each of them.
 */
import { ItemList } from './item-list.js';
import type { Member, Tree } from './schema.js';

/** The groups, in the order in which they are written. */
export const groupKinds = [
  ...(['socket', 'stream', 'stream lists', 'participant', 'participant lists'] as const),
  ...(['told', 'media', 'media lists', 'map', 'map lists'] as const),
];

export type GroupKind = (typeof groupKinds)[number];

/** Names and values. */
export type Members = readonly (readonly [name: string, value: Member | ItemList])[];

/** Tells, one after the other, what a group depends on: objects, numbers, words. */
export type DependsOn = (see: (value: unknown) => void) => void;

/** It depends on one entity. */
export const onlyOn =
  (entity: unknown): DependsOn =>
  (see) => {
    see(entity);
  };

export interface Output {
  /** The members that are no entity's. */
  member(name: string, value: Member): void;
  /** Visits the positions of the groups that may be others than last time, in ascending order. */
  each(kind: GroupKind, count: number, visit: (at: number) => void): void;
  /** @param on what `make` depends on, the entity itself included; compared by identity. */
  group(kind: GroupKind, at: number, on: DependsOn, make: () => Members): void;
  fact(kind: GroupKind, at: number, on: DependsOn, make: () => boolean): boolean;
}

/** As `Output.each`, of a list of the state that is written. */
export function eachOf<T>(
  out: Output,
  kind: GroupKind,
  list: readonly T[],
  visit: (entity: T, at: number) => void,
): void {
  out.each(kind, list.length, (at) => {
    const entity = list[at];
    if (entity !== undefined) visit(entity, at);
  });
}

/** All of the value is made anew. */
export abstract class FreshOutput implements Output {
  abstract member(name: string, value: Member): void;

  each(_kind: GroupKind, count: number, visit: (at: number) => void): void {
    for (let at = 0; at < count; at += 1) visit(at);
  }

  group(_kind: GroupKind, _at: number, _on: DependsOn, make: () => Members): void {
    for (const [name, value] of make())
      this.member(name, value instanceof ItemList ? value.items : value);
  }

  fact(_kind: GroupKind, _at: number, _on: DependsOn, make: () => boolean): boolean {
    return make();
  }
}

/** The value as a tree. */
export class TreeOutput extends FreshOutput {
  readonly tree: Tree = {};

  member(name: string, value: Member): void {
    this.tree[name] = value;
  }
}
