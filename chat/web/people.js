/** Names for ids: people whom an entry mentions and whom this page has not met are looked up, a few at a time. */

const AT_ONCE = 4; // requests in flight: names must not crowd out messages

export class People {
  #asked = new Set(); // ids in flight, and those that nobody has; the page's life long, ids of entries shown only
  #inFlight = 0;

  constructor({ api, store }) {
    Object.assign(this, { api, store });
  }

  /** Ask for those whom the page has just tried to name; called after every drawing. */
  look() {
    for (const id of this.store.needs.people) {
      if (this.#inFlight >= AT_ONCE) return;
      this.store.needs.people.delete(id);
      if (!this.#asked.has(id)) this.#ask(id);
    }
  }

  async #ask(id) {
    this.#asked.add(id);
    this.#inFlight += 1;
    try {
      this.store.meet(await this.api.person(id));
      this.#asked.delete(id);
    } catch (error) {
      if (error.passing) this.#asked.delete(id);
    }
    this.#inFlight -= 1;
    this.store.changed();
  }
}
