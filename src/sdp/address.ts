/** IP addresses as text: one spelling for each, so that addresses compare as strings. */
import { SocketAddress } from 'node:net';

/** Longest form without zone: `0000:…:0000:255.255.255.255`. */
const longestIpv6 = 45;

/**
 * The address that `text` means, as inet_ntop(3) writes it (RFC 5952); null: it is none. Padded numbers
 * are decimal, brackets and a zone (RFC 6874; it names a link of another machine) fall away, and an
 * IPv4 address mapped into IPv6 (RFC 4291 §2.5.5.2) is that IPv4 address: sockets are of one family.
 */
export function canonicalAddress(text: string): string | null {
  return text.includes(':') ? canonicalIpv6(text) : canonicalIpv4(text);
}

function canonicalIpv4(text: string): string | null {
  if (text.length > 15) return null;
  let dots = 0;
  let digits = 0;
  let number = 0;
  let padded = false;
  for (let at = 0; at < text.length; at++) {
    const digit = text.charCodeAt(at) - 48;
    if (digit >= 0 && digit <= 9) {
      if (digits > 0 && number === 0) padded = true;
      number = number * 10 + digit;
      digits++;
      if (digits > 3 || number > 255) return null;
    } else {
      // A dot (46).
      if (digit !== -2 || digits === 0) return null;
      dots++;
      digits = 0;
      number = 0;
    }
  }
  if (dots !== 3 || digits === 0) return null;
  return padded ? text.split('.').map(Number).join('.') : text;
}

const mapped = '::ffff:';

function canonicalIpv6(text: string): string | null {
  const inside = text.startsWith('[') && text.endsWith(']') ? text.slice(1, -1) : text;
  const zone = inside.indexOf('%');
  if (zone >= 0 && !/^%[\w.-]{1,15}$/.test(inside.slice(zone))) return null;
  const address = zone < 0 ? inside : inside.slice(0, zone);
  if (address.length > longestIpv6 || !/^[\da-fA-F:.]+$/.test(address)) return null;
  let written: string;
  try {
    written = new SocketAddress({ address, family: 'ipv6' }).address;
  } catch {
    return null;
  }
  if (!written.startsWith(mapped)) return written;
  return canonicalIpv4(written.slice(mapped.length)) ?? written;
}

/** 0.0.0.0 and ::, which name no place. */
export function isZeroAddress(address: string): boolean {
  return address === '0.0.0.0' || address === '::';
}
