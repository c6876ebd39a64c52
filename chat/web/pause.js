/** Waiting that can be cut short: by the network coming back, by the page being looked at, by its user. */

export class Pause {
  #wake = null;

  constructor() {
    addEventListener('online', () => this.end());
    document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && this.end());
  }

  /** Resolves after `ms`, or when `end()` is called. */
  async take(ms) {
    await new Promise((resume) => {
      this.#wake = resume;
      setTimeout(resume, ms);
    });
  }

  end() {
    this.#wake?.();
  }
}
