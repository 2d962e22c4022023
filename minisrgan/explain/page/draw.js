// Drawing: maps as pictures, numbers in cells, curves, lists. The colours are those of show/: blue below 0, vermillion
// above, which colour-blind readers tell apart; white is 0.
"use strict";

const LOW = [0, 114, 178], HIGH = [213, 94, 0];

// Make an element: h("p", { class: "note" }, "text", child). Functions are handlers, null and false are left out.
function h(tag, attributes = {}, ...children) {
  const svg = ["svg", "path", "rect", "circle", "line", "text"].includes(tag);
  const element = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value);
  }
  element.append(...children.flat().filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

// The colour of a number between -limit and limit, as [red, green, blue].
function colour(value, limit) {
  const t = limit > 0 ? Math.max(-1, Math.min(1, value / limit)) : 0, end = t < 0 ? LOW : HIGH, s = Math.abs(t);
  return end.map(v => Math.round(255 + (v - 255) * s));
}

// The colours of -1 to 1 in 511 steps, for pictures.
const SHADES = Array.from({ length: 511 }, (_, k) => colour((k - 255) / 255, 1));

const css = (value, limit) => `rgb(${colour(value, limit).join(" ")})`;

// The colour of text on this background: black, or white if it has more contrast (WCAG 2.2: relative luminance).
function ink(value, limit) {
  const [r, g, b] = colour(value, limit).map(v => v <= 10 ? v / 3295 : ((v / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 0.179 ? "#fff" : "#000";
}

// Draw one channel of a map into a canvas, one pixel per number; channel "rgb" draws three as a photograph.
function drawMap(canvas, values, picture, image, channel) {
  const { rows, columns, channels, size } = picture, start = image * size;
  canvas.width = columns; canvas.height = rows;
  const context = canvas.getContext("2d"), pixels = context.createImageData(columns, rows);
  if (channel === "rgb") {
    const { low, high } = rangeOf(values, start, start + size);
    const base = low < -0.02 ? -1 : 0;  // photographs are in [-1, 1] or in [0, 1]
    for (let i = 0; i < rows * columns; i++) {
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = 255 * (values[start + 3 * i + c] - base) / (1 - base);
      pixels.data[4 * i + 3] = 255;
    }
  } else {
    const range = rangeOf(values, start + channel, start + size, channels), limit = Math.max(-range.low, range.high);
    for (let i = 0; i < rows * columns; i++) {
      if (i * channels + channel >= size) continue;
      const shade = SHADES[255 + Math.round(255 * Math.max(-1, Math.min(1, values[start + i * channels + channel] / limit || 0)))];
      for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = shade[c];
      pixels.data[4 * i + 3] = 255;
    }
  }
  context.putImageData(pixels, 0, 0);
}

// Three channels in the range of a photograph are drawn as one.
function isPhoto(values, picture) {
  if (picture.channels !== 3) return false;
  const { low, high } = rangeOf(values);
  return low > -2 && high < 2;
}

// Return the channels of a map with the largest standard deviations, the largest first.
function strongest(values, picture, image, count) {
  const { channels, size } = picture, start = image * size;
  const spread = Array.from({ length: channels }, (_, c) => rangeOf(values, start + c, start + size, channels).std);
  return spread.map((std, c) => c).sort((a, b) => spread[b] - spread[a] || a - b).slice(0, count);
}

// A histogram of numbers as a picture with an alternative text.
function histogram(values, start, end, step) {
  const range = rangeOf(values, start, end, step), bins = new Array(40).fill(0), width = range.high - range.low || 1;
  for (let i = start; i < end; i += step) bins[Math.min(39, Math.floor((values[i] - range.low) / width * 40))]++;
  const top = Math.max(...bins), limit = Math.max(-range.low, range.high);
  const bars = bins.map((n, k) => h("rect", { x: k * 5, y: 40 - 40 * n / top, width: 4.4, height: 40 * n / top + 0.3,
    fill: css(range.low + (k + 0.5) * width / 40, limit), stroke: "#777", "stroke-width": 0.4 }));
  const text = `${range.count} numbers from ${show(range.low)} to ${show(range.high)}, mean ${show(range.mean)}, standard deviation ${show(range.std)}`;
  return h("figure", { style: "margin: 0.3rem 0" },
    h("svg", { viewBox: "0 0 200 41", width: "100%", style: "max-width: 22rem; height: 3.4rem", preserveAspectRatio: "none", role: "img", "aria-label": `Histogram: ${text}` }, bars),
    h("figcaption", {}, text));
}

// Numbers in a table of coloured cells. If `go` is given, each cell is a button that calls go(k).
function cells(numbers, columns, { digits = true, go = null, mark = -1, label = "", limit = 0 } = {}) {
  const most = limit || numbers.reduce((m, v) => v === null ? m : Math.max(m, Math.abs(v)), 0), rows = [];
  for (let r = 0; r < numbers.length; r += columns) {
    rows.push(h("tr", {}, numbers.slice(r, r + columns).map((v, c) => {
      const k = r + c;
      if (v === null) return h("td", { class: "zero", title: "a zero of the padding" }, digits ? "0" : "");
      const text = digits ? show(Number(v.toPrecision(3))) : "", style = `background: ${css(v, most)}; color: ${ink(v, most)}`
        + (k === mark ? "; outline: 3px solid #009E73; outline-offset: -3px" : "");
      return h("td", { style, title: show(v) }, go ? h("button", { type: "button", click: () => go(k), "aria-label": `${label} ${show(v)}` }, text) : text);
    })));
  }
  return h("table", { class: digits ? "cells" : "cells small", "aria-label": label }, h("tbody", {}, rows));
}

// The graph of a function with the point (x, f(x)) on it.
function curve(f, x, low, high) {
  low = Math.min(low, x, -1); high = Math.max(high, x, 1);
  const points = Array.from({ length: 121 }, (_, k) => low + (high - low) * k / 120), ys = points.map(f);
  const bottom = Math.min(0, ...ys), top = Math.max(0, ...ys), px = v => 10 + 280 * (v - low) / (high - low);
  const py = v => 150 - 140 * (v - bottom) / (top - bottom || 1), y = f(x);
  return h("svg", { viewBox: "0 0 300 160", style: "width: 100%; max-width: 22rem", role: "img", "aria-label": `The graph of the function; the point is at x = ${show(x)}, y = ${show(y)}` },
    h("line", { x1: 0, x2: 300, y1: py(0), y2: py(0), stroke: "#999" }), h("line", { x1: px(0), x2: px(0), y1: 0, y2: 160, stroke: "#999" }),
    h("path", { d: points.map((v, k) => `${k ? "L" : "M"}${px(v).toFixed(1)} ${py(ys[k]).toFixed(1)}`).join(""), fill: "none", stroke: "#0072B2", "stroke-width": 2.5 }),
    h("path", { d: `M${px(x)} ${py(0)}V${py(y)}H${px(0)}`, fill: "none", stroke: "#D55E00", "stroke-dasharray": "4 3" }),
    h("circle", { cx: px(x), cy: py(y), r: 5, fill: "#D55E00" }),
    h("text", { x: Math.min(px(x) + 8, 190), y: Math.max(14, py(y) - 8), "font-size": 12 }, `(${show(x)}, ${show(y)})`));
}

// A sortable list of all products of a sum; rows are added while the reader scrolls; a printed page has 600. `go(name, index)` jumps to a number.
function termsList(terms, places, go) {
  const order = Array.from({ length: terms.count }, (_, k) => k), value = k => terms.a[k] * terms.b[k];
  const keys = { order: null, product: k => -Math.abs(value(k)), a: k => -Math.abs(terms.a[k]), b: k => -Math.abs(terms.b[k]) };
  const body = h("tbody"), rest = h("p", { class: "note" }), box = h("div", { class: "list", tabindex: 0, role: "group", "aria-label": `All ${terms.count} products` });
  let shown = 0;
  const link = (name, index) => index < 0 || !places[name] ? h("td", { class: "place" }, index < 0 ? "" : `${name}`)
    : h("td", { class: "place" }, h("button", { type: "button", class: "link", click: () => go(name, index) }, at(name, index, places[name].shape)));
  function more(count) {
    for (const k of order.slice(shown, shown + count)) {
      body.append(h("tr", {}, h("td", { style: "font-weight: 600" }, show(value(k))), h("td", {}, show(terms.a[k])),
        terms.names ? h("td", { class: "place" }, terms.names[k]) : link(terms.nameA, terms.ia[k]),
        h("td", {}, show(terms.b[k])), link(terms.nameB, terms.ib[k])));
    }
    shown = Math.min(order.length, shown + count);
    rest.textContent = shown < order.length ? `and ${order.length - shown} more` : "";
  }
  function sort(key) {
    const by = keys[key] && Float64Array.from(terms.a, (_, k) => keys[key](k));
    order.sort(by ? (p, q) => by[p] - by[q] : (p, q) => p - q);
    body.replaceChildren();
    shown = 0;
    more(24);
    for (const button of head.querySelectorAll("button")) button.setAttribute("aria-pressed", button.dataset.key === key);
  }
  const title = (text, key) => h("th", { scope: "col" }, h("button", { type: "button", "data-key": key, title: "sort by it", click: () => sort(key) }, text));
  const head = h("tr", {}, title("product", "product"), title(terms.nameA, "a"), title("place", "order"), title(terms.nameB, "b"), h("th", {}, ""));
  box.append(h("table", { class: "terms" }, h("thead", {}, head), body), rest);
  box.addEventListener("scroll", () => { if (box.scrollTop + box.clientHeight > box.scrollHeight - 200) more(200); });
  box.addEventListener("print", () => more(Math.max(0, 600 - shown)));
  sort("product");
  return box;
}
