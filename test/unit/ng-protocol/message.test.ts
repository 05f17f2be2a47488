import { expect } from 'chai';
import { errorReply, NgError } from '../../../src/ng-protocol/errors.js';
import {
  decodeBody,
  encodeReply,
  encodingOf,
  splitMessage,
} from '../../../src/ng-protocol/message.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');
const reasonOf = (body: string): string => {
  try {
    decodeBody(bytes(body));
  } catch (error) {
    if (error instanceof NgError) return error.message;
    throw error;
  }
  return '';
};

describe('an NG message', () => {
  it('is split at its first space', () => {
    const message = splitMessage(bytes('a_1 d1:a1: e'));
    expect(message?.cookie).to.equal('a_1');
    expect(message?.body.toString()).to.equal('d1:a1: e');
  });

  it('without a space or with nothing before it has no cookie', () => {
    for (const text of ['', 'ping', ' d7:command4:pinge', 'x\nde']) {
      expect(splitMessage(bytes(text)), text).to.equal(null);
    }
  });

  it('has the framing errors of rtpengine', () => {
    expect(reasonOf('')).to.equal('Invalid data (no payload)');
    expect(reasonOf('d7:commandx')).to.equal('Could not decode bencode dictionary');
    expect(reasonOf('l1:ae')).to.equal('Invalid NG data format');
    expect(reasonOf(' de')).to.equal('Invalid NG data format');
    expect(reasonOf('i1e')).to.equal('Invalid NG data format');
    expect(reasonOf('{')).to.equal('Failed to parse JSON document');
    expect(reasonOf('de')).to.equal('');
  });

  it('is answered in its own encoding', () => {
    expect(encodingOf(bytes('{x'))).to.equal('json');
    expect(encodingOf(bytes('x'))).to.equal('bencode');
    expect(encodingOf(bytes(''))).to.equal('bencode');
    const reply = errorReply('No');
    expect(encodeReply('c', reply, 'bencode').toString()).to.equal(
      'c d6:result5:error12:error-reason2:Noe',
    );
    expect(encodeReply('c', reply, 'json').toString()).to.equal(
      'c {"result":"error","error-reason":"No"}',
    );
    expect(encodeReply(null, reply, 'json').toString()).to.equal(
      '{"result":"error","error-reason":"No"}',
    );
  });
});
