// Signed JSON (RFC 7515), keys and their thumbprints (RFC 7517, RFC 7638), and a question for one key alone (RFC 7516).
//
// The desk reads the same words more strictly: it refuses what a reader like this one could take in two ways.

import { Bad, decode, encode, joined, octetsOf, sha256, textOf } from "./octets.mjs";

export const TYP = "nameplate+jws";
const MOST = 65_536; // characters of a signed message
const ECDSA = { name: "ECDSA", hash: "SHA-256" };
const HEADER = new Set(["alg", "jwk", "kid", "typ"]); // what a header may say here: nothing that changes its meaning

// Return the members of a key that RFC 7638 §3.2 requires, in their order.
export function members(key) {
  if (key?.kty === "EC" && key.crv === "P-256") {
    return { crv: key.crv, kty: key.kty, x: key.x, y: key.y };
  }
  if (key?.kty === "OKP" && key.crv === "Ed25519") {
    return { crv: key.crv, kty: key.kty, x: key.x };
  }
  throw new Bad("This key is neither P-256 nor Ed25519.");
}

export async function thumbprint(key) {
  return encode(await sha256(octetsOf(JSON.stringify(members(key)))));
}

export function isSame(one, other) {
  return JSON.stringify(members(one)) === JSON.stringify(members(other));
}

// Make a key that signs; its private half cannot be read, by this page or by any other.
export async function makeKey() {
  const pair = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, false, ["sign", "verify"]);
  const shown = await crypto.subtle.exportKey("jwk", pair.publicKey);
  return { private: pair.privateKey, public: members(shown) };
}

async function signature(payload, key, typ) {
  const header = encode(octetsOf(JSON.stringify({ alg: "ES256", typ, jwk: key.public })));
  const made = await crypto.subtle.sign(ECDSA, key.private, octetsOf(`${header}.${payload}`));
  return { protected: header, signature: encode(new Uint8Array(made)) };
}

// Return what is *said* (an object), signed by each of *keys*, as general JSON.
export async function sign(said, keys, typ = TYP) {
  const payload = encode(octetsOf(JSON.stringify(said)));
  const signatures = [];
  for (const key of keys) {
    signatures.push(await signature(payload, key, typ));
  }
  return JSON.stringify({ payload, signatures });
}

// Return the signed message *text* with *key*'s signature as the second, over the same octets.
export async function beside(text, key) {
  const { payload, signatures } = read(text);
  const mine = await signature(payload, key, TYP);
  const theirs = signatures.map((one) => ({ protected: one.protected, signature: one.signature }));
  return JSON.stringify({ payload, signatures: [...theirs.slice(0, 1), mine, ...theirs.slice(1)] });
}

function object(text) {
  let found;
  try {
    found = JSON.parse(text);
  } catch {
    throw new Bad("This is no signed message: it is no JSON.");
  }
  if (typeof found !== "object" || found === null || Array.isArray(found)) {
    throw new Bad("This is no signed message: it is no JSON object.");
  }
  return found;
}

// Read general JSON; nothing is verified yet. *said* is what the payload says.
export function read(text) {
  if (text.length > MOST) {
    throw new Bad("This signed message is too long.");
  }
  const { payload, signatures } = object(text);
  if (!Array.isArray(signatures) || signatures.length < 1 || signatures.length > 4) {
    throw new Bad("This is no signed message: it has no signatures.");
  }
  const found = signatures.map((one) => {
    const header = object(textOf(decode(one?.protected)));
    decode(one.signature);
    return { protected: one.protected, signature: one.signature, header };
  });
  return { payload, said: object(textOf(decode(payload))), signatures: found };
}

// Say whether signature *index* was made by the key *jwk*; the curve decides how it is verified.
export async function verify(signed, index, jwk) {
  const { header, protected: shown, signature: made } = signed.signatures[index];
  const key = members(jwk);
  const edwards = key.kty === "OKP";
  if (Object.keys(header).some((one) => !HEADER.has(one)) || header.alg !== (edwards ? "EdDSA" : "ES256")) {
    return false;
  }
  const how = edwards ? { name: "Ed25519" } : { name: "ECDSA", namedCurve: "P-256" };
  let known;
  try {
    known = await crypto.subtle.importKey("jwk", key, how, false, ["verify"]);
  } catch {
    throw new Bad("A key cannot be used: it is no point of its curve, or this browser does not know Ed25519.");
  }
  const octets = octetsOf(`${shown}.${signed.payload}`);
  return crypto.subtle.verify(edwards ? how : ECDSA, known, decode(made), octets);
}

// Return *octets* so that only the owner of the P-256 key *to* (a JWK) can read them: compact, ECDH-ES with A256GCM.
export async function seal(octets, to) {
  const curve = { name: "ECDH", namedCurve: "P-256" };
  const once = await crypto.subtle.generateKey(curve, false, ["deriveBits"]);
  const theirs = await crypto.subtle.importKey("jwk", members(to), curve, false, []);
  const { kty, crv, x, y } = await crypto.subtle.exportKey("jwk", once.publicKey);
  const header = encode(octetsOf(JSON.stringify({ alg: "ECDH-ES", enc: "A256GCM", epk: { kty, crv, x, y } })));
  const shared = await crypto.subtle.deriveBits({ name: "ECDH", public: theirs }, once.privateKey, 256);
  const cipher = await crypto.subtle.importKey("raw", await derived(new Uint8Array(shared)), "AES-GCM", false, [
    "encrypt",
  ]);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const sealed = await crypto.subtle.encrypt({ name: "AES-GCM", iv, additionalData: octetsOf(header) }, cipher, octets);
  const made = new Uint8Array(sealed);
  return [header, "", encode(iv), encode(made.subarray(0, -16)), encode(made.subarray(-16))].join(".");
}

// One round of the Concat KDF (RFC 7518 §4.6.2), with neither party named.
function derived(shared) {
  const four = (value) => new Uint8Array([0, 0, value >> 8, value & 255]);
  const name = octetsOf("A256GCM");
  return sha256(joined(four(1), shared, four(name.length), name, four(0), four(0), four(256)));
}
