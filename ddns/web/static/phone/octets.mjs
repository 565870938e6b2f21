// Octets and their spellings: base64url without padding (RFC 4648 §5), as JOSE has it, and plain base64.

// What is told to the person; every other error is a mistake of this program.
export class Bad extends Error {}

const WRITTEN = new TextEncoder();
const READ = new TextDecoder("utf-8", { fatal: true });

export const octetsOf = (text) => WRITTEN.encode(text);

export function textOf(octets) {
  try {
    return READ.decode(octets);
  } catch {
    throw new Bad("This is no text in UTF-8.");
  }
}

export function encode(octets) {
  let text = "";
  for (const one of octets) {
    text += String.fromCharCode(one);
  }
  return btoa(text).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

// Read base64url; each value has one spelling, so that nothing signed can be spelled in two ways.
export function decode(text) {
  if (typeof text !== "string" || !/^[A-Za-z0-9_-]*$/.test(text) || text.length % 4 === 1) {
    throw new Bad("This is no base64url.");
  }
  const octets = Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0));
  if (encode(octets) !== text) {
    throw new Bad("This base64url has bits that mean nothing.");
  }
  return octets;
}

// Read plain base64, with padding (RFC 4648 §4).
export function decodePlain(text) {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(text)) {
    throw new Bad("This is no base64.");
  }
  return Uint8Array.from(atob(text), (one) => one.charCodeAt(0));
}

export function joined(...parts) {
  const all = new Uint8Array(parts.reduce((sum, one) => sum + one.length, 0));
  let at = 0;
  for (const one of parts) {
    all.set(one, at);
    at += one.length;
  }
  return all;
}

export function number(octets) {
  let value = 0n;
  for (const one of octets) {
    value = (value << 8n) | BigInt(one);
  }
  return value;
}

export function octetsOfNumber(value, length) {
  const out = new Uint8Array(length);
  for (let place = length - 1; place >= 0; place -= 1) {
    out[place] = Number(value & 255n);
    value >>= 8n;
  }
  return out;
}

export async function sha256(octets) {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", octets));
}
