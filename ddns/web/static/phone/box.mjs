// A box that waits for a phone (`ddns gateway pair`): it is asked for the key that is printed on it.
//
// The box speaks plain HTTP in the home's own network, which a page of the registry's may not ask. So what is sealed for
// the box goes there behind the # of a link to the box's own page, and what the box has signed comes back likewise.

import { isSame, members, read, seal, sign, thumbprint, verify } from "./jose.mjs";
import { Bad, decode, encode, octetsOf, textOf } from "./octets.mjs";

const ENROLLED = "nameplate-enrolled+jws";
const DOOR = /^(?:http:\/\/)?(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?\/?$/;
const USUAL = 8080; // the port at which a box waits

// Return the address of a box's page, as somebody has typed or scanned it.
export function doorOf(text) {
  const found = DOOR.exec(text.trim());
  if (found === null || Number(found[2] ?? USUAL) > 65_535) {
    throw new Bad("Write where the box is, such as 192.168.1.1, or 192.168.1.1:8080.");
  }
  return `http://${found[1]}:${found[2] ?? USUAL}/nameplate`;
}

// Return the link that brings *fields* to the box, and its answer back to this page at *back*.
export function way(door, fields, back) {
  return `${door}#${new URLSearchParams({ ...fields, back })}`;
}

// Return the question for the box whose code has the key *printed*, sealed for it.
export async function question(printed, owner, { registry, nonce, label, secret }, now) {
  const mine = encode(octetsOf(JSON.stringify(members(owner.public))));
  const asked = { owner: mine, registry, nonce, now, label, secret };
  return seal(octetsOf(JSON.stringify(asked)), printed);
}

// Throw `Bad` unless the wish *text* is by the box that was *asked*, and about what it was asked.
export async function check(text, asked, owner) {
  const wish = read(text);
  const { said } = wish;
  const mine = await thumbprint(owner.public);
  if (said.act !== "enrol" || said.method !== "qr" || said.owner !== mine || (said.label ?? "") !== asked.label) {
    throw notTheBox("it asks for something else than was offered");
  }
  const key = wish.signatures[0].header.jwk;
  if (said.aud !== asked.registry || wish.signatures.length !== 1 || !key || !(await verify(wish, 0, key))) {
    throw notTheBox("its own signature is wrong");
  }
  const proof = read(textOf(decode(said.proof)));
  const printed = proof.signatures[0].header.jwk;
  if (!printed || !isSame(printed, asked.printed) || !(await verify(proof, 0, asked.printed))) {
    throw notTheBox("it does not have the printed key");
  }
  const { nonce, key: about, owner: whose, ...more } = proof.said;
  if (nonce !== asked.nonce || about !== (await thumbprint(key)) || whose !== mine || Object.keys(more).length > 0) {
    throw notTheBox("what it signed is about something else");
  }
}

// Return what the box is told in the end: its home, and where *place* (host and port) takes what it sends.
export function told(answer, place, owner) {
  const { dns = 0, tls = 0 } = answer.update ?? {};
  const said = {
    home: answer.home,
    registry: answer.registry,
    host: place.host,
    port: dns,
    tls,
    name: place.host,
    web: place.port,
  };
  return sign(said, [owner], ENROLLED);
}

function notTheBox(why) {
  return new Bad(`Who answers is not the box whose code was scanned: ${why}; stand before it and scan again.`);
}
