/**
 * Building the document. Text becomes text nodes and nothing else: there is no way in here to pass markup, so
 * nothing that anybody wrote can become an element.
 */

const SVG = 'http://www.w3.org/2000/svg';

/**
 * An element with properties and children. `class`, `aria-*`, `role` and `data-*` are set as attributes,
 * everything else as properties (`onclick`, `value`, `hidden`). Children: nodes, strings; null is left out.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (/^(class|role|for|datetime|aria-.*|data-.*)$/.test(name)) node.setAttribute(name, value);
    else node[name] = value;
  }
  node.append(...children.flat().filter(isChild));
  return node;
}

const isChild = (child) => child !== null && child !== undefined && child !== false;

/** A picture from the sheet in index.html; decoration, hidden from screen readers. */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.append(use);
  return svg;
}

/** A button that is a picture; `label` is its name for screen readers and its tooltip. */
export function iconButton(name, label, onclick, more = {}) {
  return el(
    'button',
    { type: 'button', class: 'icon-button', 'aria-label': label, title: label, onclick, ...more },
    icon(name),
  );
}

/**
 * Make `parent`'s children these nodes in this order, moving as few as possible: what stays keeps its focus,
 * its selection and its running animation.
 */
export function arrange(parent, nodes) {
  const wanted = new Set(nodes);
  for (const child of [...parent.childNodes]) if (!wanted.has(child)) child.remove();
  let at = parent.firstChild;
  for (const node of nodes) {
    if (node === at) at = at.nextSibling;
    else parent.insertBefore(node, at);
  }
}
