// What every card is made of: elements, figures as text, results, errors, the curl line.

export function el(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (key === "style") node.style.cssText = value;
    else if (value !== null && value !== false) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

export function size(bytes) {
  if (bytes < 1024) return `${bytes} B`;
  const units = ["KiB", "MiB", "GiB"];
  let value = bytes / 1024;
  while (value >= 1024 && units.length > 1) { value /= 1024; units.shift(); }
  return `${value.toFixed(value < 10 ? 2 : 1)} ${units[0]}`;
}

export const whole = (number) => number.toLocaleString("en");

export function duration(microseconds) {
  if (microseconds < 1000) return `${microseconds.toFixed(microseconds < 10 ? 2 : 1)} µs`;
  if (microseconds < 1e6) return `${(microseconds / 1000).toFixed(2)} ms`;
  return `${(microseconds / 1e6).toFixed(2)} s`;
}

export async function sha256(bytes) {
  const digest = await crypto.subtle.digest("SHA-256", bytes);
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// A list of [term, value, class]; a null row is left out.
export function facts(rows) {
  return el("dl", { class: "facts" }, ...rows.filter(Boolean).map(([term, value, style]) =>
    el("div", {}, el("dt", {}, term), el("dd", { class: style || "" }, value))));
}

// A table that rows are added to as they come; keeps the last `most` of them in the page.  A column that begins with "<"
// stands to the left.
export function table(names, most = 500) {
  const columns = names.map((name) => name.replace(/^</, ""));
  const body = el("tbody");
  const box = el("div", { class: "log", tabindex: "0", role: "region", "aria-label": columns.filter(Boolean).join(", ") },
    el("table", {}, el("thead", {}, el("tr", {}, ...columns.map((column, index) => el("th", { scope: "col", class: names[index] === column ? "" : "text" }, column)))), body));
  let waiting = [];
  const show = () => {
    const atEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
    body.append(...waiting);
    waiting = [];
    while (body.children.length > most) body.firstElementChild.remove();
    if (atEnd) box.scrollTop = box.scrollHeight;
  };
  // Once a frame: asking where the box is scrolled to lays it out anew, and a hundred rows a second, each by itself, left no
  // time for a click.
  const put = (row) => {
    if (waiting.push(row) === 1) requestAnimationFrame(show);
    if (waiting.length > most) waiting.shift(); // a hidden page has no frames
  };
  const cellOf = (cell) => cell instanceof HTMLTableCellElement ? cell : el("td", {}, cell instanceof Node ? cell : String(cell));
  return {
    box,
    add(...cells) { put(el("tr", { class: "new" }, ...cells.map(cellOf))); },
    group(title) { put(el("tr", { class: "group" }, el("td", { colspan: columns.length }, title))); },
  };
}

// The error of an answer: problem+json (RFC 9457), or whatever text came.
export async function problem(response) {
  const text = (await response.text()).replace(/^\d{3} .*\n?/, ""); // text begins with the status, which is told already
  let detail = text;
  try {
    const body = JSON.parse(text);
    detail = body.detail || body.title || text;
  } catch { /* plain text */ }
  return new Error(`${response.status}: ${detail.trim() || response.statusText}`);
}

export async function fetchJson(url, options) {
  const response = await fetch(url, { headers: { Accept: "application/json" }, ...options });
  if (!response.ok) throw await problem(response);
  return response.json();
}

// One card: its form, its result, its curl line, and one run at a time.
export class Card {
  constructor(id, { run, curl }) {
    this.root = document.getElementById(id);
    this.form = this.root.querySelector("form");
    this.result = this.root.querySelector(".result");
    this.progress = this.root.querySelector("progress");
    this.abort = null;
    if (this.progress) this.progress.hidden = true;
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.start((signal) => run(this, signal));
    });
    this.on("stop", () => this.abort?.abort());
    this.form.addEventListener("input", () => this.showCurl(curl(this)));
    addEventListener("pageshow", () => this.showCurl(curl(this))); // going back fills the form in again, without an event
    this.showCurl(curl(this));
  }

  button(name) { return this.root.querySelector(`[data-do=${name}]`); }

  on(name, act) { this.button(name)?.addEventListener("click", act); }

  value(name) { return this.form.elements[name].value; }

  query(...names) { return new URLSearchParams(names.map((name) => [name, this.value(name)])).toString(); }

  // Runs `work(signal)`, with Stop enabled while it runs and its error shown when it fails.
  async start(work) {
    if (this.abort || !this.form.reportValidity()) return;
    const abort = this.abort = new AbortController();
    const stop = this.button("stop");
    const buttons = [...this.form.querySelectorAll("button")].filter((button) => button !== stop);
    const pressed = buttons.find((button) => button === document.activeElement);
    for (const button of buttons) {
      button.wasDisabled = button.disabled;
      button.disabled = true;
    }
    if (stop) stop.disabled = false;
    if (pressed) stop?.focus({ preventScroll: true }); // a button that is disabled loses the focus, and the keyboard its place
    this.root.setAttribute("aria-busy", "true");
    try {
      await work(abort.signal);
    } catch (error) {
      if (abort.signal.aborted) this.result.append(el("p", { class: "quiet" }, "Stopped."));
      else this.fail(error);
    } finally {
      this.abort = null;
      for (const button of buttons) button.disabled = button.wasDisabled;
      if (pressed && [stop, document.body].includes(document.activeElement)) pressed.focus({ preventScroll: true });
      if (stop) stop.disabled = true;
      this.root.removeAttribute("aria-busy");
    }
  }

  // What a button is to be once the run is over.
  enable(name, enabled) {
    const button = this.button(name);
    if (this.abort) button.wasDisabled = !enabled;
    else button.disabled = !enabled;
  }

  show(...nodes) {
    this.result.replaceChildren(...nodes.filter((node) => node !== null));
    for (const log of this.result.querySelectorAll(".log")) log.scrollTop = log.scrollHeight;
  }

  fail(error) {
    const text = error instanceof TypeError ? `${error.message}: is the server still running?` : error.message;
    this.result.append(el("p", { class: "error", role: "alert" }, text));
  }

  advance(done, total) {
    this.progress.hidden = false;
    if (total) this.progress.value = done / total;
    else this.progress.removeAttribute("value");
  }

  showCurl(line) {
    const copy = el("button", { type: "button", class: "second", "aria-label": "Copy the curl line" }, "Copy");
    const text = el("pre", { tabindex: "0", "aria-label": "The same with curl" }, line);
    copy.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(line);
        copy.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(text); // no clipboard here: chosen, ready for Ctrl-C
        copy.textContent = "Chosen";
      }
      setTimeout(() => { copy.textContent = "Copy"; }, 1500);
    });
    this.root.querySelector(".curl").replaceChildren(text, copy);
  }
}

export const here = (path) => `${location.origin}${path}`;
