// An invitation's line, as `ddns home invite` writes it and a link carries it behind its #.

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
