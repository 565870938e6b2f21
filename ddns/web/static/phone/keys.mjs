// What this page keeps, in the browser's own database (IndexedDB): keys as keys, whose private halves nobody reads.

const NAME = "nameplate-phone";
const PLACE = "kept";

function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

export class Keys {
  static async open() {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => asked.result.createObjectStore(PLACE);
    const keys = new Keys();
    keys.database = await done(asked);
    navigator.storage?.persist?.()?.catch(() => undefined); // else the browser may throw it away; some ask first
    return keys;
  }

  at(mode) {
    return this.database.transaction(PLACE, mode).objectStore(PLACE);
  }

  get(name) {
    return done(this.at("readonly").get(name));
  }

  put(name, value) {
    return done(this.at("readwrite").put(value, name));
  }

  remove(name) {
    return done(this.at("readwrite").delete(name));
  }
}
