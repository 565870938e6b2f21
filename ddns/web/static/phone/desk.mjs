// The registry's desk as a phone speaks to it: statements go there, and what is one's own is read.

import { sign } from "./jose.mjs";
import { Bad } from "./octets.mjs";

export const MINUTES = 900; // seconds that a statement may be good for
const SLOW = 5; // seconds by which a clock may be wrong before that is minded
const STATEMENT = { "Content-Type": "application/jose+json" };

// What the desk has refused: its sentence, and the *code* by which programs know it.
export class Refused extends Bad {
  constructor(status, { code = "", detail = "" }) {
    super(detail || `The registry answered ${status}; try again later.`);
    this.code = code;
  }
}

export class Desk {
  // *ask* is `fetch`, or something like it; *clock* tells the milliseconds since 1970.
  constructor(ask, clock) {
    this.ask = ask;
    this.clock = clock;
    this.behind = 0; // seconds that our clock is behind the registry's
  }

  now() {
    return Math.floor(this.clock() / 1000) + this.behind;
  }

  // Send one request, and return the JSON that is answered. Throws `Refused`, and `Bad` where nobody answers.
  async send(method, path, body, headers = {}) {
    let answer;
    let members;
    try {
      answer = await this.ask(path, { method, body, headers, cache: "no-store", redirect: "error" });
      const text = await answer.text();
      members = text ? JSON.parse(text) : {};
    } catch {
      throw new Bad("The registry does not answer; try again when there is an Internet connection.");
    }
    if (!answer.ok) {
      const refused = new Refused(answer.status, members);
      refused.at = Date.parse(answer.headers.get("date") ?? "") / 1000;
      throw refused;
    }
    this.tick(Date.parse(answer.headers.get("date") ?? "") / 1000);
    return members;
  }

  // Set the clock by the registry's, which is *at*; say whether it was wrong.
  tick(at) {
    const wrong = Number.isFinite(at) && Math.abs(at - this.now()) > SLOW;
    if (wrong) {
      this.behind += Math.round(at - this.now());
    }
    return wrong;
  }

  post(path, text) {
    return this.send("POST", path, text, STATEMENT);
  }

  // Sign the statement that *make* makes of the common fields, and post it; once more where only our clock was wrong.
  async say(registry, home, fields, keys) {
    const made = () => sign(this.statement(registry, home, fields), keys);
    try {
      return await this.post("/v1/statements", await made());
    } catch (error) {
      if (error.code !== "statement-stale" || !this.tick(error.at)) {
        throw error;
      }
      return this.post("/v1/statements", await made());
    }
  }

  statement(registry, home, fields) {
    const jti = Array.from(crypto.getRandomValues(new Uint8Array(16)), (one) => one.toString(16).padStart(2, "0"));
    const iat = this.now();
    return { ...fields, aud: registry, sub: home, iat, exp: iat + MINUTES, jti: jti.join("") };
  }

  async nonce() {
    const { nonce } = await this.send("POST", "/v1/nonces", "{}", { "Content-Type": "application/json" });
    return nonce;
  }

  // Return the zones in which the code of a box is enough to enrol.
  async registries() {
    return (await this.send("GET", "/v1/registries")).registries;
  }

  // Ask which name the wish *text* would get; with *label* whether it could have that one.
  offer(text, label = "") {
    const asked = label ? `?label=${encodeURIComponent(label)}` : "";
    return this.post(`/v1/labels/offer${asked}`, text);
  }

  // Return a reader of what belongs to the owner whose *key* signs: a function of a path.
  async reader(registry, key) {
    const { token } = await this.say(registry, "", { act: "token" }, [key]);
    return (path) => this.send("GET", path, undefined, { Authorization: `Bearer ${token}` });
  }
}
