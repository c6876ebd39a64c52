/** A file among the messages: its name, its size, and the way to get it. */

import { el, icon } from '../dom.js';
import { isExpired, plainName, sizeWords } from '../media.js';
import { language, say } from '../words.js';

/** A link that saves a file. An address that has expired is asked for anew before it is followed. */
export function downloadLink(properties, entry, refresh, ...children) {
  const { media } = entry;
  const link = el('a', { href: media.url, download: plainName(media.name) || '', ...properties }, children);
  link.addEventListener('click', async (event) => {
    if (!isExpired(link.href)) return;
    event.preventDefault();
    const fresh = await refresh(entry);
    if (!fresh) return;
    link.href = fresh.media.url;
    if (!isExpired(link.href)) link.click(); // else this device's clock is wrong, and the next press says so
  });
  return link;
}

export class FileRow {
  /** `context` is the timeline's; of it `refresh` is used. */
  constructor(context) {
    this.context = context;
    this.node = el('div', { class: 'file' });
  }

  draw(entry) {
    const { media, seq } = entry;
    const name = plainName(media.name) || say('file');
    const signature = JSON.stringify([name, media.size, media.url, Boolean(seq)]);
    if (signature === this.drawn) return;
    this.drawn = signature;
    const words = el(
      'span',
      { class: 'file-words' },
      el('bdi', { class: 'file-name' }, name),
      el('span', { class: 'file-size' }, sizeWords(media.size, language)),
    );
    this.node.replaceChildren(...(seq ? [this.#link(entry, name, words)] : [picture('file'), words]));
  }

  #link(entry, name, words) {
    const label = say('downloadFile', { name, size: sizeWords(entry.media.size, language) });
    const look = { class: 'file-link', 'aria-label': label };
    return downloadLink(look, entry, this.context.refresh, picture('download'), words);
  }
}

const picture = (name) => el('span', { class: 'file-picture' }, icon(name));
