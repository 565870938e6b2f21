// A box's own page: it hands the box what the owner's page brings behind the #, and brings back what the box says.
//
// What is handed on is sealed for the box or signed by its owner, and what comes back is signed by the box: this page
// can read nothing of the one and change nothing of the other.

const PLACES = {
  challenge: ["/nameplate/challenge", "application/jose"],
  enrolled: ["/nameplate/enrolled", "application/jose+json"],
};
const BACK = /^https:\/\/[A-Za-z0-9.:[\]-]+\/phone$/;

const encode = (text) =>
  btoa(String.fromCharCode(...new TextEncoder().encode(text))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=/g, "");
const decode = (text) =>
  new TextDecoder().decode(Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (one) => one.charCodeAt(0)));

// Return the link back for what stands in a page's *hash*, null where that is nothing for a box; *ask* is `fetch`.
export async function carry(hash, ask) {
  const fields = new URLSearchParams(hash.replace(/^#/, ""));
  const what = Object.keys(PLACES).find((one) => fields.has(one));
  const back = fields.get("back") ?? "";
  if (what === undefined || !BACK.test(back)) {
    return null;
  }
  const [path, media] = PLACES[what];
  const answer = await said(ask, path, media, what === "enrolled" ? decode(fields.get(what)) : fields.get(what));
  return `${back}#${new URLSearchParams(answer)}`;
}

async function said(ask, path, media, body) {
  try {
    const answer = await ask(path, { method: "POST", body, headers: { "Content-Type": media } });
    const text = await answer.text();
    if (media === "application/jose" && answer.ok) {
      return { wish: encode(text) };
    }
    const members = JSON.parse(text);
    return answer.ok ? { said: members.said } : { refused: members.detail ?? members.said ?? "It cannot do that now." };
  } catch {
    return { refused: "It does not answer; is it still waiting for a phone?" };
  }
}

if (typeof document !== "undefined") {
  const link = await carry(location.hash, (path, how) => fetch(path, how));
  if (link !== null) {
    location.replace(link);
  }
}
