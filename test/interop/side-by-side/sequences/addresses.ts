/** Interfaces, directions and whose address is believed. */
import {
  answer,
  called,
  calleeOffer,
  caller,
  callerAnswer,
  offer,
  query,
  reoffer,
  sequence,
} from '../sequence.js';

const sipSource = { flags: ['SIP-source-address'], 'received-from': ['IP4', '192.0.2.55'] };

export const addressSequences = [
  sequence(
    'direction inwards to outwards',
    offer({}, { direction: ['lo', 'ext'] }),
    answer(called(), { direction: ['ext', 'lo'] }),
    query(),
  ),
  sequence(
    'direction in the offer only',
    offer({}, { direction: ['lo', 'ext'] }),
    answer(),
    query(),
  ),
  sequence(
    'direction outwards to inwards',
    offer({}, { direction: ['ext', 'lo'] }),
    answer(),
    query(),
  ),
  sequence(
    'direction kept by a re-offer without it',
    offer({}, { direction: ['lo', 'ext'] }),
    answer(),
    reoffer(),
    answer(),
    query(),
  ),
  sequence(
    'direction changed by a re-offer and back',
    offer({}, { direction: ['lo', 'ext'] }),
    answer(),
    reoffer({}, { direction: ['ext', 'lo'] }),
    answer(),
    query(),
    reoffer({}, { direction: ['lo', 'ext'] }),
    answer(),
    query(),
  ),
  sequence(
    'direction in a re-offer of the callee',
    offer({}, { direction: ['lo', 'ext'] }),
    answer(),
    calleeOffer(called(), { direction: ['ext', 'lo'] }),
    callerAnswer(),
    query(),
  ),
  sequence('direction unknown', offer({}, { direction: ['nope', 'nix'] }), answer(), query()),
  sequence('direction with one name', offer({}, { direction: ['ext'] }), query()),
  sequence('direction with three names', offer({}, { direction: ['ext', 'ext', 'lo'] }), query()),
  sequence(
    'direction of legacy words',
    offer({}, { direction: ['internal', 'external'] }),
    query(),
  ),
  sequence('direction as a string', offer({}, { direction: 'ext' }), query()),
  sequence(
    'trust-address',
    offer({}, { flags: ['trust-address'], 'received-from': ['IP4', '192.0.2.55'] }),
    answer(),
    query(),
  ),
  sequence(
    'received-from without flag',
    offer({}, { 'received-from': ['IP4', '192.0.2.55'] }),
    answer(),
    query(),
  ),
  sequence(
    'SIP-source-address',
    offer({}, sipSource),
    answer(called(), { flags: ['SIP-source-address'], 'received-from': ['IP4', '192.0.2.66'] }),
    query(),
  ),
  sequence('SIP-source-address in the offer only', offer({}, sipSource), answer(), query()),
  sequence(
    'SIP-source-address and a=rtcp',
    offer(caller(6000, 'a=rtcp:6055 IN IP4 192.0.2.11'), sipSource),
    query(),
  ),
  sequence(
    'SIP-source-address and zero address',
    offer({ address: '0.0.0.0' }, sipSource),
    query(),
  ),
  sequence(
    'SIP-source-address and trust-address',
    offer({}, { ...sipSource, flags: ['trust-address', 'SIP-source-address'] }),
    query(),
  ),
  sequence(
    'trust-address after SIP-source-address',
    offer({}, { ...sipSource, flags: ['SIP-source-address', 'trust-address'] }),
    query(),
  ),
  sequence(
    'SIP-source-address without received-from',
    offer({}, { flags: ['SIP-source-address'] }),
    query(),
  ),
  sequence(
    'SIP-source-address with an unknown family',
    offer({}, { flags: ['SIP-source-address'], 'received-from': ['?', '192.0.2.55'] }),
    query(),
  ),
  sequence(
    'SIP-source-address of IPv6',
    offer({}, { flags: ['SIP-source-address'], 'received-from': ['IP6', '2001:db8::7'] }),
    query(),
  ),
  sequence(
    'SIP-source-address changes between offers',
    offer({}, sipSource),
    offer({}, { flags: ['SIP-source-address'], 'received-from': ['IP4', '192.0.2.56'] }),
    query(),
  ),
];
