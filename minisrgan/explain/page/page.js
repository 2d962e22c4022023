// The current choice, the three panels that show it, computing in the background, and the keyboard.
"use strict";

const told = JSON.parse(document.getElementById("record").textContent), record = new Record(told);
const panel = id => document.getElementById(id);
const hasLoss = record.networks[0].steps.some(s => s.flows);

// Everything that is chosen. `weight` is the element of a parameter whose gradient is explained; `follow` is a pixel of a step.
let chosen = { network: 0, step: 0, index: 0, view: "value", weight: null, follow: null, colours: true };
const before = [], open = new Set();

const network = () => record.networks[chosen.network];
const step = () => network().steps[chosen.step];
const gradientView = () => chosen.view === "gradient" && step().flows;

function go(change, remember = true) {
  if (remember) before.push(chosen);
  chosen = { weight: null, ...chosen, ...change };
  if (!("weight" in change)) chosen.weight = null;
  if ("step" in change && !("index" in change)) chosen.index = nearest(change.step);
  if ("step" in change) unfold(step());
  showAll();
}

function back() {
  if (before.length) { chosen = before.pop(); unfold(step()); showAll(); }
}

// Return the element of another step at the same place of the picture, or at the nearest place.
function nearest(target) {
  const from = pictureOf(step().shape), to = pictureOf(network().steps[target].shape), p = pixelOf(from, chosen.index);
  const scale = (v, a, b) => Math.min(b - 1, Math.floor((v + 0.5) * b / a));
  const row = scale(p.row, from.rows, to.rows), column = scale(p.column, from.columns, to.columns);
  return Math.max(0, indexIn(to, Math.min(p.image, to.images - 1), row, column, Math.min(p.channel, to.channels - 1)));
}

// Computing: first the choice, then the pictures of the map, then everything else; in parts of 5 ms, so that the page
// can answer a click in between.
const PART = 5;
const pause = () => new Promise(done => { const { port1, port2 } = new MessageChannel(); port1.onmessage = done; port2.postMessage(0); });
let busy = false, later = null;

function* everything() {
  for (const n of record.networks) for (const s of n.steps) yield* n.prepare(s, false);
  if (hasLoss) for (const n of record.networks) for (const s of [...n.steps].reverse()) yield* n.prepare(s, true);
}

async function compute() {
  if (busy) return;
  busy = true;
  later ??= everything();
  for (let wanted = null, work = null, end = performance.now() + PART; ;) {
    const key = `${chosen.network} ${chosen.step} ${chosen.view} ${Boolean(chosen.weight)}`;
    if (!isReady()) {
      if (wanted !== key) { wanted = key; work = network().prepareClick(step(), gradientView() || Boolean(chosen.weight)); }
    } else if (wanted !== null) { wanted = null; work = null; showLayer(); showExplanation(); }
    const picture = !work && [...blank.keys()].find(s => thumbValues(s));
    if (picture) drawThumb(picture);
    else if ((work ?? later).next().done && !work) break;
    if (performance.now() > end) {
      showState();
      await pause();
      end = performance.now() + PART;
    }
  }
  busy = false;
  showState();
}

function isReady() { return network().ready(step(), gradientView()) && (!chosen.weight || Boolean(step().grad)); }

function showState() {
  const steps = record.networks.flatMap(n => n.steps), has = steps.filter(s => s.y).length, grads = steps.filter(s => s.flows && s.grad).length;
  const all = steps.filter(s => s.flows).length;
  panel("state").textContent = has < steps.length ? `computing maps: ${has} of ${steps.length}`
    : grads < all ? `computing gradients: ${grads} of ${all}` : "";
}

// The map of the network

const rows = new Map(), blank = new Map();  // buttons by the index of a step; steps whose picture is to be drawn

function treeOf(steps) {
  const root = { path: "", parts: [] };
  for (const s of steps) {
    let node = root;
    const parts = s.group ? s.group.split(".") : [];
    for (let depth = 1; depth <= parts.length; depth++) {
      const path = parts.slice(0, depth).join("."), last = node.parts[node.parts.length - 1];
      if (!(last instanceof Step) && last?.path === path) { node = last; continue; }
      const made = { path, parts: [] };
      node.parts.push(made);
      node = made;
    }
    node.parts.push(s);
  }
  return root;
}

const stepsIn = node => node instanceof Step ? [node] : node.parts.flatMap(stepsIn);
const keyOf = node => `${node.path} ${stepsIn(node)[0].index}`;
let tree = null;

