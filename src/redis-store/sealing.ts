/**
 * What is secret of a stored call (`--redis-encrypt-keys`): SRTP keys, private keys, passwords of ICE. Of each
 * entity these fields are written as one, `rtprelay_sealed`, encrypted and bound to the call and the entity
 * (AES-256-GCM, a key of its own for each call). rtpengine sees an entity without keys.
 */
import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto';
import type { GroupKind, Members, Output, DependsOn } from './encode-output.js';
import { RestoreError } from './errors.js';
import { Fields } from './fields.js';
import type { ItemList } from './item-list.js';
import { extraFields, type Member, type Secrets } from './schema.js';

/** A key of the key file. */
export interface SealingKey {
  /** Letters, digits, `-` and `_`. */
  readonly name: string;
  /** 32 bytes */
  readonly key: Buffer;
}

const nonceBytes = 12;
const tagBytes = 16;
/** Of keys, certificates and candidates of one media. */
const maxSealedBytes = 256 * 1024;

const keyField = /-(?:crypto_suite|master_key|master_salt|unenc-srtp|unenc-srtcp|unauth-srtp|mki)$/;

const isSecret = (name: string): boolean =>
  name === extraFields.identity ||
  name === extraFields.ice ||
  name === extraFields.agreed ||
  name === extraFields.formerKey ||
  keyField.test(name);

function keyOfCall({ key }: SealingKey, callId: string): Buffer {
  const info = Buffer.from(`rtprelay call ${callId}`, 'latin1').subarray(0, 1024);
  return Buffer.from(hkdfSync('sha256', key, '', info, 32));
}

const boundTo = (callId: string, member: string): Buffer =>
  Buffer.from(`${callId}\0${member}`, 'latin1');

/** Thread: control. */
export class SecretBox implements Secrets {
  #keys: readonly SealingKey[] = [];

  /** @param keys the first one encrypts, all of them decrypt. @throws RangeError: there is none. */
  constructor(keys: readonly SealingKey[]) {
    this.replace(keys);
  }

  /** Other keys from now on. @throws RangeError: there is none. */
  replace(keys: readonly SealingKey[]): void {
    if (keys.length === 0) throw new RangeError('at least one key is needed');
    this.#keys = keys;
  }

  get #current(): SealingKey {
    const [first] = this.#keys;
    if (first === undefined) throw new RangeError('at least one key is needed');
    return first;
  }

  get currentName(): string {
    return this.#current.name;
  }

  sealed(callId: string, member: string, fields: Fields): Fields {
    const { entries } = fields;
    const secrets = entries.filter(([name]) => isSecret(name));
    if (secrets.length === 0) return fields;
    const rest = new Fields();
    for (const [name, value] of entries) if (!isSecret(name)) rest.put(name, value);
    const current = this.#current;
    const nonce = randomBytes(nonceBytes);
    const cipher = createCipheriv('aes-256-gcm', keyOfCall(current, callId), nonce);
    cipher.setAAD(boundTo(callId, member));
    const text = Buffer.from(JSON.stringify(secrets), 'latin1');
    const body = Buffer.concat([cipher.update(text), cipher.final()]);
    const whole = Buffer.concat([nonce, cipher.getAuthTag(), body]).toString('base64');
    rest.put(extraFields.sealed, `${current.name}:${whole}`);
    return rest;
  }

  opened(callId: string, member: string, sealed: string): readonly (readonly [string, string])[] {
    const [name = '', text = ''] = sealed.split(':');
    const known = this.#keys.find((key) => key.name === name);
    if (known === undefined) throw new RestoreError(unknownKey, `${member}: ${name.slice(0, 64)}`);
    const whole = Buffer.from(text, 'base64');
    if (whole.length < nonceBytes + tagBytes || whole.length > maxSealedBytes) {
      throw new RestoreError(unreadable, member);
    }
    try {
      const nonce = whole.subarray(0, nonceBytes);
      const decipher = createDecipheriv('aes-256-gcm', keyOfCall(known, callId), nonce);
      decipher.setAAD(boundTo(callId, member));
      decipher.setAuthTag(whole.subarray(nonceBytes, nonceBytes + tagBytes));
      const body = decipher.update(whole.subarray(nonceBytes + tagBytes));
      const bytes = Buffer.concat([body, decipher.final()]);
      return pairsOf(JSON.parse(bytes.toString('latin1')));
    } catch (cause) {
      throw new RestoreError(unreadable, member, { cause });
    }
  }
}

const unknownKey = 'its keys are encrypted by a key that is not in --redis-encrypt-keys';
const unreadable = 'its encrypted keys were changed, or belong to another call';

/** Of a value that has some, where there is no box. */
export const noKeysError = (member: string): RestoreError => new RestoreError(unknownKey, member);

function pairsOf(value: unknown): readonly (readonly [string, string])[] {
  if (!Array.isArray(value)) throw new TypeError('no list');
  return value.map((pair: unknown) => {
    const [name, text] = Array.isArray(pair) ? (pair as readonly unknown[]) : [];
    if (typeof name !== 'string' || typeof text !== 'string') throw new TypeError('no pair');
    return [name, text] as const;
  });
}

/** Writes what is given to it, its secrets encrypted. */
export class SealingOutput implements Output {
  constructor(
    private readonly to: Output,
    private readonly secrets: Secrets,
    private readonly callId: string,
  ) {}

  member(name: string, value: Member): void {
    this.to.member(name, this.#sealed(name, value));
  }

  group(kind: GroupKind, at: number, on: DependsOn, make: () => Members): void {
    this.to.group(kind, at, on, () =>
      make().map(([name, value]) => [name, this.#sealed(name, value)] as const),
    );
  }

  fact(kind: GroupKind, at: number, on: DependsOn, make: () => boolean): boolean {
    return this.to.fact(kind, at, on, make);
  }

  each(kind: GroupKind, count: number, visit: (at: number) => void): void {
    this.to.each(kind, count, visit);
  }

  #sealed<Value extends Member | ItemList>(name: string, value: Value): Value | Fields {
    return value instanceof Fields ? this.secrets.sealed(this.callId, name, value) : value;
  }
}
