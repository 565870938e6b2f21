// Points of the curve P-256 (FIPS 186-5, SP 800-186 §3.2.1.3), as far as WebCrypto leaves them to others: it imports no
// compressed point everywhere, and no private number without its point. Signing and agreeing are WebCrypto's alone.

import { Bad, encode, number, octetsOfNumber } from "./octets.mjs";

const PRIME = 2n ** 256n - 2n ** 224n + 2n ** 192n + 2n ** 96n - 1n;
const B = 0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604bn;
export const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;
const BASE = {
  x: 0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296n,
  y: 0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5n,
};
export const COORDINATE = 32; // octets

const mod = (value) => ((value % PRIME) + PRIME) % PRIME;

function power(base, exponent) {
  let out = 1n;
  for (let square = mod(base), left = exponent; left > 0n; left >>= 1n, square = mod(square * square)) {
    if (left & 1n) {
      out = mod(out * square);
    }
  }
  return out;
}

const inverse = (value) => power(value, PRIME - 2n);
const curve = (x) => mod(x * x * x - 3n * x + B);

function added(one, other) {
  if (one === null || other === null) {
    return one ?? other;
  }
  if (one.x === other.x && one.y !== other.y) {
    return null;
  }
  const slope =
    one.x === other.x
      ? mod((3n * one.x * one.x - 3n) * inverse(2n * one.y))
      : mod((other.y - one.y) * inverse(other.x - one.x));
  const x = mod(slope * slope - one.x - other.x);
  return { x, y: mod(slope * (one.x - x) - one.y) };
}

function jwkOf({ x, y }) {
  return {
    crv: "P-256",
    kty: "EC",
    x: encode(octetsOfNumber(x, COORDINATE)),
    y: encode(octetsOfNumber(y, COORDINATE)),
  };
}

// Return the public key of the private number *secret*, as a JWK.
export function publicOf(secret) {
  if (secret < 1n || secret >= ORDER) {
    throw new Bad("This is no private key of P-256.");
  }
  let out = null;
  for (let left = secret, point = BASE; left > 0n; left >>= 1n, point = added(point, point)) {
    if (left & 1n) {
      out = added(out, point);
    }
  }
  return jwkOf(out);
}

// Return the key of a point in octets, compressed or not (SEC 1 §2.3.4), as a JWK.
export function readPoint(octets) {
  const [form] = octets;
  const x = number(octets.subarray(1, 1 + COORDINATE));
  if ((form === 2 || form === 3) && octets.length === 1 + COORDINATE && x < PRIME) {
    const root = power(curve(x), (PRIME + 1n) / 4n);
    const y = (root & 1n) === BigInt(form & 1) ? root : mod(-root);
    if (mod(y * y) === curve(x)) {
      return jwkOf({ x, y });
    }
  }
  if (form === 4 && octets.length === 1 + 2 * COORDINATE) {
    const y = number(octets.subarray(1 + COORDINATE));
    if (x < PRIME && y < PRIME && mod(y * y) === curve(x)) {
      return jwkOf({ x, y });
    }
  }
  throw new Bad("This is no point of the curve P-256.");
}