function unfold(s) {
  for (let node = tree; node; node = node.parts.find(part => !(part instanceof Step) && stepsIn(part).includes(s))) if (node.path) open.add(keyOf(node));
}

const countOf = s => s.parameters.reduce((sum, name) => sum + product(s.inputs[name].shape), 0);
const sizeOf = shape => shape.length === 4 ? shape.slice(1).join(" \u00d7 ") : shape.join(" \u00d7 ") || "one number";

function facts(s) {
  const count = countOf(s);
  return [s.alone ? s.title : s.op, sizeOf(s.shape), count ? `${count.toLocaleString("en")} parameters` : ""].filter(Boolean).join(", ");
}

function showMap() {
  rows.clear(); blank.clear();
  const list = h("div", { class: "rows" });
  list.append(...rowsOf(tree));
  panel("map").replaceChildren(h("h2", {}, "Network"), list);
  drawSkips(list);
  markRows();
}

function rowsOf(node) {
  return node.parts.map(part => {
    if (part instanceof Step) {
      const row = h("button", { type: "button", class: "row", click: () => go({ step: part.index }) }, thumbOf(part),
        h("span", { class: "words" }, h("span", { class: "path" }, part.name || part.op), h("span", { class: "facts" }, facts(part))));
      rows.set(part.index, row);
      return row;
    }
    const inside = stepsIn(part), key = keyOf(part), isOpen = open.has(key), last = inside[inside.length - 1];
    const toggle = () => { if (open.has(key)) open.delete(key); else open.add(key); showMap(); };
    const count = inside.reduce((sum, s) => sum + countOf(s), 0);
    const row = h("button", { type: "button", class: "row", click: () => go({ step: last.index }) }, isOpen ? null : thumbOf(last),
      h("span", { class: "words" }, h("span", { class: "path" }, part.path),
        h("span", { class: "facts" }, [told.groups[part.path], `${inside.length} steps`, sizeOf(last.shape), count ? `${count.toLocaleString("en")} parameters` : ""].filter(Boolean).join(", "))));
    if (!isOpen) for (const s of inside) rows.set(s.index, row);
    return h("div", {}, h("div", { class: "folder" },
      h("button", { type: "button", class: "fold", "aria-expanded": isOpen, "aria-label": `${isOpen ? "Fold" : "Unfold"} ${part.path}`, click: toggle }, isOpen ? "\u25be" : "\u25b8"), row),
      isOpen ? h("div", { class: "inside" }, rowsOf(part)) : null);
  });
}

// The picture of a step in the map of the network: drawn once, when its numbers exist and nothing else is urgent.
function thumbOf(s) {
  const kept = s.memory[`thumb ${chosen.view}`] ??= { canvas: h("canvas", { role: "img", "aria-label": `Strongest channel of ${s.name}`, width: 1, height: 1 }) };
  if (!kept.drawn) blank.set(s, kept);
  return kept.canvas;
}

const thumbValues = s => chosen.view === "gradient" && s.flows ? s.grad : s.y;

function drawThumb(s) {
  const values = thumbValues(s), picture = pictureOf(s.shape), kept = blank.get(s);
  drawMap(kept.canvas, values, picture, 0, isPhoto(values, picture) && chosen.view === "value" ? "rgb" : strongest(values, picture, 0, 1)[0]);
  kept.drawn = true;
  blank.delete(s);
}

// Arcs from a step to a later one that uses it: the skip connections.
function drawSkips(list) {
  const top = list.getBoundingClientRect().top, middle = row => { const box = row.getBoundingClientRect(); return (box.top + box.bottom) / 2 - top; };
  const arcs = new Map();
  for (const s of network().steps) for (const source of s.sources) {
    const a = rows.get(source.index), b = rows.get(s.index);
    const between = network().steps.slice(source.index + 1, s.index).some(t => rows.get(t.index) !== a && rows.get(t.index) !== b);
    if (a && b && a !== b && between) arcs.set(`${source.index} ${s.index}`, { from: middle(a), to: middle(b), source, s });
  }
  const lanes = [], marks = [];
  for (const arc of [...arcs.values()].sort((p, q) => (p.to - p.from) - (q.to - q.from))) {
    let lane = lanes.findIndex(ends => ends.every(([from, to]) => arc.to < from + 1 || arc.from > to - 1));
    if (lane < 0) lane = lanes.push([]) - 1;
    lanes[lane].push([arc.from, arc.to]);
    const x = Math.max(3, 33 - 6 * lane);
    marks.push(h("path", { d: `M41 ${arc.from}H${x + 4}Q${x} ${arc.from} ${x} ${arc.from + 4}V${arc.to - 4}Q${x} ${arc.to} ${x + 4} ${arc.to}H35`, fill: "none", stroke: "#444", "stroke-width": 1.5 }),
      h("path", { d: `M35 ${arc.to - 4}l6 4-6 4z`, fill: "#444" }));
  }
  const names = [...arcs.values()].map(({ source, s }) => `${source.name} to ${s.name}`);
  list.prepend(h("svg", { height: list.scrollHeight, role: "img", "aria-label": names.length ? `Skips: ${names.join(", ")}` : "No skips" }, marks));
}

