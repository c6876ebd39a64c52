/** How long to wait before the next attempt, so that a crowd does not come back all at once. */

/** After the n-th failure in a row (n from 0): between half and all of 0.5 s, 1 s, 2 s … at most 30 s. In ms. */
export function backoff(failures, random = Math.random) {
  const most = Math.min(30000, 500 * 2 ** Math.min(failures, 10));
  return most * (0.5 + random() / 2);
}
