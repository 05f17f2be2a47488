/** Every way to end a call or a branch of it. */
import { answer, command, hangUp, offer, query, reoffer, sequence, wait } from '../sequence.js';
import type { NgDictionary } from '../../../support/bencode.js';
import { answerOf, forked, twoBranches } from './dialogues.js';

const established = [offer(), answer()] as const;

function ofTwo(name: string, keys: NgDictionary): ReturnType<typeof sequence> {
  return sequence(`delete of two answered branches: ${name}`, ...twoBranches(), hangUp(keys));
}

function ofEarly(name: string, keys: NgDictionary): ReturnType<typeof sequence> {
  return sequence(`delete of two early branches: ${name}`, ...forked(), hangUp(keys));
}

/** Whether the call is gone is seen by whether an answer still finds it. */
const probe = answer();

export const deleteSequences = [
  sequence('delete by from-tag', ...established, hangUp(), query()),
  sequence('delete by the tag of the callee', ...established, hangUp({ 'from-tag': 'x' }), query()),
  sequence('delete without tags', ...established, hangUp({}), query()),
  sequence('delete with a to-tag only', ...established, hangUp({ 'to-tag': 'x' }), query()),
  sequence(
    'delete with an unknown to-tag only',
    ...established,
    hangUp({ 'to-tag': 'q' }),
    query(),
  ),
  sequence(
    'delete with both tags',
    ...established,
    hangUp({ 'from-tag': 'a', 'to-tag': 'x' }),
    query(),
  ),
  sequence(
    'delete with the tags swapped',
    ...established,
    hangUp({ 'from-tag': 'x', 'to-tag': 'a' }),
    query(),
  ),
  sequence(
    'delete with unknown tags',
    ...established,
    hangUp({ 'from-tag': 'q' }),
    hangUp({ 'from-tag': 'a', 'to-tag': 'q' }),
    query(),
  ),
  sequence('delete of an offer', offer(), hangUp(), query()),
  sequence('delete of an unknown call', hangUp(), hangUp({ flags: ['fatal'] })),
  sequence(
    'delete without call-id',
    command('delete', { 'call-id': '' }),
    hangUp({ 'call-id': 5 }),
  ),
  ofTwo('by from-tag', { 'from-tag': 'a' }),
  ofTwo('by the first to-tag', { 'from-tag': 'a', 'to-tag': 'x' }),
  ofTwo('by the second to-tag', { 'from-tag': 'a', 'to-tag': 'y' }),
  ofTwo('by the first callee', { 'from-tag': 'x' }),
  ofTwo('by the first via-branch', { 'from-tag': 'a', 'via-branch': 'b1' }),
  ofTwo('by the second via-branch', { 'from-tag': 'a', 'via-branch': 'b2' }),
  ofTwo('by an unknown via-branch', { 'from-tag': 'a', 'via-branch': 'b9' }),
  ofTwo('by a via-branch without tag', { 'via-branch': 'b1' }),
  ofTwo('by an unknown to-tag', { 'from-tag': 'a', 'to-tag': 'q' }),
  ofTwo('by an unknown from-tag and a via-branch', { 'from-tag': 'q', 'via-branch': 'b1' }),
  ofTwo('by a to-tag and the other via-branch', {
    'from-tag': 'a',
    'to-tag': 'x',
    'via-branch': 'b2',
  }),
  ofEarly('by from-tag', { 'from-tag': 'a' }),
  ofEarly('by via-branch', { 'from-tag': 'a', 'via-branch': 'b1' }),
  ofEarly('by an unknown via-branch', { 'from-tag': 'a', 'via-branch': 'b9' }),
  ofEarly('by an unknown to-tag', { 'from-tag': 'a', 'to-tag': 'x' }),
  ofEarly('by an unknown to-tag and a via-branch', {
    'from-tag': 'a',
    'to-tag': 'x',
    'via-branch': 'b1',
  }),
  sequence(
    'delete of both branches ends the call',
    ...twoBranches(),
    hangUp({ 'from-tag': 'a', 'to-tag': 'x' }),
    hangUp({ 'from-tag': 'a', 'to-tag': 'y' }),
    query(),
  ),
  sequence(
    'delete of the answered of two branches',
    ...forked(),
    answerOf('x', 'b1', 7000),
    hangUp({ 'from-tag': 'a', 'to-tag': 'x' }),
    answerOf('y', 'b2', 7200),
  ),
  sequence(
    'delete with a delay leaves the call for it',
    ...established,
    hangUp({ 'from-tag': 'a', 'delete-delay': 60 }),
    query(),
    probe,
  ),
  sequence(
    'delete with the default delay',
    ...established,
    command('delete', { 'from-tag': 'a' }),
    query(),
    command('delete', { 'from-tag': 'a' }),
  ),
  sequence(
    'delete with a delay that runs out',
    ...established,
    hangUp({ 'from-tag': 'a', 'delete-delay': 1 }),
    wait(3500),
    query(),
  ),
  sequence(
    'delete with a delay, cancelled by an offer',
    ...established,
    hangUp({ 'from-tag': 'a', 'delete-delay': 1 }),
    reoffer(),
    wait(3500),
    query(),
  ),
  sequence(
    'delete without tags and with a delay, cancelled by an offer',
    ...established,
    hangUp({ 'delete-delay': 1 }),
    reoffer(),
    wait(3500),
    query(),
  ),
  sequence(
    'delete delay in other spellings',
    ...established,
    command('delete', { 'from-tag': 'a', 'delete delay': 0 }),
    query(),
  ),
  sequence(
    'delete delay as a string',
    ...established,
    hangUp({ 'from-tag': 'a', 'delete-delay': '0' }),
    query(),
  ),
];
