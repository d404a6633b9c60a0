// The items that people rated: one row each, those first where what was learned differs most from people.
(() => {
  const items = data.items;
  const SPLITS = ["test", "validation"];
  const WORST = data.fits.length - 1;
  const PEOPLE = LABEL === "label" ? "People" : capital(LABEL);
  const JUDGE = capital(data.words.who);

  // Facets ---------------------------------------------------------------------------------------------------------

  const TRAINING = ["became right", "became wrong", "right both times", "wrong both times"];
  const moved = (item) => {
    if (!item[BEFORE] || !isTrained(item)) return -1;
    const [was, is] = [isRight(item[BEFORE]), isRight(item[AFTER])];
    return was === is ? (is ? 2 : 3) : is ? 0 : 1;
  };
  const FACETS = [
    { name: "run", title: "Scheme", value: (item) => item[RUN_OF], say: (n) => data.runs[n].name },
    { name: "agreement", title: "Agreement", value: (item) => item[AFTER][FIT], say: (n) => data.fits[n] },
    { name: "training", title: "Through training", value: moved, say: (n) => (n < 0 ? "not trained" : TRAINING[n]) },
    { name: "split", title: "Set", value: (item) => item[SPLIT], say: (n) => SPLITS[n] },
    { name: "people", title: PEOPLE === "People" ? "People's label" : PEOPLE, value: labelOf, say: level, closed: true },
    { name: "judge", title: `${JUDGE} says`, value: (item) => item[AFTER][SAID], say: level, closed: true },
    { name: "raters", title: "Raters", value: (item) => (item[RATINGS].length < 2 ? 2 : Number(new Set(item[RATINGS]).size > 1)), say: (n) => ["all the same", "differ", "one"][n] },
    { name: "part", title: capital(data.words.part || "part"), value: (item) => item[PART], say: (n) => data.parts[n] || "(none)" },
  ].filter((facet) => !(data.open && facet.closed));
  for (const facet of FACETS) {
    facet.keys = [...new Set(items.map(facet.value))].sort((a, b) => a - b);
    facet.chosen = new Set();
    facet.buttons = new Map();
  }
  const shownFacets = FACETS.filter((facet) => facet.keys.length > 1);

  const distance = (item) => {
    const { scale } = data.runs[item[RUN_OF]];
    const [said, right] = [item[AFTER][SAID], labelOf(item)].map((number) => scale.indexOf(number));
    if (item[AFTER][FIT] === 0) return 0;
    if (data.open) return 1 + item[AFTER][FIT];
    return item[AFTER][FIT] === WORST ? scale.length : data.fits[item[AFTER][FIT]] === "differs" ? 1 : Math.abs(said - right);
  };
  const sure = (item) => chance(item, item[AFTER], item[AFTER][SAID]);
  const right = (item, prediction) => (prediction ? chance(item, prediction, labelOf(item)) : 0);
  const SORTS = {
    disagreement: ["largest disagreement", (item) => -distance(item) + (data.open ? 0 : right(item, item[AFTER]) / 2)],
    mistakes: ["wrong and most sure", (item) => (isRight(item[AFTER]) ? 2 : 0) - sure(item)],
    unsure: ["least sure", sure],
    lost: ["lost most through training", (item) => right(item, item[AFTER]) - right(item, item[BEFORE])],
    gained: ["gained most through training", (item) => right(item, item[BEFORE]) - right(item, item[AFTER])],
    data: ["as in the data", () => 0],
  };

  const search = make("input", { type: "search", id: "items-text", autocomplete: "off", spellcheck: "false" });
  const sort = make("select", { id: "items-sort" });
  for (const [name, [said]] of Object.entries(SORTS)) {
    const usable = name === "data" || name === "disagreement" || (!data.open && (!["lost", "gained"].includes(name) || items.some(isTrained)));
    if (usable) sort.append(make("option", { value: name }, said));
  }
  const clear = make("button", { type: "button", class: "plain" }, "Clear filters");
  const count = make("output", { "aria-live": "polite", id: "items-count" });
  const facets = make("div", { class: "facets" });
  const list = make("ul", { class: "items", "aria-label": "Items" });
  const more = make("button", { type: "button", class: "more" });

  for (const facet of shownFacets) {
    const group = make("fieldset", {}, make("legend", {}, facet.title));
    for (const key of facet.keys) {
      const told = make("span", { class: "number" });
      const button = make("button", { type: "button", "aria-pressed": "false" }, make("span", {}, visible(facet.say(key))), " ", told);
      button.addEventListener("click", () => {
        if (!facet.chosen.delete(key)) facet.chosen.add(key);
        filter();
      });
      facet.buttons.set(key, [button, told]);
      group.append(button);
    }
    facets.append(group);
  }

  const folded = make("summary", {}, "Filters");
  // On a phone the filters are folded: the items come first.
  const narrow = make("details", { class: "narrow", open: matchMedia("(min-width: 56rem)").matches ? "" : null }, folded, facets);

  // Which items are shown ----------------------------------------------------------------------------------------------

  let lowered = null; // texts in lower case, made at the first search
  let found = [];
  let shown = 0;
  let current = null; // the row that Tab reaches

  const everything = (item) => {
    const run = data.runs[item[RUN_OF]];
    const said = [...new Set([0, run.best])].flatMap((k) => draftsOf(item, k)).map((row) => row[TEXT]);
    return [exampleOf(item)[ID], data.parts[item[PART]], level(labelOf(item)), ...texts(item).map(([, text]) => text), ...said].join("\n").toLowerCase();
  };

  const matches = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length && !lowered) lowered = items.map(everything);
    const counts = shownFacets.map((facet) => new Map(facet.keys.map((key) => [key, 0])));
    const kept = [];
    items.forEach((item, n) => {
      if (!words.every((word) => lowered[n].includes(word))) return;
      const values = shownFacets.map((facet) => facet.value(item));
      const missed = shownFacets.map((facet, f) => facet.chosen.size > 0 && !facet.chosen.has(values[f]));
      const misses = missed.filter(Boolean).length;
      if (misses === 0) kept.push(n);
      // What a click would find: a facet's own choice does not narrow its counts.
      values.forEach((value, f) => {
        if (misses === 0 || (misses === 1 && missed[f])) counts[f].set(value, counts[f].get(value) + 1);
      });
    });
    return [kept, counts];
  };

  const apply = () => {
    clearTimeout(waiting);
    const [kept, counts] = matches();
    const [, key] = SORTS[sort.value];
    const keys = new Map(kept.map((n) => [n, key(items[n])]));
    found = kept.sort((a, b) => keys.get(a) - keys.get(b) || a - b);
    shownFacets.forEach((facet, f) => {
      for (const [value, [button, told]] of facet.buttons) {
        told.textContent = figure(counts[f].get(value));
        button.setAttribute("aria-pressed", String(facet.chosen.has(value)));
        button.classList.toggle("none", counts[f].get(value) === 0);
      }
    });
    const active = shownFacets.flatMap((facet) => facet.keys.filter((value) => facet.chosen.has(value)).map(facet.say));
    folded.textContent = visible(active.length ? `Filters: ${active.join(", ")}` : "Filters");
    count.textContent = `${figure(found.length)} of ${figure(items.length)} items`;
    clear.hidden = !search.value.trim() && active.length === 0;
    list.replaceChildren();
    shown = 0;
    current = null;
    if (found.length === 0) list.append(make("li", { class: "empty" }, "No item fits these filters. Take one away, or clear them all."));
    extend();
  };

  const extend = () => {
    list.append(...found.slice(shown, shown + PAGE).map(row));
    shown = Math.min(shown + PAGE, found.length);
    const left = found.length - shown;
    more.hidden = left === 0;
    more.textContent = `Show ${figure(Math.min(PAGE, left))} more of ${figure(left)}`;
    if (!current) settle(list.querySelector(".item"));
  };

  let waiting = 0;
  const filter = () => {
    apply();
    const filters = new URLSearchParams();
    for (const facet of shownFacets) for (const key of facet.chosen) filters.append(facet.name, facet.say(key));
    if (search.value.trim()) filters.set("q", search.value.trim());
    if (sort.value !== "disagreement") filters.set("sort", sort.value);
    address.put("items", filters);
  };

  const restore = (filters) => {
    for (const facet of shownFacets) {
      const wanted = filters.getAll(facet.name);
      facet.chosen = new Set(facet.keys.filter((key) => wanted.includes(facet.say(key))));
    }
    search.value = filters.get("q") || "";
    sort.value = filters.get("sort") || "";
    if (sort.selectedIndex < 0) sort.value = "disagreement";
    apply();
    const asked = filters.get("open");
    const place = asked === null ? -1 : found.findIndex((n) => exampleOf(items[n])[ID] === asked);
    if (place < 0) return;
    while (shown <= place) extend();
    const button = list.children[place].querySelector(".item");
    settle(button);
    if (button.getAttribute("aria-expanded") === "false") button.click();
  };

  // One row ------------------------------------------------------------------------------------------------------------

  const chip = (said, fit, extra = "") => {
    const how = fit === undefined ? "people" : fit === 0 ? "same" : "apart";
    const sign = fit === undefined ? "" : fit === 0 ? "✓ " : "≠ ";
    return make("span", { class: `chip ${how} ${extra}` }, sign && make("span", { "aria-hidden": "true" }, sign), visible(short(said)));
  };

  const peoples = (item) => {
    const counts = new Map();
    for (const rating of item[RATINGS]) counts.set(rating, (counts.get(rating) || 0) + 1);
    const { scale } = data.runs[item[RUN_OF]];
    const others = [...counts].sort(([a], [b]) => scale.indexOf(a) - scale.indexOf(b));
    const each = counts.size > 1 ? [make("span", { class: "each" }, `rated ${others.map(([rating, n]) => level(rating) + (n > 1 ? ` ×${n}` : "")).join(", ")}`)] : [];
    return make("span", { class: "cell" }, make("span", { class: "unit" }, PEOPLE), chip(level(labelOf(item))), ...each);
  };

  const judged = (item) => {
    const now = chip(level(item[AFTER][SAID]), item[AFTER][FIT]);
    const before = item[BEFORE] && isTrained(item) ? [chip(level(item[BEFORE][SAID]), item[BEFORE][FIT], "was"), make("span", { class: "arrow" }, "→")] : [];
    return make("span", { class: "cell" }, make("span", { class: "unit" }, before.length ? "before → after" : JUDGE), ...before, now);
  };

  const percent = (share) => `${(100 * share).toFixed(0)} %`;

  /** Probabilities of the levels as bars: before training behind, after it in front, people's level underlined. The largest fills the height. */
  const bars = (item) => {
    if (data.open) return make("span", { class: "cell" }, make("span", { class: "unit" }, "reward"), String(item[AFTER][TOLD]));
    const { scale } = data.runs[item[RUN_OF]];
    const wide = 12 * scale.length;
    const told = scale.map((number, n) => `${level(number)} ${percent(item[AFTER][TOLD][n])}`).join(", ");
    const picture = draw("svg", { viewBox: `0 0 ${wide} 26`, class: "bars", role: "img", preserveAspectRatio: "none", "aria-label": `Probabilities: ${told}` });
    const before = isTrained(item) && item[BEFORE];
    const high = 20 / Math.max(...item[AFTER][TOLD], ...(before ? item[BEFORE][TOLD] : []), 1e-9);
    picture.append(draw("title", {}));
    picture.firstChild.textContent = told;
    scale.forEach((number, n) => {
      const is = item[AFTER][TOLD][n];
      const [was, left] = before ? [item[BEFORE][TOLD][n], 4.5] : [0, 0];
      picture.append(
        draw("rect", { class: "ground", x: 12 * n, y: 21, width: 10.5, height: 1 }),
        draw("rect", { class: "was", x: 12 * n, y: 21 - high * was, width: left, height: high * was }),
        draw("rect", { class: number === labelOf(item) ? "same" : "is", x: 12 * n + left, y: 21 - high * is, width: 10.5 - left, height: high * is }),
      );
      if (number === labelOf(item)) picture.append(draw("rect", { class: "people", x: 12 * n, y: 23, width: 10.5, height: 3 }));
    });
    return picture;
  };

  const summary = (item) => visible(texts(item).map(([, text]) => text).join(" · ").replace(/\s+/g, " ").slice(0, 400));

  const row = (n) => {
    const item = items[n];
    const said = speaker(item, data.runs[item[RUN_OF]].best, item[AFTER]);
    const detail = make("div", { class: "opened", id: `item-${n}`, hidden: "" });
    const where = [data.runs.length > 1 ? data.runs[item[RUN_OF]].name : "", data.parts[item[PART]]].filter(Boolean).join(", ");
    const button = make(
      "button",
      { type: "button", class: "item", "aria-expanded": "false", "aria-controls": `item-${n}`, tabindex: "-1" },
      make("span", { class: "text" }, ...(where ? [make("span", { class: "where" }, visible(where)), " "] : []), summary(item)),
      peoples(item),
      judged(item),
      bars(item),
      make("span", { class: "said" }, said ? firstLine(said) : ""),
    );
    button.addEventListener("click", () => {
      settle(button);
      const open = detail.hidden;
      if (open && !detail.hasChildNodes()) detail.append(...opened(item));
      detail.hidden = !open;
      button.setAttribute("aria-expanded", String(open));
    });
    button.addEventListener("focus", () => settle(button));
    return make("li", {}, button, detail);
  };

  const settle = (button) => {
    if (current) current.setAttribute("tabindex", "-1");
    current = button;
    if (current) current.setAttribute("tabindex", "0");
  };

  const move = (by) => {
    const buttons = list.querySelectorAll(".item");
    const at = [...buttons].indexOf(current);
    const inside = current && current.parentElement.contains(document.activeElement);
    const place = inside ? at + by : at;
    if (place >= buttons.length && !more.hidden) extend();
    const target = list.querySelectorAll(".item")[Math.max(place, 0)];
    if (target) target.focus();
  };

  // An opened row ------------------------------------------------------------------------------------------------------

  const headed = (title, item, iteration, prediction, draft) => {
    const all = draftsOf(item, iteration);
    const says = prediction ? `Predicts ${level(prediction[SAID])}, ${data.fits[prediction[FIT]]}. ` : "";
    const heard = !draft ? "" : draft[PREDICTED] < 0 ? `: ${data.outcomes[draft[OUTCOME]][1]}` : ` says ${level(draft[PREDICTED])}`;
    const told = draft ? `Draft ${all.indexOf(draft) + 1} of ${all.length}${heard}.` : "Its drafts are not on this page.";
    return [make("h3", {}, title), make("p", { class: "facts" }, visible(says + told))];
  };

  const rationales = (item) => {
    const { best, start } = data.runs[item[RUN_OF]];
    const after = speaker(item, best, item[AFTER]);
    if (best === 0) {
      return make("div", {}, ...headed(`The ${start}, which is the chosen one`, item, 0, item[AFTER], after), after ? marked(wordsOf(after[TEXT]), new Set(), "ins") : "");
    }
    const before = speaker(item, 0, item[BEFORE]);
    const [was, is] = [before ? wordsOf(before[TEXT]) : [], after ? wordsOf(after[TEXT]) : []];
    const [left, gone] = before && after ? differing(was, is) : [new Set(), new Set()];
    const key = before && after && (left.size || gone.size) ? [make("p", { class: "facts" }, "Marked: words of one text that the other has not at that place. ", make("del", {}, "only before"), ", ", make("ins", {}, "only after"), ".")] : [];
    return make(
      "div",
      {},
      make(
        "div",
        { class: "beside" },
        make("div", {}, ...headed(`Before: the ${start}`, item, 0, item[BEFORE], before), before ? marked(was, left, "del") : ""),
        make("div", {}, ...headed(`After: iteration ${best}`, item, best, item[AFTER], after), after ? marked(is, gone, "ins") : ""),
      ),
      ...key,
    );
  };

  /** The probabilities in numbers, beside the ratings. */
  const numbers = (item) => {
    if (data.open) return "";
    const { scale } = data.runs[item[RUN_OF]];
    const compared = isTrained(item) && item[BEFORE];
    const bar = (share, how) =>
      draw("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, draw("rect", { class: how, x: 0, y: 0, width: 100 * share, height: 8 }));
    const cells = (share, how) => make("td", {}, bar(share, how), make("span", {}, percent(share)));
    const rated = (number) => item[RATINGS].filter((rating) => rating === number).length;
    const head = ["level", ...(item[RATINGS].length > 1 ? ["people"] : []), ...(compared ? ["before"] : []), compared ? "after" : "probability"];
    return make(
      "table",
      { class: "probabilities" },
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col" }, name)))),
      make(
        "tbody",
        {},
        ...scale.map((number, n) =>
          make(
            "tr",
            {},
            make("th", { scope: "row" }, number === labelOf(item) ? chip(level(number)) : visible(level(number))),
            ...(item[RATINGS].length > 1 ? [make("td", {}, rated(number) ? `×${rated(number)}` : "")] : []),
            ...(compared ? [cells(item[BEFORE][TOLD][n], "was")] : []),
            cells(item[AFTER][TOLD][n], number === labelOf(item) ? "same" : "is"),
          ),
        ),
      ),
    );
  };

  const link = (view, filters, text) => make("a", { href: `#${view}?${new URLSearchParams(filters)}` }, text);

  const opened = (item) => {
    const fields = texts(item).flatMap(([name, text]) => [make("h3", {}, visible(name)), make("pre", { dir: "auto" }, visible(text) || "(empty)")]);
    const right = data.open ? [make("h3", {}, PEOPLE), make("pre", { dir: "auto" }, visible(level(labelOf(item))))] : [];
    const id = exampleOf(item)[ID];
    return [
      make("div", { class: "halves" }, make("div", {}, ...fields), make("div", {}, ...right, numbers(item))),
      rationales(item),
      make("p", { class: "facts" }, visible(`Item ${id}, ${SPLITS[item[SPLIT]]} set. `), link("rationales", { q: id }, "All its drafts, with prompts"), ". ", link("items", { open: id }, "Link to this item"), "."),
    ];
  };

  // Events -------------------------------------------------------------------------------------------------------------

  search.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(filter, 120);
  });
  sort.addEventListener("change", filter);
  clear.addEventListener("click", () => {
    for (const facet of shownFacets) facet.chosen.clear();
    search.value = "";
    filter();
    search.focus();
  });
  more.addEventListener("click", () => {
    const before = shown;
    extend();
    list.children[before].querySelector(".item").focus();
  });

  const place = document.getElementById("list-of-items");
  if (items.length === 0) {
    place.append(
      make("p", { class: "empty" }, "No item is evaluated yet. This list fills after the first evaluation on the validation set or the test set. ", make("code", {}, "rationem fit --output RUN"), " goes on with a run; ", make("code", {}, "--validation-share"), " and ", make("code", {}, "--test-share"), " set items aside to evaluate."),
    );
  } else {
    const apart = items.filter((item) => !isRight(item[AFTER])).length;
    const all = data.scored > items.length ? `${figure(items.length)} of ${figure(data.scored)} items are on this page, those whose drafts it holds. ` : "";
    const each = data.runs.length > 1 ? "items of all runs" : "items";
    const sets = SPLITS.map((name, n) => [name, items.filter((item) => item[SPLIT] === n)]).filter(([, of]) => of.length);
    const by = sets.map(([name, of]) => `${name} ${figure(of.filter((item) => !isRight(item[AFTER])).length)} of ${figure(of.length)}`).join(", ");
    const told = apart
      ? `${all}In ${figure(apart)} of ${figure(items.length)} ${each} (${by}) the ${data.words.who} ${LABEL === "label" ? "disagrees with people" : "is not right"}; they come first.`
      : `${all}The ${data.words.who} ${LABEL === "label" ? "agrees with people" : "is right"} in all ${figure(items.length)} ${each} of ${sets.map(([name]) => name).join(" and ")}.`;
    place.append(
      make("p", {}, told),
      make("div", { class: "tools" }, make("label", {}, "Search items and rationales", search), make("label", {}, "Sort by", sort)),
      narrow,
      make("div", { class: "paging" }, count, clear, make("span", { class: "keys" }, make("kbd", {}, "j"), " ", make("kbd", {}, "k"), " move, ", make("kbd", {}, "Enter"), " opens")),
      list,
      more,
    );
    apply();
    moving.push([document.getElementById("items"), move]);
    address.follow("items", restore);
  }
  place.hidden = false;
})();
