// What is said to people: notices, states and questions in sentences.

const NOTICES = {
  "box.found": "The stolen box of {home} is back.",
  "box.released": "The box of {home} is let go, until {due} for its buyer.",
  "box.stolen": "The box of {home} is reported as stolen.",
  "box.taken": "The box that you let go at {home} has a new home.",
  "claim.filed": "Somebody claims the box of {home}, and gets it on {due} unless you object.",
  "claim.granted": "A claim is granted: the box is the claimant's to scan.",
  "claim.objected": "The owner of the box that you claim has objected.",
  "claim.reminder": "Somebody claims the box of {home} still, and gets it on {due} unless you object.",
  "claim.used": "The box that you claim is in use by its owner; the claim is over.",
  "device.key-added": "A device of {home} has a key of its own.",
  "evidence.over": "The evidence for a key of {home} is over; its gateway has to show it anew.",
  "gateway.replaced": "{home} has a new gateway; the keys of the old one are dead.",
  "home.enrolled": "{home} is yours.",
  "home.held": "The registry holds {home}: {reason}",
  "home.idle": "{home} has been in no use for a long time. Nothing happens to it.",
  "home.left": "{home} is closed. Until 30 days are over it can return.",
  "home.released": "The registry holds {home} no longer.",
  "home.returned": "{home} is back.",
  "key.approved": "{home} has the key that you approved; the others are dead.",
  "key.minted": "{home} has a new key that answers ACME challenges alone.",
  "key.pending": "A new key asks for your approval at {home}.",
  "key.revoked": "A key of {home} was taken away.",
  "key.rolled": "The gateway of {home} has changed its key.",
  "owner.bound": "{home} is yours.",
  "owner.key-added": "A key was added to yours.",
  "owner.key-removed": "One of your keys was taken away.",
  "owner.recovered": "The recovery is over: your new key is the owner's.",
  "owner.recovery": "Somebody gets your homes back with a recovery key, on {due}. If it is not you, object.",
  "owner.recovery-dropped": "The recovery is dropped.",
  "owner.recovery-objected": "Somebody objected to the recovery; the registry decides.",
};

const ASKS = {
  enrol: "A gateway asks for a home, with you as its owner.",
  replace: "A gateway asks to take over a home of yours; every other key of it is dead from then on.",
  "bind-owner": "The gateway of a home that has no owner asks that you be it.",
};

// Return seconds since 1970 as a day, as the person writes it.
export function day(at) {
  return new Date(at * 1000).toLocaleDateString();
}

export function notice({ kind, at, data }) {
  const words = { home: bare(data.home ?? "it"), reason: data.reason ?? "", due: data.due ? day(data.due) : "" };
  const text = NOTICES[kind] ?? `${kind} ${words.home}`;
  return `${day(at)}: ${text.replace(/\{(\w+)\}/g, (_, name) => words[name])}`;
}

export const asks = (act) => ASKS[act];

// Return a name without its last dot.
export const bare = (name) => name.replace(/\.$/, "");

// Return a home's name as people read it: with its label in their letters, and as it is written where that differs.
export function shown({ home, unicode }) {
  const name = bare(home);
  const label = name.split(".", 1)[0];
  return !unicode || unicode === label ? name : `${unicode}${name.slice(label.length)} (${name})`;
}