function markRows() {
  const current = rows.get(chosen.step), boxes = followed();
  for (const [index, row] of rows) {
    row.setAttribute("aria-current", row === current);
    row.classList.toggle("followed", Boolean(boxes?.has(network().steps[index])));
  }
  const map = panel("map"), outer = map.getBoundingClientRect(), inner = current?.getBoundingClientRect();
  if (inner && (inner.top < outer.top || inner.bottom > outer.bottom)) map.scrollTop += inner.top - outer.top - outer.height / 3;
}

// The layer

function followed() {
  if (!chosen.follow) return null;
  const { step: index, box, direction } = chosen.follow;
  return network().follow(network().steps[index], box, direction);
}

function showLayer() {
  const s = step(), picture = pictureOf(s.shape), p = pixelOf(picture, chosen.index), gradient = gradientView();
  const values = gradient ? s.grad : s.y, what = gradient ? "gradient" : "map";
  const parameters = s.parameters.map(name => [s.inputs[name].name, s.inputs[name].shape.join(" \u00d7 ")]);
  const used = s.users.map(([user]) => user);
  const facts = h("dl", {}, pairs([["shape", `(${s.shape.join(", ")})`], ["from", links(s.sources)], ["to", links(used)],
    ...parameters.map(([name, shape]) => [name, shape]), ...Object.entries(s.options).filter(([name]) => name !== "source").map(([name, v]) => [name, typeof v === "number" ? show(v) : Array.isArray(v) ? `(${v.join(", ")})` : String(v)])]));
  const head = [h("h2", {}, s.name || s.op), h("p", { class: "note", style: "margin: 0" }, s.title + (s.alone && s.title !== s.op ? ` \u2014 operation ${s.op}` : "")), facts];
  if (chosen.view === "gradient" && !s.flows) head.push(h("p", { class: "note" }, "No gradient arrives here: the loss does not depend on it, or not in a way that is recorded. The values are shown."));
  if (!values) { panel("layer").replaceChildren(...head, h("p", {}, "This map is being computed \u2026")); return; }
  const rgb = !gradient && isPhoto(values, picture), channel = rgb && chosen.colours ? "rgb" : p.channel;
  const select = c => go({ index: indexIn(picture, p.image, p.row, p.column, c), colours: false }, false);
  const kept = s.memory[`drawn ${gradient} ${p.image}`] ??= { best: strongest(values, picture, p.image, 10), canvases: {} };
  const thumb = (c, text) => {
    const canvas = kept.canvases[text] ??= h("canvas", { role: "img", "aria-label": `Channel ${text} of ${s.name}` });
    if (canvas.width === 300) drawMap(canvas, values, picture, p.image, c);  // 300, the default: not drawn yet
    return h("button", { type: "button", class: "thumb", "aria-pressed": c === channel, click: () => c === "rgb" ? go({ colours: true }, false) : select(c) }, canvas, text);
  };
  const shown = [rgb ? thumb("rgb", "RGB") : null, ...kept.best.map(c => thumb(c, String(c)))];
  const field = (label, value, most, change) => h("label", {}, label + " ", h("input", { type: "number", min: 0, max: most - 1, value, change: event => {
    const v = Math.round(Number(event.target.value));
    if (v >= 0 && v < most) change(v); else event.target.value = value;
  } }), h("span", { class: "note" }, ` of ${most}`));
  const canvas = h("canvas", { role: "img", "aria-label": `${what} of ${s.name}, channel ${channel}, ${picture.rows} by ${picture.columns}; arrow keys move the chosen pixel`, tabindex: 0 });
  drawMap(canvas, values, picture, p.image, channel);
  const hover = h("span", { class: "note" }, "\u00a0");
  const indexAt = event => {
    const box = canvas.getBoundingClientRect();
    return indexIn(picture, p.image, Math.min(picture.rows - 1, Math.floor((event.clientY - box.top) / box.height * picture.rows)),
      Math.min(picture.columns - 1, Math.floor((event.clientX - box.left) / box.width * picture.columns)), p.channel);
  };
  canvas.addEventListener("click", event => { const i = indexAt(event); if (i >= 0) go({ index: i }); });
  canvas.addEventListener("mousemove", event => { const i = indexAt(event); hover.textContent = i < 0 ? "\u00a0" : `[${unravel(i, s.shape).join(", ")}] = ${show(values[i])}`; });
  const overlay = h("svg", { viewBox: `0 0 ${picture.columns} ${picture.rows}`, preserveAspectRatio: "none", "aria-hidden": "true" });
  const thin = Math.max(picture.columns, picture.rows) / 130, box = followed()?.get(s);
  const frame = (b, colour, dash) => overlay.append(...[["#fff", 2 * thin], [colour, thin]].map(([c, w]) => h("rect", { x: b[1], y: b[0], width: b[3] - b[1] + 1, height: b[2] - b[0] + 1, fill: "none", stroke: c, "stroke-width": w, "stroke-dasharray": dash && c !== "#fff" ? `${3 * thin} ${2 * thin}` : null })));
  if (box) frame(clip(box, picture), "#009E73", true);
  frame([p.row, p.column, p.row, p.column], "#000", false);
  const size = picture.columns >= picture.rows ? "" : `max-width: ${24 * picture.columns / picture.rows}rem`;
  const start = p.image * picture.size, range = rangeOf(values, start + p.channel, start + picture.size, picture.channels), limit = Math.max(-range.low, range.high);
  panel("layer").replaceChildren(...[...head, h("h3", {}, `${gradient ? "Gradients" : "Maps"}, the most varied first`), h("div", { class: "thumbs" }, shown),
    h("div", { class: "fields" }, picture.images > 1 ? field("image", p.image, picture.images, v => go({ index: indexIn(picture, v, p.row, p.column, p.channel) }, false)) : null,
      picture.channels > 1 ? field("channel", p.channel, picture.channels, select) : null,
      field("row", p.row, picture.rows, v => go({ index: Math.max(0, indexIn(picture, p.image, v, p.column, p.channel)) }, false)),
      field("column", p.column, picture.columns, v => go({ index: Math.max(0, indexIn(picture, p.image, p.row, v, p.channel)) }, false))),
    h("div", { class: "picture", style: size }, canvas, overlay), hover,
    channel === "rgb" ? null : h("div", { class: "scale" }, show(-limit), h("i"), show(limit)),
    histogram(values, start + (channel === "rgb" ? 0 : p.channel), start + picture.size, channel === "rgb" ? 1 : picture.channels), agreement(s, gradient), parting(s)].filter(Boolean));
}

