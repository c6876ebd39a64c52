/** The window's title and icon: how much is unread, for whoever looks at another tab. */

import { say } from './words.js';

const ICONS = { none: '/web/icon.svg', some: '/web/icon-unread.svg' };

export function drawTitle(unread) {
  const title = unread ? `(${unread > 99 ? '99+' : unread}) ${say('appName')}` : say('appName');
  if (document.title !== title) document.title = title;
  const link = document.querySelector('link[rel=icon]');
  const wanted = unread ? ICONS.some : ICONS.none;
  if (link.getAttribute('href') !== wanted) link.setAttribute('href', wanted);
}
