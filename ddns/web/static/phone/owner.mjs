// An owner and what he does with it: keys, the wish of a box, and statements. No page is needed for any of it.
//
// *store* keeps keys and what is under way, as `keys.mjs` does in a browser. *back* is this page's own address.

import * as box from "./box.mjs";
import * as dpp from "./dpp.mjs";
import { beside, makeKey, read, thumbprint, verify } from "./jose.mjs";
import { Bad, encode, octetsOf, sha256, textOf, decode } from "./octets.mjs";
import * as paper from "./paper.mjs";

const DAY = 86_400; // seconds
const SECRET = 32; // octets of a release's secret
const ACCEPTED = new Set(["enrol", "replace", "bind-owner"]); // what a gateway signs first, and its owner beside it

export class Owner {
  constructor({ desk, store, back }) {
    this.desk = desk;
    this.store = store;
    this.back = back;
    this.code = null; // the recovery code, until it has been written down
  }

  // Return who this is: the key's public half, and whether its recovery key is on paper; null: nobody yet.
  async who() {
    const key = await this.store.get("owner");
    return key ? { key: key.public, thumbprint: await thumbprint(key.public), safe: await this.isSafe() } : null;
  }

  async isSafe() {
    return (await this.store.get("paper")) !== undefined;
  }

  // Make the owner's key, once, and a recovery key; return the code of the latter, which is shown this once.
  async begin() {
    if (await this.isSafe()) {
      throw new Bad("There is a recovery key on paper already.");
    }
    if (!(await this.store.get("owner"))) {
      await this.store.put("owner", await makeKey());
    }
    const chance = paper.chance();
    await this.store.put("recovery", await paper.keyOf(chance));
    this.code = await paper.write(chance);
    return this.code;
  }

  // Take the word of the person that the code is on paper: *last* is the last group of it, as it stands there.
  async written(last) {
    if (this.code === null || last.trim().toUpperCase() !== this.code.slice(-4)) {
      throw new Bad("That is not the last group of the code. Write all of it down, then type its last four letters.");
    }
    const key = await this.store.get("recovery");
    await this.store.put("paper", { thumbprint: await thumbprint(key.public), known: false });
    this.code = null;
  }

  async mine() {
    const key = await this.store.get("owner");
    if (!key || !(await this.isSafe())) {
      throw new Bad("First make your key, and write its recovery code down.");
    }
    return key;
  }

  // Ask the box at *door* with the printed *code*; return the link that brings the question there.
  async scan({ code, door, registry, label = "", secret = "" }) {
    const owner = await this.mine();
    const { key: printed } = dpp.read(code);
    const where = box.doorOf(door);
    const nonce = await this.desk.nonce();
    const asked = { printed, door: where, registry: whole(registry), nonce, label, secret };
    const challenge = await box.question(printed, owner, asked, this.desk.now());
    await this.store.remove("wish");
    await this.store.put("asked", asked);
    return box.way(where, { challenge }, this.back);
  }

  // Take what came back from the box; return what it asks for, and the name that it would get.
  async hear(fields) {
    const asked = await this.store.get("asked");
    if (!asked) {
      throw new Bad("No box was asked; scan the code on the box.");
    }
    if (fields.refused !== undefined) {
      throw new Bad(`The box says: ${fields.refused.slice(0, 400)}`);
    }
    const text = textOf(decode(fields.wish ?? ""));
    await box.check(text, asked, await this.mine());
    const offered = await this.desk.offer(text);
    await this.store.put("wish", { text, door: asked.door });
    return { act: "enrol", registry: asked.registry, home: offered.home, unicode: offered.unicode };
  }

  // Read what a gateway has signed, for its owner to accept; return what it asks for.
  async request(given) {
    const text = given.trim();
    const signed = read(text);
    const key = signed.signatures[0].header.jwk;
    const { said } = signed;
    if (!ACCEPTED.has(said.act) || !key || !(await verify(signed, 0, key))) {
      throw new Bad("This is nothing that an owner accepts: it has to be what a gateway has signed for its owner.");
    }
    const offered = said.act === "enrol" ? await this.desk.offer(text) : { home: said.sub, unicode: "" };
    await this.store.put("wish", { text, door: "" });
    return { act: said.act, registry: said.aud, home: offered.home, unicode: offered.unicode };
  }