// The difference between the maps of two sets of weights.
function parting(s) {
  const [a, b] = record.networks.map(n => n.steps[s.index].y);
  if (!b || !a) return null;
  let apart = 0, size = 0;
  for (let i = 0; i < a.length; i++) { apart += (a[i] - b[i]) ** 2; size += a[i] ** 2 + b[i] ** 2; }
  const [one, two] = record.networks;
  return h("p", { class: "note" }, `${one.name} and ${two.name} differ here by ${show(100 * Math.sqrt(2 * apart / (size || 1)))} % (root mean square of the difference, over that of the maps).`);
}

const pairs = list => list.filter(([, value]) => value && value.length !== 0).flatMap(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]);
const links = steps => [...new Set(steps)].flatMap((s, k) => [k ? ", " : "", h("button", { type: "button", class: "link", click: () => go({ step: s.index }) }, s.name || s.op)]);

function agreement(s, gradient) {
  if ((gradient ? s.gradient : s.value) !== null) return h("p", { class: "note" }, "These are the library's numbers.");
  const worst = network().compare(s), difference = gradient ? worst.grad : worst.value;
  return h("p", { class: "note" }, `This page computed them from the weights; at ${worst.count} positions they differ from the library's numbers by at most ${show(difference)}.`);
}

// The explanation of the chosen number

function jump(s, name, index) {
  const from = s.inputs[name]?.from;
  if (from) go({ step: from.index, index, view: "value" });
}

