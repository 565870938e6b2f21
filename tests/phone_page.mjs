// Runs the modules of the page /phone without a browser: a line of JSON in, a line of JSON out, until stdin ends.
//
// Nothing of the page's own is replaced: what keeps keys is a Map instead of IndexedDB, and `fetch` believes the one
// certificate that it is given, as a browser believes its authorities.

import https from "node:https";
import { createInterface } from "node:readline";

const STATIC = new URL("../ddns/web/static/", import.meta.url);
const part = (name) => import(new URL(`phone/${name}.mjs`, STATIC));
const modules = {
  invitation: await import(new URL("invitation.mjs", STATIC)),
  door: await import(new URL("../ddns/gateway/static/door.mjs", import.meta.url)),
};
for (const name of ["box", "desk", "dpp", "jose", "octets", "owner", "p256", "paper", "words"]) {
  modules[name] = await part(name);
}
const owners = new Map();

class Kept {
  constructor() {
    this.things = new Map();
  }
  async get(name) {
    return this.things.get(name);
  }
  async put(name, value) {
    structuredClone(value); // what IndexedDB could not keep fails here too
    this.things.set(name, value);
  }
  async remove(name) {
    this.things.delete(name);
  }
}

// Return something like `fetch` for the desk at *base*, which shows the certificate *ca* under whatever name.
function fetching(base, ca) {
  return (path, { method, body, headers }) =>
    new Promise((resolve, reject) => {
      const how = { method, headers, ca, checkServerIdentity: () => undefined, agent: false };
      const request = https.request(new URL(path, base), how, (answer) => {
        const pieces = [];
        answer.on("data", (piece) => pieces.push(piece));
        answer.on("error", reject);
        answer.on("end", () => {
          const { statusCode: status, headers: told } = answer;
          resolve(new Response(status === 204 ? null : Buffer.concat(pieces), { status, headers: { date: told.date } }));
        });
      });
      request.on("error", reject);
      request.end(body);
    });
}

const revived = (value) =>
  JSON.parse(JSON.stringify(value), (_, one) => (typeof one?.octets === "string" ? modules.octets.decode(one.octets) : one));
const told = (value) => (value instanceof Uint8Array ? { octets: modules.octets.encode(value) } : value);

const does = {
  // Call a function of a module.
  async call({ name, args }) {
    const [module, verb] = name.split(".");
    return told(await modules[module][verb](...revived(args)));
  },
  async point({ secret }) {
    return modules.p256.publicOf(BigInt(secret));
  },
  // Make keys and sign with them.
  async sign({ said, count, typ }) {
    const keys = [];
    for (let place = 0; place < count; place += 1) {
      keys.push(await modules.jose.makeKey());
    }
    return { text: await modules.jose.sign(said, keys, typ), keys: keys.map((one) => one.public) };
  },
  async beside({ text }) {
    const key = await modules.jose.makeKey();
    return { text: await modules.jose.beside(text, key), key: key.public };
  },
  async verify({ text, index, key }) {
    return modules.jose.verify(modules.jose.read(text), index, key);
  },
  // Make the key of a recovery code, sign with it, and say whether its private half could be read.
  async paper({ code, said }) {
    const key = await modules.paper.keyOf(await modules.paper.read(code));
    return { text: await modules.jose.sign(said, [key]), key: key.public, readable: key.private.extractable };
  },
  // Have a person with a page of his own; *late* is by how many seconds his clock is behind.
  async person({ who, base, ca, back, late = 0 }) {
    const desk = new modules.desk.Desk(fetching(base, ca), () => Date.now() - 1000 * late);
    owners.set(who, new modules.owner.Owner({ desk, store: new Kept(), back }));
  },
  // Call a method of a person's page.
  async owner({ who, verb, args }) {
    return owners.get(who)[verb](...args);
  },
  // Say which keys a page keeps, and whether their private halves can be read.
  async kept({ who }) {
    const things = [...owners.get(who).store.things];
    return Object.fromEntries(things.map(([name, value]) => [name, value?.private?.extractable ?? "no key"]));
  },
  // Go where a link leads: to a box's page, which goes back to the other.
  async follow({ link }) {
    const { origin, hash } = new URL(link);
    const back = await modules.door.carry(hash, (path, how) => fetch(new URL(path, origin), how));
    return back === null ? null : Object.fromEntries(new URLSearchParams(new URL(back).hash.slice(1)));
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const asked = JSON.parse(line);
  let answer;
  try {
    answer = { value: (await does[asked.do](asked)) ?? null };
  } catch (error) {
    answer = { wrong: error.message, code: error.code ?? "", told: error instanceof modules.octets.Bad };
  }
  console.log(JSON.stringify(answer));
}
