// Elements from plain values. Text becomes text nodes and nothing else, so HTML in a document stays text.

const SVG = "http://www.w3.org/2000/svg";

/** An element. Properties named `on...` are listeners, the rest are attributes; null and false leave one out. */
export function element(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** An icon, one of the symbols in index.html; its name for assistive technology is its button's. */
export function icon(name) {
  const use = fill(document.createElementNS(SVG, "use"), { href: `#icon-${name}` }, []);
  return fill(document.createElementNS(SVG, "svg"), { class: "icon", "aria-hidden": "true" }, [use]);
}

/** A bar from `start` to `end`, both shares of the whole in [0, 1]; slivers stay visible. */
export function bar(start, end) {
  const x = Math.min(start, 0.995) * 100;
  const width = Math.max((end - start) * 100, 0.5);
  const rect = fill(document.createElementNS(SVG, "rect"), { x, y: 0, width, height: 1 }, []);
  const frame = { class: "bar", viewBox: "0 0 100 1", preserveAspectRatio: "none", "aria-hidden": "true" };
  return fill(document.createElementNS(SVG, "svg"), frame, [rect]);
}

/** The one element with this id. */
export function byId(id) {
  return document.getElementById(id);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}
