// What both views of the page share. All texts come from the JSON block and reach the page through textContent alone.
const data = JSON.parse(document.getElementById("trials").textContent);
const PAGE = 50;
// A trial's columns, as rationales.py writes them; where answers are open GAP is the reward.
const [RUN, ITERATION, PURPOSE, EXAMPLE, ATTEMPT, RETRY, OUTCOME, PREDICTED, TOKENS, PROMPT_TOKENS, GAP, TEXT, MARKS] =
  Array(13).keys();
const [ID, ANSWER, FORWARD, HINT, SEEN_FORWARD, SEEN_HINTED] = Array(6).keys();
const { label: LABEL, none: NONE } = data.words;
const SHORT = 24; // an answer in a list; whole where it is opened
const trials = data.trials;

const capital = (text) => text[0].toUpperCase() + text.slice(1);
const bare = (one, run) => (Array.isArray(one[FORWARD]) ? run.common[0] + one[FORWARD][0] + run.common[1] : one[FORWARD]);
const level = (number) => (number < 0 ? NONE : data.levels[number]);
const example = (row) => data.examples[row[EXAMPLE]];
const figure = (count) => count.toLocaleString("en");
const isTested = (row) => ["test", "validation"].includes(data.purposes[row[PURPOSE]]);

/** Make an element: attributes by name, children as nodes or as texts. */
const make = (tag, attributes = {}, ...children) => fill(document.createElement(tag), attributes, children);
/** The same of a drawing. */
const draw = (tag, attributes = {}, ...children) => fill(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
const fill = (node, attributes, children) => {
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children);
  return node;
};

/** Control characters as their pictures, one for one, so that offsets stay. */
const visible = (text) =>
  text.replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (c) => (c === "\u007f" ? "\u2421" : String.fromCharCode(0x2400 + c.charCodeAt(0))));

const short = (text) => (data.open && text.length > SHORT ? `${text.slice(0, SHORT - 1)}\u2026` : text);
const firstLine = (row) => {
  const text = row[TEXT].slice(0, 400).trimStart();
  const end = text.search(/[\r\n]/);
  return visible((end < 0 ? text : text.slice(0, end)).slice(0, 200));
};

// The address: a view's filters stand behind its anchor, #items?judge=4, so that a link restores what is shown.
const address = {
  /** The filters of a view that the address names; null where it names another part of the page. */
  of(view) {
    const [part, ...query] = location.hash.slice(1).split("?");
    return part === view ? new URLSearchParams(query.join("?")) : null;
  },
  put(view, filters) {
    const query = String(filters);
    history.replaceState(null, "", `#${view}${query && "?"}${query}`);
  },
  /** Follow links and the buttons Back and Forward; `restore` takes the filters. */
  follow(view, restore) {
    const section = document.getElementById(view);
    const go = () => {
      const filters = address.of(view);
      if (filters === null) return;
      restore(filters);
      if (String(filters)) section.scrollIntoView({ block: "start" });
    };
    addEventListener("hashchange", go);
    go();
  },
};

// j and k move in the list that holds the focus, and in that of the items otherwise.
const moving = []; // [section, move(by)]
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !["j", "k"].includes(event.key)) return;
  if (event.target.closest("input, select, textarea")) return;
  const shown = moving.filter(([section]) => section.getClientRects().length);
  const [, move] = shown.find(([section]) => section.contains(event.target)) || shown[0] || [];
  if (!move) return;
  event.preventDefault();
  move(event.key === "j" ? 1 : -1);
});