  // Sign beside the gateway what is to be accepted, and send it; return the home, and what waits to be told to the box.
  async accept() {
    const owner = await this.mine();
    const wish = await this.store.get("wish");
    if (!wish) {
      throw new Bad("Nothing waits to be accepted; scan the code on the box.");
    }
    const { said } = read(wish.text);
    const signed = await beside(wish.text, owner);
    const answer = await this.desk.post(said.act === "enrol" ? "/v1/enrol" : "/v1/statements", signed);
    await this.store.remove("wish");
    await this.store.remove("asked");
    await this.learn(said.aud);
    if (wish.door) {
      await this.store.put("told", { door: wish.door, text: await box.told(answer, this.place(), owner) });
    }
    return answer.home || said.sub;
  }

  place() {
    const { hostname, port } = new URL(this.back);
    return { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port || 443) };
  }

  // Return the link that tells the box of its home; null: there is none to be told.
  async tell() {
    const waiting = await this.store.get("told");
    return waiting ? box.way(waiting.door, { enrolled: encode(octetsOf(waiting.text)) }, this.back) : null;
  }

  async heardOfHome() {
    await this.store.remove("told");
  }

  // Remember a registry in which this owner has something, and have it know the recovery key.
  async learn(registry) {
    const known = (await this.store.get("registries")) ?? [];
    await this.store.put("registries", [...new Set([...known, whole(registry)])]);
    await this.settle();
  }

  // Have the registry know the recovery key, then forget its private half: it is on paper. Say whether that is done.
  async settle() {
    const key = await this.store.get("recovery");
    const safe = await this.store.get("paper");
    const [registry] = (await this.store.get("registries")) ?? [];
    if (safe?.known || !key || !safe || !registry) {
      return safe?.known ?? false;
    }
    const owner = await this.store.get("owner");
    const fields = { act: "add-owner-key", role: "recovery", note: "on paper" };
    try {
      await this.desk.say(registry, "", fields, [owner, key]);
    } catch (error) {
      if (!(error instanceof Bad)) {
        throw error;
      }
      return false; // it is tried again when the page is opened
    }
    await this.store.put("paper", { ...safe, known: true });
    await this.store.remove("recovery");
    return true;
  }

  // Begin to have this key in the place of the lost ones, by the *code* on paper; return when it is over.
  async recover(code, registry) {
    const owner = await this.mine();
    const old = await paper.keyOf(await paper.read(code));
    const { due } = await this.desk.say(whole(registry), "", { act: "recover" }, [old, owner]);
    const known = (await this.store.get("registries")) ?? [];
    await this.store.put("registries", [...new Set([...known, whole(registry)])]);
    return due;
  }

  // Return what this owner has in all registries: homes, each as the desk shows it, and notices, the newest first.
  async look() {
    const key = await this.mine();
    const homes = [];
    const notices = [];
    for (const registry of (await this.store.get("registries")) ?? []) {
      const reader = await this.desk.reader(registry, key);
      for (const one of await pages(reader, "/v1/homes?limit=100", "homes")) {
        homes.push({ registry, ...(await reader(`/v1/homes/${encodeURIComponent(one.home)}`)) });
      }
      notices.push(...(await pages(reader, "/v1/notices?limit=100", "notices")));
    }
    return { homes, notices: notices.sort((one, other) => other.at - one.at || other.id - one.id) };
  }

  // Say *act* about *home*, with its own *fields*; return what has happened.
  async say(act, home, fields = {}) {
    const key = await this.mine();
    const registry = ((await this.store.get("registries")) ?? []).find((one) => home.endsWith(`.${one}`));
    if (!registry) {
      throw new Bad("This home is in no registry that this page knows.");
    }
    return this.desk.say(registry, home, { ...fields, act }, [key]);
  }

  // Let the box of *home* go to whoever has the secret that is returned, for so many days.
  async release(home, days) {
    const secret = crypto.getRandomValues(new Uint8Array(SECRET));
    const bearer = encode(await sha256(secret));
    await this.say("release", home, { bearer, until: this.desk.now() + days * DAY });
    return encode(secret);
  }

  // Object to the recovery that somebody else has begun.
  async objectRecovery() {
    const key = await this.mine();
    for (const registry of (await this.store.get("registries")) ?? []) {
      await this.desk.say(registry, "", { act: "object-recovery" }, [key]);
    }
  }
}

// Return a whole name, with its last dot.
function whole(name) {
  const text = name.trim().toLowerCase().replace(/\.$/, "");
  if (!/^[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*$/.test(text)) {
    throw new Bad("Say which registry it is: the name below which its homes are.");
  }
  return `${text}.`;
}

const MOST_PAGES = 20;

async function pages(reader, path, what) {
  const found = [];
  let next = "";
  for (let count = 0; count < MOST_PAGES; count += 1) {
    const page = await reader(next ? `${path}&after=${encodeURIComponent(next)}` : path);
    found.push(...page[what]);
    if (page[what].length === 0 || !page.next) {
      break;
    }
    next = page.next;
  }
  return found;
}
