/**
 * Files over a reload: in IndexedDB, by the `localId` of the message that waits to carry them. A browser that keeps
 * nothing (private windows, a full disk) costs no more than that: the files are in memory as long as the page lives.
 */

const DATABASE = 'chat';
const FILES = 'files';
const KEPT = 2 * 86400000; // ms; what a closed tab has left behind is thrown away after that

export class FileKeep {
  #database = null;

  async put(localId, file) {
    await this.#attempt('readwrite', (files) => files.put({ file, at: Date.now() }, localId));
  }

  /** The file, or null. */
  async get(localId) {
    const kept = await this.#attempt('readonly', (files) => files.get(localId));
    return kept?.file ?? null;
  }

  async remove(localId) {
    await this.#attempt('readwrite', (files) => files.delete(localId));
  }

  /** Throw away everything, as at the end of a login. */
  async clear() {
    await this.#attempt('readwrite', (files) => files.clear());
  }

  /** Throw away what nobody has come back for. */
  async sweep() {
    const old = (cursor) => cursor.value.at < Date.now() - KEPT && cursor.delete();
    await this.#attempt('readwrite', (files) => {
      const walk = files.openCursor();
      walk.addEventListener('success', () => {
        if (!walk.result) return;
        old(walk.result);
        walk.result.continue();
      });
      return walk;
    });
  }

  async #attempt(mode, act) {
    try {
      this.#database ??= opened();
      const transaction = (await this.#database).transaction(FILES, mode);
      const request = act(transaction.objectStore(FILES));
      await new Promise((resolve, reject) => {
        transaction.oncomplete = resolve;
        transaction.onerror = transaction.onabort = () => reject(transaction.error);
      });
      return request.result;
    } catch {
      return null; // this browser keeps no files
    }
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(DATABASE, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(FILES);
    request.onsuccess = () => resolve(request.result);
    request.onerror = request.onblocked = () => reject(request.error);
  });
}
