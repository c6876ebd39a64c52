/** Where the page begins: the door, or the app of whoever is logged in. */

import { Account } from './account.js';
import { App } from './app.js';
import { language, say } from './words.js';
import { Door } from './views/door.js';
import { toastShelf } from './views/toast.js';

const place = document.getElementById('app');
let app = null;

function showDoor() {
  app?.stop();
  app = null;
  place.replaceChildren(new Door({ account, onEnter: enter }).node);
}

function enter(user) {
  app = new App(account);
  place.replaceChildren(app.node);
  app.start(user);
}

document.documentElement.lang = language;
document.title = say('appName');
document.body.append(toastShelf());
const account = new Account(showDoor);
if (account.user) enter(account.user);
else showDoor();
