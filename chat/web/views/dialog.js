/** A sheet above the page: the browser's own dialog, which keeps the focus and closes on Escape. */

import { el, iconButton } from '../dom.js';
import { say } from '../words.js';

let opened = 0; // sheets so far: each title has an id of its own

/** Open a dialog with a title around `content`. Returns `{node, close}`; `onClose()` is called when it is gone. */
export function openDialog(title, content, { onClose = () => {}, name = '' } = {}) {
  const id = `sheet-title-${(opened += 1)}`;
  const heading = el('h2', { id }, title);
  const close = () => node.close();
  const head = el('header', { class: 'dialog-head' }, heading, iconButton('close', say('close'), close));
  const node = el('dialog', { class: `sheet ${name}`, 'aria-labelledby': id }, head, content);
  node.addEventListener('close', () => {
    node.remove();
    onClose();
  });
  node.addEventListener('click', (event) => event.target === node && close());
  document.body.append(node);
  node.showModal();
  return { node, close };
}

/** Ask for a yes. Resolves to true or false. */
export function confirmed(question, yes) {
  return new Promise((resolve) => {
    let answer = false;
    const agree = el('button', { type: 'button', class: 'button danger' }, yes);
    const refuse = el('button', { type: 'button', class: 'button' }, say('cancel'));
    const body = el('div', { class: 'dialog-body' }, el('div', { class: 'dialog-actions' }, refuse, agree));
    const dialog = openDialog(question, body, { onClose: () => resolve(answer), name: 'question' });
    refuse.onclick = dialog.close;
    agree.onclick = () => {
      answer = true;
      dialog.close();
    };
  });
}
