/**
 * One tab at a time. The browser's own locks where it has them; they exist on https and localhost only, so on a
 * plain-http address in a local network a note in localStorage does, which lapses if its tab is closed.
 */

const NOTE_LASTS = 10000; // ms; longer than one refresh takes
const LOOK_AGAIN = 60; // ms

/** Run `work()` while no other tab of this origin runs work under the same name. Returns its result. */
export function alone(name, work) {
  return navigator.locks ? navigator.locks.request(name, work) : withNote(`lock.${name}`, work);
}

async function withNote(key, work) {
  const mine = Math.random().toString(36).slice(2);
  const deadline = Date.now() + 2 * NOTE_LASTS;
  while (!(await wrote(key, mine)) && Date.now() < deadline) await pause(LOOK_AGAIN);
  try {
    return await work();
  } finally {
    if (localStorage.getItem(key)?.startsWith(mine)) localStorage.removeItem(key);
  }
}

/** Write the note and look whether it stands: of two tabs writing at once the later one has it. */
async function wrote(key, mine) {
  const [, until] = (localStorage.getItem(key) ?? '').split(' ');
  if (Number(until) > Date.now()) return false;
  localStorage.setItem(key, `${mine} ${Date.now() + NOTE_LASTS}`);
  await pause(LOOK_AGAIN);
  return localStorage.getItem(key)?.startsWith(mine) ?? false;
}

const pause = (ms) => new Promise((resume) => setTimeout(resume, ms));
