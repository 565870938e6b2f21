// What a link's invitation says, read in the browser: the part behind the # is sent to nobody.

const LINE = /^ddns:\/\/([^:@/\s]+):([A-Za-z0-9_-]+)@([^/\s]+)\/([^?\s]+)\?(\S*)$/;
const NAME = /^[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})+$/;

// Return the invitation of a page's hash as {line, home, registry}, null where it is none.
export function read(hash) {
  let line;
  try {
    line = decodeURI(hash.replace(/^#/, ""));
  } catch {
    return null;
  }
  const found = LINE.exec(line);
  if (found === null || line.length > 2000) {
    return null;
  }
  const home = decodeURIComponent(found[4]).replace(/\.$/, "");
  const zone = new URLSearchParams(found[5]).get("zone");
  const registry = zone === null ? home.slice(home.indexOf(".") + 1) : zone.replace(/\.$/, "");
  if (!NAME.test(home) || !registry || !home.endsWith(`.${registry}`)) {
    return null;
  }
  return { line, home, registry };
}

function show(found) {
  const place = (name) => document.getElementById(name);
  place("home").textContent = found.home;
  place("registry").textContent = found.registry;
  place("line").value = found.line;
  place("nothing").hidden = true;
  place("found").hidden = false;
  place("copy").addEventListener("click", async () => {
    place("line").select();
    await navigator.clipboard.writeText(found.line);
    place("copied").textContent = "Copied.";
  });
}

if (typeof document !== "undefined") {
  const found = read(location.hash);
  if (found !== null) {
    history.replaceState(null, "", location.pathname); // nobody who looks over a shoulder, and no history, keeps it
    show(found);
  }
}
