/** A few words for building elements. Text is set as text, never as markup. */

type Attributes = Readonly<Record<string, string | boolean>>;
type Child = Node | string;

/** @param attributes with `class`; true: set and empty, false: left out. */
export function element<Name extends keyof HTMLElementTagNameMap>(
  name: Name,
  attributes: Attributes = {},
  ...children: readonly Child[]
): HTMLElementTagNameMap[Name] {
  const made = document.createElement(name);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

const svgSpace = 'http://www.w3.org/2000/svg';

export function svg(
  name: string,
  attributes: Attributes,
  ...children: readonly Child[]
): SVGElement {
  const made = document.createElementNS(svgSpace, name);
  setAttributes(made, attributes);
  made.append(...children);
  return made;
}

function setAttributes(made: Element, attributes: Attributes): void {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false) continue;
    made.setAttribute(name, value === true ? '' : value);
  }
}

/** @throws Error: the document has no such element, which is a mistake of ours. */
export function byId(id: string): HTMLElement {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`no element ${id}`);
  return found;
}

/** Sets what has changed alone: whoever has marked the text with the mouse keeps it. */
export function setText(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

export function setClass(node: Element, classes: string): void {
  if (node.getAttribute('class') !== classes) node.setAttribute('class', classes);
}
