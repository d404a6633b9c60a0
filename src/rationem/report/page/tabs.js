// Sections that a page shows one at a time. Without a script all of them stand below each other.
for (const tabs of document.querySelectorAll(".tabs")) {
  const panels = [...tabs.children];
  const bar = make("div", { role: "tablist", "aria-label": tabs.parentElement.querySelector("h2").textContent });
  const buttons = panels.map((panel) => {
    const title = panel.querySelector("h3").textContent;
    return make("button", { type: "button", role: "tab", id: `tab-${panel.id}`, "aria-controls": panel.id }, title);
  });
  const select = (at, named = true) => {
    panels.forEach((panel, n) => {
      panel.hidden = n !== at;
      buttons[n].setAttribute("aria-selected", String(n === at));
      buttons[n].setAttribute("tabindex", n === at ? "0" : "-1");
    });
    if (named) history.replaceState(null, "", `#${panels[at].id}`);
  };
  buttons.forEach((button, n) => {
    panels[n].setAttribute("role", "tabpanel");
    panels[n].setAttribute("aria-labelledby", button.id);
    button.addEventListener("click", () => select(n));
    button.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      const to = (n + by + panels.length) % panels.length;
      select(to);
      buttons[to].focus();
    });
  });
  /** The tab that the address names, or that holds what it names. */
  const follow = () => {
    const at = panels.findIndex((panel) => panel.id === location.hash.slice(1));
    if (at < 0) return;
    select(at, false);
    tabs.parentElement.scrollIntoView({ block: "start" });
  };
  bar.append(...buttons);
  tabs.prepend(bar);
  select(0, false);
  addEventListener("hashchange", follow);
  follow();
}
