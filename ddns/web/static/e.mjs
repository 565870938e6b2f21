// What a link's invitation says, read in the browser: the part behind the # is sent to nobody.

import { read } from "./invitation.mjs";

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

const found = read(location.hash);
if (found !== null) {
  history.replaceState(null, "", location.pathname); // nobody who looks over a shoulder, and no history, keeps it
  show(found);
}
