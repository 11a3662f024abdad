// The data of the page, and ways to make elements; text is only ever set as text.
const report = JSON.parse(document.getElementById("data").textContent);

const byId = (id) => document.getElementById(id);

function element(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function press(buttons, chosen) {
  for (const button of buttons) button.setAttribute("aria-pressed", String(button === chosen));
}

// The colours of the system, or those that the reader wants.
const THEMES = [
  ["Auto", "light dark", "as the system has them"],
  ["Dark", "dark", "dark"],
  ["Light", "light", "light"],
];
let theme = 0;
byId("theme").addEventListener("click", () => {
  theme = (theme + 1) % THEMES.length;
  const [text, scheme, meaning] = THEMES[theme];
  document.documentElement.style.colorScheme = scheme;
  byId("theme").textContent = text;
  byId("theme").setAttribute("aria-label", `Colours: ${meaning}`);
});
