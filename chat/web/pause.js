/** Waiting that can be cut short: by the network coming back, by the page being looked at, by its user. */

/** After the n-th failure in a row (n from 0): between half and all of 0.5 s, 1 s, 2 s … at most 30 s. In ms. */
export function backoff(failures, random = Math.random) {
  const most = Math.min(30000, 500 * 2 ** Math.min(failures, 10));
  return most * (0.5 + random() / 2);
}

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