function showExplanation() {
  const s = step(), gradient = gradientView();
  if (!isReady()) { panel("explanation").replaceChildren(h("p", {}, "The numbers it comes from are being computed \u2026")); return; }
  const content = chosen.weight ? tellWeight(s) : gradient ? tellGradient(s) : tellValue(s);
  panel("explanation").replaceChildren(...content.filter(Boolean));
}

function formula(op, part) {
  const about = told.operations[op];
  return about ? [h("pre", { class: "formula" }, about[part].replaceAll("`", "")), h("p", { class: "note", style: "margin: 0" }, `${about.summary.replaceAll("`", "")} Source: ${about.where}`)] : [];
}

function places(s) {
  return Object.fromEntries([...s.names.map(name => [name, { shape: s.inputs[name].shape }]), ["grad_y", { shape: s.shape }], ["x_hat", { shape: s.inputs.x?.shape }], ["min(x, 0)", { shape: s.inputs.x?.shape }]]);
}

function goTerm(s) {
  return (name, index) => {
    if (name === "grad_y") return go({ step: s.index, index, view: "gradient" });
    if (name === "x_hat" || name === "min(x, 0)") name = "x";
    if (s.inputs[name]?.from) return jump(s, name, index);
    if (s.parameters.includes(name)) go({ step: s.index, weight: { name, index }, index: chosen.index });
  };
}

function tellValue(s) {
  const i = chosen.index, position = `${s.name || s.op} [${unravel(i, s.shape).join(", ")}]`, out = [h("h2", {}, `${position} = ${show(s.y[i])}`)];
  if (s.op === "input") return [...out, h("p", {}, "This is the input: the number was given."), tellFollow(s)];
  if (!s.kind) return [...out, h("p", {}, `This page has no explanation for ${s.title}: it shows the map that it gave, and what it was computed from.`), ...s.names.filter(n => s.inputs[n].from).map(n => h("p", {}, `${n}: `, ...links([s.inputs[n].from]))), tellFollow(s)];
  const t = explainValue(s, i);
  out.push(h("h3", {}, "Formula"), ...formula(s.op, "formula"), h("h3", {}, "With the numbers of this pixel"), h("pre", { class: "numbers" }, t.lines.join("\n")), check(s, i, t.total, false));
  if (t.operands) out.push(h("p", {}, ...t.operands.filter(([name]) => s.inputs[name].from).flatMap(([name, index, v]) => [h("button", { type: "button", click: () => jump(s, name, index) }, `Go to ${name} = ${show(v)} in ${s.label(name)}`), " "])));
  if (s.kind.curve) { const r = rangeOf(s.get("x")); out.push(h("h3", {}, "On the graph of the function"), curve(s.kind.curve(s, i), t.point, Math.max(r.low, -8), Math.min(r.high, 8))); if (s.inputs.x.from) out.push(h("p", {}, h("button", { type: "button", click: () => jump(s, "x", i) }, `Go to x = ${show(t.point)} in ${s.label("x")}`))); }
  if (t.window) out.push(...convolution(s, t));
  if (t.pool) out.push(h("h3", {}, "The window, with its largest number"), cells(t.pool.places.map(j => s.get("x")[j]), t.pool.k, { mark: t.pool.places.indexOf(t.pool.winner), go: k => jump(s, "x", t.pool.places[k]), label: "x in the window" }));
  if (s.op === "pixel_shuffle") out.push(...shuffle(s, i));
  if (s.op.startsWith("batch_norm")) out.push(h("p", {}, h("button", { type: "button", click: () => jump(s, "x", i) }, `Go to x = ${show(t.point)} in ${s.label("x")}`)), ...["weight", "bias"].filter(n => s.flows && s.inputs[n].name).map(n => h("button", { type: "button", style: "margin-right: 0.4rem", click: () => go({ weight: { name: n, index: t.channel } }) }, `Gradient of ${n}[${t.channel}]`)));
  if (s.op === "prelu" && s.flows && s.inputs.slope.name) out.push(h("p", {}, h("button", { type: "button", click: () => go({ weight: { name: "slope", index: slopeIndex(s, i) } }) }, "Gradient of this slope")));
  if (t.terms && t.terms.count) out.push(h("h3", {}, t.terms.note || `All ${t.terms.count} products`), termsList(t.terms, places(s), goTerm(s)));
  return [...out, tellFollow(s)];
}

// Show whether the number computed here equals the number of the map.
function check(s, i, total, gradient) {
  const map = (gradient ? s.grad : s.y)[i], stored = (gradient ? s.gradient : s.value) !== null;
  return h("p", { class: "note" }, `${stored ? "The library" : "This page's map"} has ${show(map)}: ${show(total) === show(map) ? "the same digits" : `${show(Math.abs(total - map))} apart, by rounding to 32 bits`}.`);
}

function convolution(s, t) {
  const { kh, kw, top, left, n, o } = t.window, [, H, W, C] = s.inputs.x.shape, x = s.get("x"), weight = s.get("weight"), O = s.shape[3];
  const order = Array.from(t.channels, (v, c) => c).sort((a, b) => Math.abs(t.channels[b]) - Math.abs(t.channels[a])), most = Math.abs(t.channels[order[0]]);
  const box = h("div", { class: "grids" }), digits = kw <= 5;
  function pick(c) {
    const xs = [], ws = [], ps = [], ix = [], iw = [];
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      const r = top + i, q = left + j, inside = r >= 0 && q >= 0 && r < H && q < W;
      ix.push(((n * H + r) * W + q) * C + c); iw.push(((i * kw + j) * C + c) * O + o);
      xs.push(inside ? x[ix[ix.length - 1]] : null); ws.push(weight[iw[iw.length - 1]]);
      ps.push(inside ? xs[xs.length - 1] * ws[ws.length - 1] : null);
    }
    const figure = (table, words) => h("figure", {}, h("figcaption", {}, words), table);
    box.replaceChildren(figure(cells(xs, kw, { digits, go: digits && s.inputs.x.from ? k => jump(s, "x", ix[k]) : null, label: "x" }), `x, rows ${top} to ${top + kh - 1}, columns ${left} to ${left + kw - 1}`),
      h("span", { class: "operator" }, "\u00d7"), figure(cells(ws, kw, { digits, go: digits && s.flows && s.inputs.weight.name ? k => go({ weight: { name: "weight", index: iw[k] } }) : null, label: "weight" }), `weight[:, :, ${c}, ${o}]`),
      h("span", { class: "operator" }, "="), figure(cells(ps, kw, { digits }), `products, sum ${show(t.channels[c])}`));
    for (const button of bars.children) button.setAttribute("aria-pressed", Number(button.dataset.channel) === c);
  }
  const bar = c => h("button", { type: "button", class: "thumb", "data-channel": c, title: `the products of input channel ${c}`, style: `border-bottom: 0.35rem solid ${css(t.channels[c], most)}`, click: () => pick(c) }, `${c}: ${show(Number(t.channels[c].toPrecision(3)))}`);
  const rest = order.length > 24 && h("button", { type: "button", class: "thumb", click: () => rest.replaceWith(...order.slice(24).map(bar)) }, `all ${order.length}`);
  const bars = h("div", { class: "thumbs" }, order.slice(0, 24).map(bar), rest);
  pick(order[0]);
  return [h("h3", {}, `Sum for each of the ${C} input channels, the largest first; choose one to see its window`), bars, box,
    h("h3", {}, "Products summed over the channels, at each place of the kernel"), cells([...t.places], kw, { digits: kw <= 5 })];
}

function shuffle(s, i) {
  const r = s.options.factor, [n, row, column, c] = unravel(i, s.shape), h0 = Math.floor(row / r), w0 = Math.floor(column / r);
  const block = [], from = [], source = shuffled(s);
  for (let a = 0; a < r; a++) for (let b = 0; b < r; b++) { const k = ravel([n, h0 * r + a, w0 * r + b, c], s.shape); block.push(s.y[k]); from.push(source(k)[1]); }
  const mark = (row - h0 * r) * r + column - w0 * r, limit = Math.max(...block.map(Math.abs));
  return [h("h3", {}, `Where the ${r * r} channels of pixel (${h0}, ${w0}) went`), h("div", { class: "grids" },
    h("figure", {}, h("figcaption", {}, `channels ${c * r * r} to ${c * r * r + r * r - 1} of x`), cells(from.map(j => s.get("x")[j]), r * r, { mark, limit, go: k => jump(s, "x", from[k]), label: "x" })),
    h("span", { class: "operator" }, "\u2192"), h("figure", {}, h("figcaption", {}, `${r} \u00d7 ${r} pixels of y, channel ${c}`), cells(block, r, { mark, limit })))];
}

function tellGradient(s) {
  const i = chosen.index, t = explainGradient(s, i), title = `Gradient of ${s.name || s.op} [${unravel(i, s.shape).join(", ")}]`;
  const out = [h("h2", {}, `${title} = ${show(s.grad[i])}`), h("p", {}, `If this number (${show(s.y[i])}) grew by a small d, the loss would grow by ${show(s.grad[i])} d.`)];
  if (t.root) out.push(h("p", {}, "This is the loss itself: its gradient with respect to itself is 1."));
  for (const part of t.parts) {
    out.push(h("h3", {}, "Through ", ...links([part.user]), `, as its input ${part.name}`));
    if (part.unknown) { out.push(h("p", {}, `This page has no explanation for ${part.user.title}; the gradient that arrives is the library's.`)); continue; }
    out.push(...formula(part.user.op, "gradient"), h("pre", { class: "numbers gradient" }, [...part.lines, `${part.terms.names ? "the three, each times weight / std," : `sum of ${part.terms.count} ${part.terms.count === 1 ? "product" : "products"} grad_y * ${part.terms.nameB}`} = ${show(part.total)}`].join("\n")));
    if (part.places) out.push(h("h3", {}, "Summed over the output channels, at each place of the kernel"), cells([...part.places], part.kernel[1], { digits: part.kernel[1] <= 5 }));
    if (part.terms.count) out.push(termsList(part.terms, places(part.user), goTerm(part.user)));
  }
  if (t.known && t.parts.length > 1) out.push(h("pre", { class: "numbers gradient" }, `It was used ${t.parts.length} times, and its gradients add up:\n${t.parts.map(part => bracket(part.total)).join(" + ")} = ${show(t.total)}`));
  if (t.known && t.parts.length) out.push(check(s, i, t.total, true));
  return [...out, tellFollow(s)];
}

function tellWeight(s) {
  const { name, index } = chosen.weight, t = explainWeight(s, name, index), shape = s.inputs[name].shape, position = unravel(index, shape).join(", ");
  return [h("h2", {}, `Gradient of ${s.inputs[name].name}[${position}] = ${show(t.total)}`), h("p", {}, `The weight is ${show(s.get(name)[index])}. Its gradient sums over all places where it was used:`),
    ...formula(s.op, "gradient"), h("pre", { class: "numbers gradient" }, [...t.lines, `the sum of ${t.terms.count} products grad_y * ${t.terms.nameB} = ${show(t.total)}`].join("\n")),
    termsList(t.terms, places(s), goTerm(s)), h("p", {}, h("button", { type: "button", click: () => go({ weight: null }) }, "Back to the pixel"))];
}

function tellFollow(s) {
  const p = pixelOf(pictureOf(s.shape), chosen.index), box = [p.row, p.column, p.row, p.column];
  const start = direction => go({ follow: { step: s.index, box, direction } });
  const out = h("section", {}, h("h3", {}, "Follow this pixel"), h("p", {},
    h("button", { type: "button", click: () => start(-1) }, "back to the input: what it depends on"), " ",
    h("button", { type: "button", click: () => start(1) }, "on to the result: what depends on it"), " ",
    chosen.follow ? h("button", { type: "button", click: () => go({ follow: null }) }, "stop") : null));
  if (!chosen.follow) return out;
  const boxes = followed(), first = network().steps[chosen.follow.step], list = [...boxes].sort((a, b) => chosen.follow.direction * (a[0].index - b[0].index));
  const size = b => `${b[2] - b[0] + 1} \u00d7 ${b[3] - b[1] + 1}`, [input] = network().steps;
  const reach = network().follow(first, chosen.follow.box, chosen.follow.direction, true).get(input);
  out.append(h("p", { class: "note" }, `From ${first.name || first.op}, row ${chosen.follow.box[0]}, column ${chosen.follow.box[1]}; the dashed frame in each layer's map.`
    + (chosen.follow.direction < 0 && reach ? ` Receptive field in the input: ${size(reach)} pixels, those beyond the border counted.` : "")
    + (told.radius && chosen.follow.direction < 0 ? ` The model's receptive_radius is ${show(told.radius)}: an input pixel at most so far away can have an effect.` : "")
    + (list.some(([t]) => t.op === "batch_norm_training") ? " In training, batch norm's mean and variance depend on every pixel as well; that is not counted here." : "")));
  out.append(h("ol", { class: "steps" }, list.slice(0, 200).map(([t, b]) => h("li", {}, ...links([t]), `: ${size(b)}, rows ${b[0]} to ${b[2]}, columns ${b[1]} to ${b[3]}`))));
  return out;
}

// Controls and keys

function showControls() {
  const choice = (view, words) => h("button", { type: "button", "aria-pressed": chosen.view === view, click: () => go({ view }, false) }, words);
  panel("views").replaceChildren(...(hasLoss ? [choice("value", "Values"), " ", choice("gradient", "Gradients")] : []));
  panel("model").value = chosen.network;
  panel("back").disabled = !before.length;
}

let drawn = "", written = 0;
function showAll() {
  showControls();
  const key = `${chosen.network} ${chosen.view} ${[...open].join()}`;
  if (key !== drawn) { drawn = key; showMap(); } else markRows();
  showLayer();
  showExplanation();
  clearTimeout(written);  // changing the address takes a browser longer than a click takes us
  written = setTimeout(() => history.replaceState(null, "", address()), 200);
  if (!busy) compute();
}

function address() {
  const { name } = step(), steps = network().steps;
  const words = { step: name && steps.findIndex(s => s.name === name) === chosen.step ? name : chosen.step, at: unravel(chosen.index, step().shape).join(), view: chosen.view };
  if (chosen.network) words.model = chosen.network;
  return location.protocol === "about:" ? location.href : "#" + new URLSearchParams(words).toString().replaceAll("%2C", ",");
}

function readAddress() {
  const words = new URLSearchParams(location.hash.slice(1)), steps = network().steps;
  const named = steps.findIndex(s => s.name === words.get("step")), index = named >= 0 ? named : Number(words.get("step") ?? NaN);
  const output = steps.findLast(s => s.path !== "loss");
  chosen.network = Math.min(record.networks.length - 1, Number(words.get("model") ?? 0) || 0);
  chosen.step = steps[index] ? index : output.index;
  const position = words.get("at")?.split(",").map(Number), shape = step().shape;
  const fits = position?.length === shape.length && position.every((v, k) => v >= 0 && v < shape[k]);
  const middle = pictureOf(shape);
  chosen.index = fits ? ravel(position, shape) : Math.max(0, indexIn(middle, 0, middle.rows >> 1, middle.columns >> 1, 0));
  if (words.get("view") === "gradient" && hasLoss) chosen.view = "gradient";
}

function move(rowStep, columnStep, channelStep) {
  const picture = pictureOf(step().shape), p = pixelOf(picture, chosen.index);
  const index = indexIn(picture, p.image, p.row + rowStep, p.column + columnStep, (p.channel + channelStep + picture.channels) % picture.channels);
  if (index >= 0) go({ index, colours: channelStep ? false : chosen.colours }, false);
}

document.addEventListener("keydown", event => {
  if (event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT)$/.test(event.target.tagName)) return;
  const last = network().steps.length - 1, keys = {
    ArrowUp: () => move(-1, 0, 0), ArrowDown: () => move(1, 0, 0), ArrowLeft: () => move(0, -1, 0), ArrowRight: () => move(0, 1, 0),
    PageUp: () => go({ step: Math.max(0, chosen.step - 1) }), PageDown: () => go({ step: Math.min(last, chosen.step + 1) }),
    "[": () => move(0, 0, -1), "]": () => move(0, 0, 1), Escape: back,
    g: () => hasLoss && go({ view: chosen.view === "value" ? "gradient" : "value" }, false),
    m: () => go({ network: (chosen.network + 1) % record.networks.length }, false),
    f: () => { const p = pixelOf(pictureOf(step().shape), chosen.index); go({ follow: chosen.follow ? null : { step: chosen.step, box: [p.row, p.column, p.row, p.column], direction: -1 } }); },
  };
  if (!keys[event.key] || (event.key.startsWith("Arrow") && event.target.closest(".list"))) return;
  event.preventDefault();
  keys[event.key]();
});

record.networks.forEach((n, k) => panel("model").add(new Option(n.name, k)));
panel("modelChoice").hidden = record.networks.length < 2;
panel("model").addEventListener("change", event => go({ network: Number(event.target.value) }, false));
panel("back").addEventListener("click", back);
window.addEventListener("beforeprint", () => { for (const list of document.querySelectorAll(".list")) list.dispatchEvent(new Event("print")); });
window.addEventListener("hashchange", () => { readAddress(); unfold(step()); showAll(); });
readAddress();
tree = treeOf(network().steps);
for (const node of tree.parts) if (!(node instanceof Step) && network().steps.length > 12) open.add(keyOf(node)); else if (!(node instanceof Step)) stepsIn(node).forEach(unfold);
unfold(step());
showAll();
