// The browser of rationales: every draft.
(() => {
  const CONTROL = data.purposes.findIndex((name) => name.startsWith("test, solved"));
  // Filters --------------------------------------------------------------------------------------------------------

  const distinct = (value) => [...new Set(trials.map(value))];
  const numbers = (value) => distinct(value).sort((a, b) => a - b);
  const FILTERS = [
    { name: "run", label: "Scheme", value: (row) => row[RUN], say: (n) => data.runs[n].name },
    { name: "iteration", label: "Iteration", value: (row) => row[ITERATION], say: (n) => (n === 0 ? `0 (${data.runs[0].start})` : String(n)) },
    { name: "purpose", label: "Drawn for", value: (row) => row[PURPOSE], say: (n) => data.purposes[n] },
    { name: "outcome", label: "Outcome", value: (row) => row[OUTCOME], say: (n) => data.outcomes[n][1] },
    { name: "label", label: LABEL === "label" ? "People's label" : capital(LABEL), value: (row) => example(row)[ANSWER], say: level },
    { name: "gap", label: "Beside people", value: (row) => row[GAP], say: (n) => data.gaps[n] },
  ].filter((one) => (one.name !== "run" || data.runs.length > 1) && !(data.open && ["label", "gap"].includes(one.name)));

  const filters = make("form", { class: "filters", "aria-label": "Filter the rationales" });
  for (const one of FILTERS) {
    one.control = make("select", { id: `filter-${one.name}` }, make("option", { value: "" }, "all"));
    for (const key of numbers(one.value)) one.control.append(make("option", { value: key }, visible(one.say(key))));
    filters.append(make("label", {}, one.label, one.control));
  }
  const search = make("input", { type: "search", id: "filter-text", autocomplete: "off", spellcheck: "false" });
  filters.append(make("label", { class: "wide" }, "Words in the rationale, or an example's id", search));
  const reset = make("button", { type: "reset" }, "Show all");
  filters.append(reset);

  // The list and its pages -------------------------------------------------------------------------------------------

  const count = make("output", { "aria-live": "polite", id: "count" });
  const previous = make("button", { type: "button" }, "Previous");
  const next = make("button", { type: "button" }, "Next");
  const where = make("span", { id: "where" });
  const paging = make("nav", { class: "paging", "aria-label": "Pages of rationales" }, count, previous, where, next);
  const TITLES = ["Scheme", "Iteration", "Drawn for", "Outcome", capital(LABEL), data.open ? "Answer" : "Predicted", "Tokens", "Rationale"];
  const columns = make("div", { class: "columns", "aria-hidden": "true" });
  TITLES.forEach((title, n) => columns.append(make("span", n ? {} : { class: "run-cell" }, title)));
  const list = make("ul", { class: "rows", "aria-label": "Rationales" });

  let lowered = null; // texts in lower case, made at the first search
  let found = trials.map((_, n) => n);
  let page = 0;

  const matches = () => {
    const words = search.value.trim().toLowerCase();
    const active = FILTERS.filter((one) => one.control.value !== "").map((one) => [one.value, Number(one.control.value)]);
    if (words && !lowered) lowered = trials.map((row) => `${row[TEXT]}\n${example(row)[ID]}`.toLowerCase());
    const kept = [];
    for (let n = 0; n < trials.length; n++) {
      if (active.every(([value, wanted]) => value(trials[n]) === wanted) && (!words || lowered[n].includes(words))) kept.push(n);
    }
    return kept;
  };

  const show = () => {
    const pages = Math.max(1, Math.ceil(found.length / PAGE));
    page = Math.min(Math.max(page, 0), pages - 1);
    const rows = found.slice(page * PAGE, (page + 1) * PAGE).map(item);
    list.replaceChildren(...(rows.length ? rows : [make("li", { class: "empty" }, trials.length ? "No draw fits these filters. “Show all” removes them." : "Nothing is drawn yet.")]));
    count.textContent = `${figure(found.length)} of ${figure(trials.length)}`;
    where.textContent = `page ${figure(page + 1)} of ${figure(pages)}`;
    previous.setAttribute("aria-disabled", String(page === 0));
    next.setAttribute("aria-disabled", String(page === pages - 1));
  };

  let waiting = 0;
  const apply = () => {
    clearTimeout(waiting);
    found = matches();
    page = 0;
    show();
  };
  const filter = () => {
    apply();
    const chosen = FILTERS.map((one) => [one.name, one.control.value && one.control.selectedOptions[0].textContent]);
    address.put("rationales", new URLSearchParams([...chosen, ["q", search.value.trim()]].filter(([, value]) => value)));
  };
  const restore = (filters) => {
    for (const one of FILTERS) {
      one.control.value = "";
      for (const option of one.control.options) if (option.textContent === filters.get(one.name)) one.control.value = option.value;
    }
    search.value = filters.get("q") || "";
    apply();
  };
  const move = (by) => {
    const rows = [...list.querySelectorAll(".row")];
    const at = rows.findIndex((row) => row.parentElement.contains(document.activeElement));
    rows[at < 0 ? 0 : Math.min(Math.max(at + by, 0), rows.length - 1)]?.focus();
  };

  const turn = (by) => {
    page += by;
    show();
  };

  // One row ----------------------------------------------------------------------------------------------------------

  const cell = (unit, text, attributes = {}) => make("span", attributes, make("span", { class: "unit" }, unit), text);

  const item = (n) => {
    const row = trials[n];
    const outcome = data.outcomes[row[OUTCOME]];
    const detail = make("div", { class: "detail", id: `detail-${n}`, hidden: "" });
    const button = make(
      "button",
      { type: "button", class: "row", "aria-expanded": "false", "aria-controls": `detail-${n}` },
      make("span", { class: "run-cell" }, visible(data.runs[row[RUN]].name)),
      cell("iteration ", String(row[ITERATION])),
      make("span", {}, data.purposes[row[PURPOSE]]),
      make("span", { class: outcome[0] }, outcome[1]),
      cell(`${LABEL} `, visible(short(level(example(row)[ANSWER])))),
      cell(data.open ? "answer " : "predicted ", visible(short(level(row[PREDICTED])))),
      cell("tokens ", String(row[TOKENS])),
      make("span", { class: "first" }, firstLine(row)),
    );
    button.addEventListener("click", () => {
      const open = detail.hidden;
      if (open && !detail.hasChildNodes()) detail.append(...opened(n));
      detail.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
    });
    return make("li", {}, button, detail);
  };

  // An opened row ----------------------------------------------------------------------------------------------------

  /** A completion, with what speaks of the hint marked. */
  const completion = (row) => {
    const block = make("pre", { dir: "auto" });
    let from = 0;
    for (const [start, end] of row[MARKS] || []) {
      block.append(visible(row[TEXT].slice(from, start)), make("mark", {}, visible(row[TEXT].slice(start, end))));
      from = end;
    }
    block.append(visible(row[TEXT].slice(from)) || (from ? "" : "(empty)"));
    return block;
  };

  /** A prompt as the model saw it, or its bare text where the run holds no tokenizer; the template's words in grey. */
  const prompt = (title, run, text, seen) => {
    const block = make("pre", { dir: "auto" });
    const around = run.around;
    if (seen !== undefined) block.append(visible(seen));
    else if (around) block.append(make("span", { class: "template" }, visible(around[0])), visible(text), make("span", { class: "template" }, visible(around[1])));
    else block.append(visible(text));
    const how = around ? "as the model saw it" : run.known ? "bare text: the run holds no tokenizer" : "inputs alone: the run holds no template";
    return make("details", {}, make("summary", {}, `${title} (${how})`), block);
  };

  const verdict = (row) => {
    const [outcome, said, right] = [data.outcomes[row[OUTCOME]][1], level(row[PREDICTED]), level(example(row)[ANSWER])];
    return data.open ? `${outcome}, reward ${row[GAP]}. Answer: ${said}` : `${outcome}, predicted ${said}, people ${right}`;
  };

  const block = (title, row) => make("div", {}, make("h3", {}, title), make("p", { class: "facts" }, visible(verdict(row))), completion(row));

  // Draws of the same example and attempt, before and after training.
  const places = new Map();
  const place = (row, iteration) => [row[RUN], row[PURPOSE], row[EXAMPLE], row[ATTEMPT], iteration].join(" ");
  trials.forEach((row, n) => {
    if (isTested(row)) places.set(place(row, row[ITERATION]), n); // of retries the last
  });

  const told = (row) => {
    if (!isTested(row)) return [make("div", {}, make("h3", {}, "Completion"), completion(row))];
    const { best, start } = data.runs[row[RUN]];
    const [before, after] = [0, best].map((k) => trials[places.get(place(row, k))]);
    if (best === 0) return [block(`The ${start}, which is the chosen one`, row)];
    const shown = [];
    if (row[ITERATION] !== 0 && row[ITERATION] !== best) shown.push(block(`Iteration ${row[ITERATION]}`, row));
    const missing = (title) => make("div", {}, make("h3", {}, title), make("p", { class: "facts" }, "Not on this page: not drawn yet, or not in the sample."));
    shown.push(before ? block(`Before: the ${start}`, before) : missing(`Before: the ${start}`));
    shown.push(after ? block(`After: iteration ${best}, the chosen one`, after) : missing(`After: iteration ${best}, the chosen one`));
    return [make("div", { class: "beside" }, ...shown)];
  };

  const opened = (n) => {
    const row = trials[n];
    const [one, run] = [example(row), data.runs[row[RUN]]];
    const [forward, hint] = [bare(one, run), data.hints[one[HINT]]];
    const marked = (row[MARKS] || []).length ? " Marked: it speaks of the hint." : "";
    const facts = `Example ${one[ID]}, attempt ${row[ATTEMPT]}${row[RETRY] ? `, retry ${row[RETRY]}` : ""}; ` +
      `${row[PROMPT_TOKENS]} prompt tokens, ${row[TOKENS]} generated; ${data.open ? `reward ${row[GAP]}` : data.gaps[row[GAP]]}.${marked}`;
    const right = data.open ? [make("p", { class: "facts" }, visible(`${capital(LABEL)}: ${level(one[ANSWER])}`))] : [];
    const nodes = [make("p", { class: "facts" }, visible(facts)), ...right, ...told(row), make("h3", {}, "Prompts")];
    if (row[PURPOSE] === CONTROL) {
      const whole = { ...run, around: one[SEEN_FORWARD] === undefined ? run.around : null };
      nodes.push(prompt("With solved examples", whole, run.solved + forward));
    }
    nodes.push(prompt("Forward: the question alone", run, forward, one[SEEN_FORWARD]));
    if (hint) nodes.push(prompt(`Hinted: the ${LABEL} shown`, run, forward + hint, one[SEEN_HINTED]));
    return nodes;
  };

  // Events -----------------------------------------------------------------------------------------------------------

  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    filter();
  });
  // The search is followed as it is typed; that it loses the focus to a row must not make that row anew under the click.
  filters.addEventListener("change", (event) => event.target === search || filter());
  filters.addEventListener("reset", () => setTimeout(filter));
  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  previous.addEventListener("click", () => previous.getAttribute("aria-disabled") === "true" || turn(-1));
  next.addEventListener("click", () => next.getAttribute("aria-disabled") === "true" || turn(1));

  const browser = document.getElementById("browser");
  browser.classList.add(data.runs.length > 1 ? "several" : "alone");
  browser.append(filters, paging, columns, list);
  browser.hidden = false;
  show();
  moving.push([document.getElementById("rationales"), move]);
  address.follow("rationales", restore);
})();
