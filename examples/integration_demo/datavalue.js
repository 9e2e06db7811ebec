// A DataValue as a typed tree beside its bytes: a node that is pointed at or focused lights its bytes.

import { parse } from "/decoder/datavalue.js";
import { el, facts, whole } from "./ui.js";

const PER_LINE = 16;
const MOST_BYTES = 4096;
const OPEN_NODES = 400;

const count = (number) => `${whole(number)} ${number === 1 ? "item" : "items"}`;

function shown(type, value) {
  let text = type === "String" ? JSON.stringify(value) : String(value ?? "");
  if (type === "Array") text = `${value.format}[${value.shape.join(", ")}]: ${value.items.join(", ")}`;
  if (Object.is(value, -0)) text = "-0";
  if (type === "Float" && /^-?\d+$/.test(text)) text += ".0";
  return text.length > 80 ? `${text.slice(0, 80)}…` : text;
}

export function showValue(answer) {
  const hex = hexView(answer.hex);
  const buttons = [];
  let left = OPEN_NODES;
  let chosen = null;

  function node({ key, type, form, offset, size, value, children }) {
    left -= 1;
    const place = size ? `${form}, bytes ${offset} to ${offset + size - 1}` : `${form}, no bytes of its own`;
    const button = el("button", { type: "button", title: place, tabindex: buttons.length ? "-1" : "0" },
      el("span", { class: "offset" }, String(offset)),
      key === undefined ? null : el("span", {}, `${key}:`),
      el("span", { class: "type" }, type),
      el("span", {}, children ? count(children.length) : shown(type, value)));
    buttons.push(button);
    const light = (scroll) => {
      chosen?.classList.remove("chosen");
      (chosen ?? buttons[0]).tabIndex = -1;
      chosen = button;
      button.tabIndex = 0;
      button.classList.add("chosen");
      hex.light(offset, size, scroll);
    };
    button.addEventListener("mouseenter", () => light(false));
    button.addEventListener("focus", () => light(true));
    button.addEventListener("click", () => light(true));
    const item = el("li", {}, button);
    if (children) {
      const list = el("ul", { style: "padding-left: 1.1rem" });
      for (const child of children) {
        if (left <= 0) {
          list.append(el("li", { class: "quiet" }, `… ${children.length - list.children.length} more`));
          break;
        }
        list.append(node(child));
      }
      item.append(list);
    }
    return item;
  }

  // One stop for the tab key, whatever the size of the tree; the arrows go from node to node.
  const move = (event) => {
    const at = buttons.indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: buttons.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    buttons[to]?.focus();
  };

  const saved = 100 * (1 - answer.size / answer.json_size);
  const equal = answer.round_trip === "equal";
  const here = JSON.stringify(parse(fromHex(answer.hex))) === JSON.stringify(answer.tree);
  return [
    facts([
      ["DataValue", `${whole(answer.size)} B`],
      ["JSON", `${whole(answer.json_size)} B`],
      ["DataValue is", saved >= 0 ? `${saved.toFixed(0)} % smaller` : `${(-saved).toFixed(0)} % larger`],
      ["round trip", answer.round_trip, equal ? "good" : "bad"],
      ["decoded in this page", here ? "the same tree" : "another tree", here ? "good" : "bad"],
    ]),
    el("div", { class: "split", "aria-live": "off" },
      el("div", { class: "pane", role: "region", "aria-label": "Typed tree with byte offsets, arrow keys move in it" }, el("ul", { class: "tree", onkeydown: move }, node(answer.tree))),
      el("div", { class: "pane", role: "region", tabindex: "0", "aria-label": "Bytes in hexadecimal" }, hex.root)),
  ];
}

const fromHex = (text) => Uint8Array.from(text.match(/../g) || [], (pair) => parseInt(pair, 16));

function hexView(text) {
  const bytes = text.match(/../g)?.slice(0, MOST_BYTES) || [];
  const cells = [];
  const root = el("div", { class: "hex" });
  for (let start = 0; start < bytes.length; start += PER_LINE) {
    const row = bytes.slice(start, start + PER_LINE);
    const pairs = row.map((pair) => el("i", {}, pair));
    const glyphs = row.map((pair) => {
      const code = parseInt(pair, 16);
      return el("i", {}, code >= 32 && code < 127 ? String.fromCharCode(code) : "·");
    });
    pairs.forEach((pair, index) => cells.push([pair, glyphs[index]]));
    const padding = Array.from({ length: PER_LINE - row.length }, () => el("i", {}, "\u00a0\u00a0"));
    root.append(el("div", {}, el("span", { class: "offset" }, start.toString(10).padStart(5)), ...pairs, ...padding, el("span", { class: "text" }, ...glyphs)));
  }
  if (text.length / 2 > MOST_BYTES) root.append(el("div", {}, `… ${whole(text.length / 2 - MOST_BYTES)} bytes more`));
  let lit = [];
  return {
    root,
    light(offset, size, scroll) {
      lit.forEach((cell) => cell.classList.remove("lit"));
      lit = cells.slice(offset, offset + size).flat();
      lit.forEach((cell) => cell.classList.add("lit"));
      if (scroll) lit[0]?.scrollIntoView({ block: "nearest", inline: "nearest" });
    },
  };
}
