// Keys for everything. The pages work without.
"use strict";

document.documentElement.classList.add("scripted");

(() => {
  const all = (selector) => [...document.querySelectorAll(selector)];

  // Moves a mark along a list of elements and brings it into view.
  const cursor = (selector) => {
    let here = null;
    return {
      move(by) {
        const list = all(selector);
        if (!list.length) return;
        let at = list.indexOf(here);
        if (at < 0) {
          // Begin with what is on the screen.
          const below = list.findIndex((e) => e.getBoundingClientRect().top > 60);
          at = by > 0 ? (below < 0 ? list.length - 1 : below) - 1 : below < 0 ? list.length : below;
        }
        at = Math.min(Math.max(at + by, 0), list.length - 1);
        here?.classList.remove("here");
        here = list[at];
        here.classList.add("here");
        here.scrollIntoView({ block: here.matches("tr") ? "center" : "start" });
      },
      get element() {
        return here && here.isConnected ? here : null;
      },
    };
  };

  const items = cursor("table.changes tbody tr, details.file");
  const runs = cursor("details.file[open] tr[data-run]");

  const keys = {
    "/": () => document.getElementById("q").select(),
    j: () => items.move(1),
    k: () => items.move(-1),
    n: () => runs.move(1),
    p: () => runs.move(-1),
    o: () => {
      const e = items.element;
      if (!e) return;
      if (e.dataset.url) location.href = e.dataset.url;
      else e.open = !e.open;
    },
    a: () => document.getElementById("message")?.focus(),
    x: () => all("details.file").forEach((e) => (e.open = true)),
    z: () => all("details.file").forEach((e) => (e.open = false)),
    u: () => (location.href = "/"),
    "?": () => document.getElementById("keys").showModal(),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.target.closest("input, textarea, select, dialog")) {
      if (event.key === "Escape") event.target.blur();
      return;
    }
    const act = keys[event.key === "Enter" && event.target === document.body ? "o" : event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });
})();
