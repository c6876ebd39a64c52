/** The door: logging in and creating an account. */

import { el, icon, iconButton } from '../dom.js';
import { reasonOf, say } from '../words.js';

const MODES = {
  logIn: { title: 'welcome', hint: 'welcomeHint', submit: 'logIn', other: 'toRegister', password: 'current-password' },
  register: { title: 'newHere', hint: 'newHereHint', submit: 'register', other: 'toLogIn', password: 'new-password' },
};

export class Door {
  #mode = 'logIn';

  /** `onEnter(user)` is called when somebody is in. */
  constructor({ account, onEnter }) {
    Object.assign(this, { account, onEnter });
    this.node = el('main', { class: 'door' });
    this.#build();
  }

  #build() {
    const words = MODES[this.#mode];
    this.username = this.#field('username', 'text', {
      autocomplete: 'username',
      autocapitalize: 'none',
      maxLength: 64,
      required: true,
    });
    this.displayName = this.#field('displayName', 'text', {
      autocomplete: 'nickname',
      maxLength: 64,
      placeholder: say('displayNameHint'),
    });
    this.password = this.#field('password', 'password', { autocomplete: words.password, required: true });
    this.password.wrap.append(this.#eye());
    this.error = el('p', { class: 'form-error', role: 'alert', hidden: true });
    this.button = el('button', { type: 'submit', class: 'button primary wide' }, say(words.submit));
    this.node.replaceChildren(this.#card(words));
    this.username.input.focus();
  }

  #card(words) {
    const fields = [
      this.username.label,
      this.#mode === 'register' ? this.displayName.label : null,
      this.password.label,
    ];
    const form = el(
      'form',
      { noValidate: false, onsubmit: (event) => this.#submit(event) },
      fields,
      this.error,
      this.button,
    );
    const other = el('button', { type: 'button', class: 'link', onclick: () => this.#switch() }, say(words.other));
    const mark = el('div', { class: 'brand-mark' }, icon('bubble'));
    return el(
      'div',
      { class: 'card' },
      mark,
      el('h1', {}, say(words.title)),
      el('p', { class: 'hint' }, say(words.hint)),
      form,
      other,
    );
  }

  #field(name, type, more) {
    const input = el('input', { type, name, id: `field-${name}`, spellcheck: false, ...more });
    const wrap = el('span', { class: 'field-input' }, input);
    const label = el('label', { class: 'field', for: input.id }, el('span', {}, say(name)), wrap);
    return { input, wrap, label };
  }

  #eye() {
    const { input } = this.password;
    const eye = iconButton('eye', say('showPassword'), () => {
      input.type = input.type === 'password' ? 'text' : 'password';
      eye.setAttribute('aria-pressed', String(input.type === 'text'));
    });
    eye.setAttribute('aria-pressed', 'false');
    return eye;
  }

  #switch() {
    const typed = this.username.input.value;
    this.#mode = this.#mode === 'logIn' ? 'register' : 'logIn';
    this.#build();
    this.username.input.value = typed;
  }

  async #submit(event) {
    event.preventDefault();
    this.error.hidden = true;
    this.button.disabled = true;
    try {
      this.onEnter(await this.#enter());
    } catch (error) {
      this.error.textContent = reasonOf(error);
      this.error.hidden = false;
      this.button.disabled = false;
    }
  }

  #enter() {
    const username = this.username.input.value.trim();
    const password = this.password.input.value;
    if (this.#mode === 'logIn') return this.account.logIn(username, password);
    return this.account.register(username, password, this.displayName.input.value.trim() || undefined);
  }
}
