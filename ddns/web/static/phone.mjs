// The page /phone: an owner's key in a browser. All that it does is in `Owner`; here it meets buttons and fields.
//
// Whatever somebody else has written is shown as text, never as a part of the page.

import { read as readInvitation } from "./invitation.mjs";
import { Desk } from "./phone/desk.mjs";
import { members } from "./phone/jose.mjs";
import { Keys } from "./phone/keys.mjs";
import { Bad } from "./phone/octets.mjs";
import { Owner } from "./phone/owner.mjs";
import { asks, bare, day, notice, shown } from "./phone/words.mjs";

const DAYS = 30; // for which a box is let go

const place = (name) => document.getElementById(name);
const typed = (name) => place(name).value.trim();

function show(name, visible = true) {
  place(name).hidden = !visible;
}

function say(name, text) {
  place(name).textContent = text;
  show(name, text !== "");
}

// Have *work* done when the button *name* is pressed, once at a time; what goes wrong is said.
function press(button, work) {
  button.addEventListener("click", async () => {
    button.disabled = true;
    await tried(work);
    button.disabled = false;
  });
}

async function tried(work) {
  say("wrong", "");
  say("done", "");
  try {
    await work();
  } catch (error) {
    say("wrong", error instanceof Bad ? error.message : "Something went wrong here; open the page again.");
    if (!(error instanceof Bad)) {
      console.error(error);
    }
    place("wrong").scrollIntoView();
  }
}

