// What moves on the gate's pages. Everything here is an enhancement: without
// it the pages show the same, as of when they were loaded.
"use strict";

const find = document.getElementById("find");

function filterItems() {
  const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const item of document.querySelectorAll(".item")) {
    const text = item.dataset.text.toLowerCase();
    item.hidden = !words.every((w) => text.includes(w));
  }
  const query = new URLSearchParams(find.value ? { q: find.value } : {});
  history.replaceState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}${location.hash}`);
}

if (find) {
  find.value = new URLSearchParams(location.search).get("q") ?? "";
  find.addEventListener("input", filterItems);
  filterItems();
}

document.addEventListener("keydown", (e) => {
  const typing = e.target.matches("input, select, textarea");
  if (e.key === "/" && !typing && find) {
    e.preventDefault();
    find.focus();
  } else if (e.key === "Escape" && e.target === find) {
    find.value = "";
    filterItems();
    find.blur();
  }
});

// keepOpen carries the reader's open <details> and focus over a refresh.
function replace(place, html) {
  const open = [...place.querySelectorAll("details")].map((d) => d.open);
  const focused = place.contains(document.activeElement) ? document.activeElement.getAttribute("href") : null;
  place.innerHTML = html;
  place.querySelectorAll("details").forEach((d, i) => { d.open = open[i] ?? false; });
  if (focused) place.querySelector(`a[href="${CSS.escape(focused)}"]`)?.focus();
}

const live = document.querySelector("[data-live]");
const flow = document.getElementById("flow");
if (live && !("ended" in live.dataset)) {
  const events = new EventSource("/events");
  let busy = false, again = false;
  const refresh = async () => {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch(live.dataset.live);
      if (answer.ok) {
        replace(live, await answer.text());
        if (find) filterItems();
        if (live.querySelector("[data-ended]")) { events.close(); clearInterval(timer); }
      }
    } catch { /* the stream says that the server is gone */ }
    busy = false;
    if (again) { again = false; refresh(); }
  };
  events.addEventListener("changed", refresh);
  events.onopen = () => { flow.textContent = ""; };
  events.onerror = () => { flow.textContent = "The gate does not answer; trying again…"; };
  const timer = setInterval(refresh, 5000); // times and progress move without an event
  addEventListener("pagehide", () => events.close());
}

// The log: text only, never markup. Output is anybody's.
const log = document.getElementById("log");
const maxLines = 20000;
const line = /^(\d{4}-\d\d-\d\d (\d\d:\d\d:\d\d\.\d)\d*) \| (.*)$/;
// eslint-disable-next-line no-control-regex
const escapes = /\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07]*\x07|[\x00-\x08\x0b-\x1f\x7f]/g;

function logLine(text, number) {
  const row = document.createElement("div");
  row.id = `L${number}`;
  const anchor = document.createElement("a");
  anchor.href = `#L${number}`;
  anchor.textContent = number;
  const time = document.createElement("i");
  const body = document.createElement("span");
  const parts = line.exec(text);
  let output = parts ? parts[3] : text;
  time.textContent = parts ? parts[2] : "";
  output = output.replace(escapes, "");
  body.textContent = output;
  if (output.startsWith("==> ")) row.className = / failed | was ended| was lost|: (FAILURE|TIMED_OUT|DISK_FULL|ERROR|RETRY|POST_FAILURE|NODE_FAILURE)/.test(output) ? "say fail" : "say";
  else if (/^\s*--- FAIL: |^FAIL\s|^panic: |^\S+\.go:\d+:\d+: /.test(output)) row.className = "fail";
  row.append(anchor, time, body);
  return row;
}

async function readLog() {
  const follow = document.getElementById("follow");
  const state = document.getElementById("log-state");
  let offset = 0, number = 0, rest = "", jumped = false;
  const decoder = new TextDecoder();
  const show = (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    if (!lines.length) return;
    const rows = document.createDocumentFragment();
    for (const l of lines) rows.append(logLine(l, ++number));
    log.append(rows);
    while (log.childElementCount > maxLines) log.firstElementChild.remove();
    if (number > maxLines) state.textContent = `showing the last ${maxLines} lines; the raw log has all`;
    if (!jumped && /^#L\d+$/.test(location.hash) && document.getElementById(location.hash.slice(1))) {
      jumped = true;
      follow.checked = false;
      document.getElementById(location.hash.slice(1)).scrollIntoView({ block: "center" });
    }
    if (follow.checked) log.scrollTop = log.scrollHeight;
  };
  for (let pause = 1000; ; pause = Math.min(pause * 2, 15000)) {
    try {
      const answer = await fetch(`${log.dataset.stream}?offset=${offset}`);
      if (answer.status === 404) { state.textContent = "no output yet"; }
      else if (answer.ok) {
        state.textContent = "";
        const reader = answer.body.getReader();
        for (;;) {
          const { done, value } = await reader.read();
          if (done) return;
          pause = 1000;
          offset += value.length;
          show(decoder.decode(value, { stream: true }));
        }
      }
    } catch { state.textContent = "the connection was lost; trying again…"; }
    await new Promise((r) => setTimeout(r, pause));
    if (document.querySelector("#build [data-ended]") && state.textContent === "no output yet") {
      state.textContent = "there is no log: none was written, or it is not kept any longer";
      return;
    }
  }
}

if (log) {
  log.addEventListener("wheel", (e) => { if (e.deltaY < 0) document.getElementById("follow").checked = false; }, { passive: true });
  readLog();
}
