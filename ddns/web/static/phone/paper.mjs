// A recovery key for paper: 32 letters and digits that somebody writes down, and from which the key is made anew.
//
// 16 octets of chance and 4 by which a slip of the pen is seen, in Crockford's base 32, which has no I, L, O or U. The
// key follows from the chance by HKDF (RFC 5869) and FIPS 186-5 A.2.1; `ddns phone make --paper` makes the same of it.

import { members } from "./jose.mjs";
import { Bad, encode, joined, number, octetsOf, octetsOfNumber, sha256 } from "./octets.mjs";
import { COORDINATE, ORDER, publicOf } from "./p256.mjs";

const LETTERS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CHANCE = 16; // octets
const CHECK = 4; // octets
const WIDE = 48; // octets that are made a number below the order, so that each is as likely as any other
const PURPOSE = "nameplate recovery 1";

export async function write(chance) {
  const all = number(joined(chance, (await checkOf(chance)).subarray(0, CHECK)));
  const text = Array.from({ length: 32 }, (_, place) => LETTERS[Number((all >> BigInt(5 * (31 - place))) & 31n)]);
  return text.join("").match(/..../g).join("-");
}

// Return the chance of a code as somebody has typed it.
export async function read(text) {
  const plain = text.toUpperCase().replace(/[\s-]/g, "").replace(/O/g, "0").replace(/[IL]/g, "1");
  if (plain.length !== 32 || [...plain].some((one) => !LETTERS.includes(one))) {
    throw new Bad("A recovery code has 32 letters and digits, in eight groups of four.");
  }
  let all = 0n;
  for (const one of plain) {
    all = (all << 5n) | BigInt(LETTERS.indexOf(one));
  }
  const octets = octetsOfNumber(all, CHANCE + CHECK);
  const chance = octets.subarray(0, CHANCE);
  const check = (await checkOf(chance)).subarray(0, CHECK);
  if (check.some((one, place) => one !== octets[CHANCE + place])) {
    throw new Bad("There is a slip in this recovery code: compare it with the paper, letter by letter.");
  }
  return chance;
}

const checkOf = (chance) => sha256(joined(octetsOf(PURPOSE), chance));

// Return the key of a code's chance; once made, its private half cannot be read.
export async function keyOf(chance) {
  const base = await crypto.subtle.importKey("raw", chance, "HKDF", false, ["deriveBits"]);
  const how = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(0), info: octetsOf(PURPOSE) };
  const wide = number(new Uint8Array(await crypto.subtle.deriveBits(how, base, 8 * WIDE)));
  const secret = (wide % (ORDER - 1n)) + 1n;
  const shown = publicOf(secret);
  const whole = { ...shown, d: encode(octetsOfNumber(secret, COORDINATE)) };
  const curve = { name: "ECDSA", namedCurve: "P-256" };
  return { private: await crypto.subtle.importKey("jwk", whole, curve, false, ["sign"]), public: members(shown) };
}

export const chance = () => crypto.getRandomValues(new Uint8Array(CHANCE));
