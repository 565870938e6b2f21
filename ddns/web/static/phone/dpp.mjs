// The text of the code on a box, in the form of Wi-Fi Easy Connect (DPP §5.2.1): only its key is needed here.

import { Bad, decodePlain } from "./octets.mjs";
import { readPoint } from "./p256.mjs";

const MOST = 1024; // characters
const MOST_VALUE = 512;
const FIELD = /^([A-Z]):([\x20-\x3a\x3c-\x7e]*)$/;
const HEX = (text) => Uint8Array.from(text.match(/../g), (one) => parseInt(one, 16));
// A SubjectPublicKeyInfo on P-256 (RFC 5480 §2) before its point, which is compressed, or is not.
const HEADS = [
  HEX("3039301306072a8648ce3d020106082a8648ce3d030107032200"),
  HEX("3059301306072a8648ce3d020106082a8648ce3d030107034200"),
];

// Return the key of the code as a JWK, and what it says of the box.
export function read(given) {
  const text = given.trim();
  if (text.length > MOST || !text.startsWith("DPP:") || !text.endsWith(";")) {
    throw new Bad("This is no code of a box: it begins with DPP: and ends with a semicolon.");
  }
  const fields = new Map();
  for (const part of text.slice(4, text.endsWith(";;") ? -2 : -1).split(";")) {
    const found = FIELD.exec(part);
    if (found === null || found[2].length > MOST_VALUE || fields.has(found[1])) {
      throw new Bad("This is no code of a box: one of its fields cannot be read. Scan it again.");
    }
    fields.set(found[1], found[2]);
  }
  if (!fields.has("K")) {
    throw new Bad("This is no code of a box: it holds no key. Scan it again.");
  }
  return { key: keyOf(decodePlain(fields.get("K"))), information: fields.get("I") ?? "" };
}

function keyOf(octets) {
  for (const head of HEADS) {
    if (octets.length > head.length && head.every((one, place) => octets[place] === one)) {
      return readPoint(octets.subarray(head.length));
    }
  }
  throw new Bad("The key in this code is not on the curve P-256. Scan it again.");
}