function element(name, text) {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function button(text, work) {
  const made = element("button", text);
  made.type = "button";
  press(made, work);
  return made;
}

class Page {
  constructor(owner) {
    this.owner = owner;
  }

  // Read what a link has brought behind its #, which is taken away: no history keeps it.
  brought() {
    const hash = location.hash;
    history.replaceState(null, "", location.pathname);
    if (hash.startsWith("#DPP:")) {
      return { code: decodeURIComponent(hash.slice(1)) };
    }
    const invitation = readInvitation(hash);
    return invitation === null ? Object.fromEntries(new URLSearchParams(hash.slice(1))) : { invitation };
  }

  async open() {
    const fields = this.brought();
    for (const name of ["code", "box", "label", "registry", "secret"]) {
      place(name === "code" ? "scanned" : name).value = fields[name] ?? "";
    }
    this.buttons();
    await this.refresh();
    await tried(() => this.answer(fields));
  }

  // Go on where a box, or an invitation, has brought us.
  async answer(fields) {
    if (fields.wish !== undefined || (fields.refused !== undefined && !(await this.owner.tell()))) {
      this.ask(await this.owner.hear(fields));
    } else if (fields.said !== undefined && (await this.owner.tell())) {
      await this.owner.heardOfHome();
      show("telling", false);
      say("done", `The box says: ${fields.said.slice(0, 400)}`);
    } else if (fields.refused !== undefined) {
      throw new Bad(`The box says: ${fields.refused.slice(0, 400)}`);
    } else if (fields.invitation) {
      const { home, registry, line } = fields.invitation;
      place("registry").value = registry;
      say("done", `An invitation for ${home}. Give your gateway this line, and owner.jwk from below: ${line}`);
    }
  }

  async refresh() {
    const who = await this.owner.who();
    show("nothing", false);
    show("start", who === null || !who.safe);
    show("main", who !== null && who.safe);
    show("telling", (await this.owner.tell()) !== null);
    if (who === null || !who.safe) {
      return;
    }
    say("jwk", JSON.stringify(members(who.key)));
    say("thumbprint", who.thumbprint);
    const known = await this.owner.settle();
    say("safe", known ? "Its recovery key is known to the registry." : "");
    await tried(() => this.look());
    await this.suggest();
  }

  async suggest() {
    const found = (await this.owner.desk.registries()).map((one) => bare(one.zone));
    place("registries").replaceChildren(
      ...found.map((zone) => Object.assign(document.createElement("option"), { value: zone })),
    );
    for (const name of ["registry", "where"]) {
      place(name).value ||= found[0] ?? "";
    }
  }

  async look() {
    const { homes, notices } = await this.owner.look();
    place("homes").replaceChildren(...homes.map((one) => this.home(one)));
    place("notices").replaceChildren(...notices.map((one) => this.notice(one)));
  }

  home(one) {
    const item = element("li", "");
    item.append(element("strong", shown(one)), element("span", `, ${one.state}${one.reason ? `: ${one.reason}` : ""}. `));
    const does = (text, act, question, fields = {}) =>
      item.append(
        button(text, async () => {
          if (confirm(question)) {
            await this.owner.say(act, one.home, fields);
            await this.look();
          }
        }),
      );
    const name = bare(one.home);
    for (const key of one.pending_keys) {
      item.append(element("p", `A new key waits: ${key.thumbprint}. Approve it if your gateway shows the same.`));
      does("Approve the key", "approve-key", `Is ${key.thumbprint} what the gateway shows?`, { key: key.thumbprint });
    }
    if (one.claim_due_at) {
      item.append(element("p", `Somebody claims its box, and gets it on ${day(one.claim_due_at)} unless you object.`));
      does("Object", "object", `Object to the claim on the box of ${name}?`);
    }
    if (one.state === "closed") {
      does("Have it back", "return", `Have ${name} back?`);
      return item;
    }
    if (one.device) {
      item.append(button("Let the box go", () => this.release(one.home)));
      does("Stolen", "stolen", `Is the box of ${name} stolen? No key of it works from then on.`);
      does("Found", "found", `Is the box of ${name} back?`);
    }
    does("Leave", "leave", `Close ${name}? It can return within 30 days.`);
    return item;
  }

  async release(home) {
    if (!confirm(`Let the box of ${bare(home)} go? Its keys are dead from then on; the name stays yours.`)) {
      return;
    }
    const secret = await this.owner.release(home, DAYS);
    await this.look();
    say("done", `The box is free. What its buyer needs, shown only now: ${secret}`);
  }

  notice(one) {
    const item = element("li", notice(one));
    if (one.kind === "owner.recovery") {
      item.append(
        button("Object", async () => {
          if (confirm("Object to the recovery of your homes?")) {
            await this.owner.objectRecovery();
            await this.look();
          }
        }),
      );
    }
    return item;
  }

  ask(asked) {
    say("asks", asks(asked.act));
    say("name", shown(asked));
    show("accepting");
    place("accepting").scrollIntoView();
  }

  buttons() {
    press(place("begin"), async () => {
      say("code", await this.owner.begin());
      show("start", false);
      show("paper");
    });
    press(place("written"), async () => {
      await this.owner.written(typed("last"));
      say("code", "");
      show("paper", false);
      await this.refresh();
    });
    press(place("scan"), async () => {
      const [code, door, registry] = ["scanned", "box", "registry"].map(typed);
      location.assign(await this.owner.scan({ code, door, registry, label: typed("label"), secret: typed("secret") }));
    });
    press(place("read"), async () => this.ask(await this.owner.request(typed("request"))));
    press(place("accept"), async () => {
      const home = await this.owner.accept();
      show("accepting", false);
      await this.refresh();
      say("done", `Done: ${bare(home)}.`);
    });
    press(place("decline"), async () => show("accepting", false));
    press(place("tell"), async () => {
      const link = await this.owner.tell();
      if (link !== null) {
        location.assign(link);
      }
    });
    press(place("look"), () => this.look());
    press(place("recover"), async () => {
      const due = await this.owner.recover(typed("lost"), typed("where"));
      place("lost").value = "";
      say("done", `The recovery has begun; it is over on ${day(due)}. Until then nothing changes.`);
    });
    place("file").addEventListener("change", async () => {
      const [file] = place("file").files;
      place("request").value = file ? await file.text() : "";
    });
    if ("BarcodeDetector" in globalThis) {
      show("camera");
      press(place("camera"), () => this.camera());
    }
  }

  // Look for a QR code with the camera, until one is found.
  async camera() {
    const view = place("view");
    const detector = new BarcodeDetector({ formats: ["qr_code"] });
    let stream;
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      throw new Bad("The camera may not be used here; type or paste the code.");
    }
    view.srcObject = stream;
    show("view");
    try {
      await view.play();
      for (let found = []; found.length === 0; ) {
        await new Promise(requestAnimationFrame);
        found = await detector.detect(view);
        if (found.length > 0) {
          place("scanned").value = found[0].rawValue;
        }
      }
    } finally {
      stream.getTracks().forEach((one) => one.stop());
      show("view", false);
    }
  }
}

const keys = await Keys.open();
const desk = new Desk((path, how) => fetch(path, how), () => Date.now());
const page = new Page(new Owner({ desk, store: keys, back: `${location.origin}/phone` }));
await page.open();
