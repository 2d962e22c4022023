// The arithmetic of every operation: of a whole map, of one number, and of one number's gradient.
//
// An operation knows
//   forward(s, y)         computes y, the result of step s; in parts, so that the page stays responsive
//   backward(s, name, g)  adds to g the gradient of the input `name`, computed from the gradient of the result
//   tell(s, i)            explains element i of the result: { lines, total, terms, ... }
//   fed(s, name, i)       explains the gradient of element i of the input `name`, as far as it comes from this step
//   window(s, r), reach(s, r)   the pixels of the input that the pixels r of the result need, and the reverse
// Sums are taken in 64 bits; a map that this page computes is rounded to 32 bits, as the library's are.
"use strict";

// Products a * b: the values, and the flat indices ia and ib of a and b. Without ib, b is a plain number.
class Terms {
  constructor(nameA, nameB, note = "") {
    Object.assign(this, { nameA, nameB, note, a: [], b: [], ia: [], ib: [], outside: 0 });
  }
  add(a, ia, b, ib = -1) { this.a.push(a); this.ia.push(ia); this.b.push(b); this.ib.push(ib); }
  get count() { return this.a.length; }
  get total() { let sum = 0; for (let k = 0; k < this.a.length; k++) sum += this.a[k] * this.b[k]; return sum; }
}

const at = (name, index, shape) => `${name}[${unravel(index, shape).join(", ")}]`;
const bracket = v => v < 0 ? `(${show(v)})` : show(v);

// Do the work for 0 up to count; in parts, so that the page can answer a click in between.
function* each(count, work) {
  for (let i = 0; i < count; i++) {
    work(i);
    if (i % 8192 === 8191) yield;
  }
}

// Functions of a single number: y = f(x). `put` writes the formula with the number in it.
const UNARY = {
  tanh: { f: Math.tanh, d: (x, y) => 1 - y * y, put: x => `tanh(${x})`, slope: "1 - y^2" },
  sigmoid: { f: x => 1 / (1 + Math.exp(-x)), d: (x, y) => y * (1 - y), put: x => `1 / (1 + exp(-(${x})))`, slope: "y (1 - y)" },
  softplus: { f: x => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))), d: x => 1 / (1 + Math.exp(-x)), put: x => `ln(1 + exp(${x}))`, slope: "sigmoid(x)" },
  exp: { f: Math.exp, d: (x, y) => y, put: x => `exp(${x})`, slope: "y" },
  log: { f: Math.log, d: x => 1 / x, put: x => `ln(${x})`, slope: "1 / x" },
  sqrt: { f: Math.sqrt, d: (x, y) => 0.5 / y, put: x => `sqrt(${x})`, slope: "1 / (2 y)" },
  absolute: { f: Math.abs, d: x => Math.sign(x), put: x => `|${x}|`, slope: "the sign of x" },
  negative: { f: x => -x, d: () => -1, put: x => `-(${x})`, slope: "-1" },
};

const BINARY = {
  add: { sign: "+", f: (a, b) => a + b, d: { a: () => 1, b: () => 1 }, slope: { a: "1", b: "1" } },
  subtract: { sign: "-", f: (a, b) => a - b, d: { a: () => 1, b: () => -1 }, slope: { a: "1", b: "-1" } },
  multiply: { sign: "*", f: (a, b) => a * b, d: { a: (a, b) => b, b: a => a }, slope: { a: "b", b: "a" } },
  divide: { sign: "/", f: (a, b) => a / b, d: { a: (a, b) => 1 / b, b: (a, b) => -a / (b * b) }, slope: { a: "1 / b", b: "-a / b^2" } },
  power: { sign: "^", f: (a, b) => a ** b, d: { a: (a, b) => b * a ** (b - 1), b: (a, b) => a ** b * Math.log(a) }, slope: { a: "exponent x^(exponent - 1)", b: "y ln x" } },
};

// For operations in which each element depends on one element at the same pixel.
const pointwise = { window: (s, r) => r, reach: (s, r) => r };

function unary(op) {
  return {
    ...pointwise,
    curve: () => op.f,
    *forward(s, y) { const x = s.get("x"); yield* each(y.length, i => { y[i] = op.f(x[i]); }); },
    *backward(s, name, g) {
      const x = s.get("x"), y = s.y, gy = s.grad;
      yield* each(g.length, i => { g[i] += gy[i] * op.d(x[i], y[i]); });
    },
    tell(s, i) {
      const x = s.get("x")[i], total = op.f(x);
      return { total, lines: [`${at("y", i, s.shape)} = ${op.put(show(x))} = ${show(total)}`], point: x };
    },
    fed(s, name, i) {
      const slope = op.d(s.get("x")[i], s.y[i]), terms = new Terms("grad_y", "dy/dx");
      terms.add(s.grad[i], i, slope);
      return { terms, total: terms.total, lines: [`dy/dx = ${op.slope} = ${show(slope)}`] };
    },
  };
}

// ReLU, leaky ReLU and PReLU; `index` returns the index of the slope of an element, `slope` its value.
function rectifier(index, slope) {
  const factor = (s, i, x) => x > 0 ? 1 : slope(s, i);
  return {
    ...pointwise,
    curve: (s, i) => x => x > 0 ? x : slope(s, i) * x,
    *forward(s, y) { const x = s.get("x"); yield* each(y.length, i => { y[i] = x[i] * factor(s, i, x[i]); }); },
    *backward(s, name, g) {
      const x = s.get("x"), gy = s.grad;
      yield* each(g.length, i => { g[i] += gy[i] * factor(s, i, x[i]); });
    },
    tell(s, i) {
      const x = s.get("x")[i], a = slope(s, i), total = x * factor(s, i, x);
      const where = s.inputs.slope ? at("slope", index(s, i), s.inputs.slope.shape) : "the slope";
      return { total, point: x, lines: [
        x > 0 ? `x = ${show(x)} is above 0: it is passed on` : `x = ${show(x)} is not above 0: it is multiplied by a = ${where} = ${show(a)}`,
        `${at("y", i, s.shape)} = ${x > 0 ? "" : show(a) + " * "}${x > 0 ? show(x) : bracket(x)} = ${show(total)}`] };
    },
    fed(s, name, i) {
      const x = s.get("x");
      if (name === "x") {
        const d = factor(s, i, x[i]), terms = new Terms("grad_y", "dy/dx");
        terms.add(s.grad[i], i, d);
        return { terms, total: terms.total, lines: [`dy/dx = ${show(d)}, as x = ${show(x[i])} is ${x[i] > 0 ? "" : "not "}above 0`] };
      }
      const terms = new Terms("grad_y", "min(x, 0)");
      for (let k = 0; k < x.length; k++) if (index(s, k) === i && x[k] <= 0) terms.add(s.grad[k], k, x[k], k);
      return { terms, total: terms.total, lines: ["Where x is above 0 the slope is not used, and dy/da = 0; those products are left out."] };
    },
  };
}

function binary(op, first = "a", second = "b") {
  const places = (s, name) => broadcast(s.inputs[name].shape, s.shape);
  const both = s => [s.get(first), s.get(second), places(s, first), places(s, second)];
  const rule = name => name === first ? "a" : "b";
  return {
    ...pointwise,
    *forward(s, y) {
      const [a, b, pa, pb] = both(s);
      yield* each(y.length, i => { y[i] = op.f(a[pa(i)], b[pb(i)]); });
    },
    *backward(s, name, g) {
      const [a, b, pa, pb] = both(s), gy = s.grad, d = op.d[rule(name)], place = name === first ? pa : pb;
      yield* each(gy.length, i => { g[place(i)] += gy[i] * d(a[pa(i)], b[pb(i)]); });
    },
    tell(s, i) {
      const [x, z, pa, pb] = both(s), ia = pa(i), ib = pb(i), a = x[ia], b = z[ib], total = op.f(a, b);
      const from = (name, index) => s.inputs[name].number !== undefined ? "a number" : `${at(name, index, s.inputs[name].shape)}, ${s.label(name)}`;
      return { total, operands: [[first, ia, a], [second, ib, b]], lines: [
        `${first} = ${show(a)} (${from(first, ia)})`, `${second} = ${show(b)} (${from(second, ib)})`,
        `${at("y", i, s.shape)} = ${bracket(a)} ${op.sign} ${bracket(b)} = ${show(total)}`] };
    },
    fed(s, name, i) {
      const [a, b, pa, pb] = both(s), place = name === first ? pa : pb, terms = new Terms("grad_y", `dy/d${name}`);
      const put = k => terms.add(s.grad[k], k, op.d[rule(name)](a[pa(k)], b[pb(k)]));
      if (product(s.inputs[name].shape) === s.grad.length) put(i);
      else for (let k = 0; k < s.grad.length; k++) if (place(k) === i) put(k);
      return { terms, total: terms.total, lines: [`dy/d${name} = ${op.slope[rule(name)]}`
        + (terms.count > 1 ? `; it was used ${terms.count} times, once for each of these elements of y` : "")] };
    },
  };
}

// Operations that only move numbers: source(s) gives, for an element of y, the input and the element that it is.
function moves(source, rest = {}) {
  return {
    *forward(s, y) {
      const from = source(s), arrays = {};
      for (const name of s.names) arrays[name] = s.get(name);
      yield* each(y.length, i => { const [name, j] = from(i); y[i] = j < 0 ? 0 : arrays[name][j]; });
    },
    *backward(s, name, g) {
      const from = source(s), gy = s.grad;
      yield* each(gy.length, i => { const [input, j] = from(i); if (input === name && j >= 0) g[j] += gy[i]; });
    },
    tell(s, i) {
      const [name, j] = source(s)(i);
      if (j < 0) return { total: 0, lines: [`${at("y", i, s.shape)} = 0: a zero was put in here`] };
      const total = s.get(name)[j];
      return { total, operands: [[name, j, total]], lines: [
        ...(rest.steps ? rest.steps(s, i, j) : []),
        `${at("y", i, s.shape)} = ${at(name, j, s.inputs[name].shape)} = ${show(total)}`] };
    },
    fed(s, name, i) {
      const from = source(s), terms = new Terms("grad_y", "dy/dx");
      for (let k = 0; k < s.grad.length; k++) { const [input, j] = from(k); if (j === i && input === name) terms.add(s.grad[k], k, 1); }
      return { terms, total: terms.total, lines: [terms.count ? "The number was moved, so its gradient is moved back." : "This element was not used: its gradient from here is 0."] };
    },
    window(s, r) { return boxOf(s, r, k => source(s)(k), true); },
    reach(s, r, name) { return boxOf(s, r, k => source(s)(k), false, name); },
    ...rest,
  };
}

// The smallest rectangle that holds the moved pixels of `r`: in the input if `back`, else in the result.
function boxOf(s, r, from, back, name = s.names[0]) {
  const input = pictureOf(s.inputs[name].shape), output = pictureOf(s.shape), box = [Infinity, Infinity, -1, -1];
  for (let k = 0; k < output.size; k++) {
    const [which, j] = from(k);
    if (j < 0 || which !== name) continue;
    const p = pixelOf(output, k), q = pixelOf(input, j % input.size), [inner, outer] = back ? [p, q] : [q, p];
    if (inner.row < r[0] || inner.row > r[2] || inner.column < r[1] || inner.column > r[3]) continue;
    box[0] = Math.min(box[0], outer.row); box[1] = Math.min(box[1], outer.column);
    box[2] = Math.max(box[2], outer.row); box[3] = Math.max(box[3], outer.column);
  }
  return box[2] < 0 ? null : box;
}

const listed = moves(s => {  // the library says for every element where it came from, counted through all inputs
  const sizes = s.names.map(name => product(s.inputs[name].shape));
  return i => {
    let j = s.options.source[i], k = 0;
    while (j >= sizes[k] && k < sizes.length - 1) j -= sizes[k++];
    return [s.names[k], j];
  };
});

function shuffled(s) {
  const r = s.options.factor, [, rows, columns, channels] = s.shape, wide = channels * r * r, low = columns / r;
  return i => {
    const c = i % channels, pixel = (i - c) / channels, column = pixel % columns, row = (pixel - column) / columns;
    const n = Math.floor(row / rows), inside = row - n * rows, h = Math.floor(inside / r), w = Math.floor(column / r);
    return ["x", ((n * (rows / r) + h) * low + w) * wide + c * r * r + (inside - h * r) * r + (column - w * r)];
  };
}

// Convolution. Strides and padding are pairs: rows, columns.
const pair = v => Array.isArray(v) ? v : [v, v];

function frameOf(s) {
  const [kh, kw, inputs, outputs] = s.inputs.weight.shape, [sh, sw] = pair(s.options.stride), [ph, pw] = pair(s.options.padding);
  const [, H, W] = s.inputs.x.shape, [N, h, w] = s.shape;
  return { kh, kw, inputs, outputs, sh, sw, ph, pw, H, W, N, h, w };
}

const conv2d = {
  *forward(s, y) {
    const { kh, kw, inputs, outputs, sh, sw, ph, pw, H, W, N, h, w } = frameOf(s), x = s.get("x"), weight = s.get("weight");
    const bias = s.inputs.bias ? s.get("bias") : new Float32Array(outputs), sums = new Float64Array(w * outputs);
    for (let row = 0; row < N * h; row++) {
      const n = Math.floor(row / h), top = (row % h) * sh - ph;
      for (let k = 0; k < sums.length; k++) sums[k] = bias[k % outputs];
      for (let i = Math.max(0, -top); i < kh && top + i < H; i++) for (let j = 0; j < kw; j++) {
        const base = (n * H + top + i) * W, places = (i * kw + j) * inputs;
        for (let c = 0; c < inputs; c++) {
          const kernel = (places + c) * outputs;
          for (let q = 0; q < w; q++) {
            const column = q * sw - pw + j;
            if (column < 0 || column >= W) continue;
            const v = x[(base + column) * inputs + c], o = q * outputs;
            if (v !== 0) for (let k = 0; k < outputs; k++) sums[o + k] += v * weight[kernel + k];
          }
        }
        yield;
      }
      y.set(sums, row * w * outputs);
    }
  },
  *backward(s, name, g) {
    const { kh, kw, inputs, outputs, sh, sw, ph, pw, H, W, N, h, w } = frameOf(s), gy = s.grad, weight = s.get("weight");
    for (let row = 0; row < N * h; row++) {
      const n = Math.floor(row / h), top = (row % h) * sh - ph;
      for (let i = Math.max(0, -top); i < kh && top + i < H; i++) for (let j = 0; j < kw; j++) {
        const base = (n * H + top + i) * W, places = (i * kw + j) * inputs;
        for (let c = 0; c < inputs; c++) {
          const kernel = (places + c) * outputs;
          for (let q = 0; q < w; q++) {
            const column = q * sw - pw + j;
            if (column < 0 || column >= W) continue;
            let sum = 0;
            const o = (row * w + q) * outputs;
            for (let k = 0; k < outputs; k++) sum += gy[o + k] * weight[kernel + k];
            g[(base + column) * inputs + c] += sum;
          }
        }
        yield;
      }
    }
  },
  tell(s, index) {
    const { kh, kw, inputs, outputs, sh, sw, ph, pw, H, W } = frameOf(s), x = s.get("x"), weight = s.get("weight");
    const [n, row, column, o] = unravel(index, s.shape), terms = new Terms("x", "weight");
    const channels = new Float64Array(inputs), places = new Float64Array(kh * kw);
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      const r = row * sh - ph + i, q = column * sw - pw + j;
      if (r < 0 || q < 0 || r >= H || q >= W) { terms.outside += inputs; continue; }
      for (let c = 0; c < inputs; c++) {
        const ia = ((n * H + r) * W + q) * inputs + c, ib = ((i * kw + j) * inputs + c) * outputs + o, v = x[ia] * weight[ib];
        terms.add(x[ia], ia, weight[ib], ib);
        channels[c] += v; places[i * kw + j] += v;
      }
    }
    const bias = s.inputs.bias ? s.get("bias")[o] : 0, sum = terms.total, total = sum + bias;
    const zeros = terms.outside ? `, ${terms.outside} of them with the zeros of the padding` : "";
    return { terms, total, channels, places, window: { kh, kw, top: row * sh - ph, left: column * sw - pw, n, o }, lines: [
      `sum of ${kh} * ${kw} * ${inputs} = ${kh * kw * inputs} products${zeros}: ${show(sum)}`,
      `${at("y", index, s.shape)} = ${show(sum)} + ${bracket(bias)} (${s.inputs.bias ? `bias[${o}]` : "no bias"}) = ${show(total)}`] };
  },
  fed(s, name, index) {
    const { kh, kw, inputs, outputs, sh, sw, ph, pw, H, W, N, h, w } = frameOf(s), gy = s.grad, weight = s.get("weight");
    if (name === "bias") {
      const terms = new Terms("grad_y", "1");
      for (let k = index; k < gy.length; k += outputs) terms.add(gy[k], k, 1);
      return { terms, total: terms.total, lines: [`bias[${index}] was added at ${terms.count} positions: its gradient is the sum of theirs`] };
    }
    if (name === "weight") {
      const [i, j, c, o] = unravel(index, s.inputs.weight.shape), x = s.get("x"), terms = new Terms("grad_y", "x");
      for (let n = 0; n < N; n++) for (let p = 0; p < h; p++) for (let q = 0; q < w; q++) {
        const r = p * sh - ph + i, column = q * sw - pw + j;
        if (r < 0 || column < 0 || r >= H || column >= W) { terms.outside++; continue; }
        const ia = ((n * h + p) * w + q) * outputs + o, ib = ((n * H + r) * W + column) * inputs + c;
        terms.add(gy[ia], ia, x[ib], ib);
      }
      return { terms, total: terms.total, lines: [`this weight was multiplied with an element of x at each of ${terms.count} positions`
        + (terms.outside ? `; at ${terms.outside} more it met the zeros of the padding` : "")] };
    }
    const [n, r, column, c] = unravel(index, s.inputs.x.shape), terms = new Terms("grad_y", "weight");
    const places = new Float64Array(kh * kw);
    for (let i = 0; i < kh; i++) for (let j = 0; j < kw; j++) {
      const p = (r + ph - i) / sh, q = (column + pw - j) / sw;
      if (p % 1 || q % 1 || p < 0 || q < 0 || p >= h || q >= w) continue;
      for (let o = 0; o < outputs; o++) {
        const ia = ((n * h + p) * w + q) * outputs + o, ib = ((i * kw + j) * inputs + c) * outputs + o;
        terms.add(gy[ia], ia, weight[ib], ib);
        places[i * kw + j] += gy[ia] * weight[ib];
      }
    }
    return { terms, total: terms.total, places, kernel: [kh, kw],
      lines: [`it was in the window of ${terms.count / outputs} positions of ${outputs} output channels: ${terms.count} products`] };
  },
  window(s, r) {
    const { kh, kw, sh, sw, ph, pw } = frameOf(s);
    return [r[0] * sh - ph, r[1] * sw - pw, r[2] * sh - ph + kh - 1, r[3] * sw - pw + kw - 1];
  },
  reach(s, r) {
    const { kh, kw, sh, sw, ph, pw } = frameOf(s);
    return [Math.ceil((r[0] + ph - kh + 1) / sh), Math.ceil((r[1] + pw - kw + 1) / sw), Math.floor((r[2] + ph) / sh), Math.floor((r[3] + pw) / sw)];
  },
};

const linear = {
  *forward(s, y) {
    const [inputs, outputs] = s.inputs.weight.shape, x = s.get("x"), weight = s.get("weight"), bias = s.inputs.bias ? s.get("bias") : null;
    for (let n = 0; n < y.length / outputs; n++) {
      const sums = new Float64Array(outputs);
      if (bias) sums.set(bias);
      for (let i = 0; i < inputs; i++) {
        const v = x[n * inputs + i];
        for (let o = 0; o < outputs; o++) sums[o] += v * weight[i * outputs + o];
        if (i % 256 === 0) yield;
      }
      y.set(sums, n * outputs);
    }
  },
  *backward(s, name, g) {
    const [inputs, outputs] = s.inputs.weight.shape, weight = s.get("weight"), gy = s.grad;
    for (let n = 0; n < gy.length / outputs; n++) for (let i = 0; i < inputs; i++) {
      let sum = 0;
      for (let o = 0; o < outputs; o++) sum += gy[n * outputs + o] * weight[i * outputs + o];
      g[n * inputs + i] += sum;
      if (i % 256 === 0) yield;
    }
  },
  tell(s, index) {
    const [inputs, outputs] = s.inputs.weight.shape, x = s.get("x"), weight = s.get("weight"), terms = new Terms("x", "weight");
    const o = index % outputs, n = (index - o) / outputs;
    for (let i = 0; i < inputs; i++) terms.add(x[n * inputs + i], n * inputs + i, weight[i * outputs + o], i * outputs + o);
    const bias = s.inputs.bias ? s.get("bias")[o] : 0, sum = terms.total, total = sum + bias;
    return { terms, total, lines: [`sum of ${inputs} products: ${show(sum)}`,
      `${at("y", index, s.shape)} = ${show(sum)} + ${bracket(bias)} (${s.inputs.bias ? `bias[${o}]` : "no bias"}) = ${show(total)}`] };
  },
  fed(s, name, index) {
    const [inputs, outputs] = s.inputs.weight.shape, gy = s.grad, rows = gy.length / outputs;
    const terms = new Terms("grad_y", { x: "weight", weight: "x", bias: "1" }[name]);
    if (name === "x") {
      const i = index % inputs, n = (index - i) / inputs, weight = s.get("weight");
      for (let o = 0; o < outputs; o++) terms.add(gy[n * outputs + o], n * outputs + o, weight[i * outputs + o], i * outputs + o);
      return { terms, total: terms.total, lines: [`it went into all ${outputs} outputs`] };
    }
    const o = index % outputs, i = (index - o) / outputs;
    for (let n = 0; n < rows; n++) {
      const k = n * outputs + o;
      if (name === "bias") terms.add(gy[k], k, 1);
      else terms.add(gy[k], k, s.get("x")[n * inputs + i], n * inputs + i);
    }
    return { terms, total: terms.total, lines: [`it was used once for each of the ${rows} rows of the batch`] };
  },
  window: (s, r) => wholeOf(s.inputs.x.shape), reach: s => wholeOf(s.shape),
};

function wholeOf(shape) {
  const picture = pictureOf(shape);
  return [0, 0, picture.rows - 1, picture.columns - 1];
}

// Batch norm: statistics of a channel, of the batch in training, the running ones in evaluation.
function statistics(s, c) {
  s.memory.statistics ??= [];
  return s.memory.statistics[c] ??= (() => {
    const C = s.shape[s.shape.length - 1], x = s.get("x"), n = x.length / C;
    let mean, v = 0;
    if (s.op === "batch_norm_training") {
      let sum = 0;
      for (let i = c; i < x.length; i += C) sum += x[i];
      mean = sum / n;
      for (let i = c; i < x.length; i += C) v += (x[i] - mean) ** 2;
      v /= n;
    } else [mean, v] = [s.get("running_mean")[c], s.get("running_var")[c]];
    return { mean, variance: v, std: Math.sqrt(v + s.options.eps), n, C, weight: s.get("weight")[c], bias: s.get("bias")[c] };
  })();
}

function sumsOf(s, c) {  // those of grad_y and of grad_y * x_hat: the gradients of bias and weight
  s.memory.sums ??= [];
  return s.memory.sums[c] ??= (() => {
    const { mean, std, C } = statistics(s, c), x = s.get("x"), gy = s.grad;
    let bias = 0, weight = 0;
    for (let i = c; i < x.length; i += C) { bias += gy[i]; weight += gy[i] * (x[i] - mean) / std; }
    return { bias, weight };
  })();
}

function batchNorm(training) {
  return {
    ...pointwise,
    *forward(s, y) {
      const x = s.get("x"), C = s.shape[s.shape.length - 1];
      for (let c = 0; c < C; c++) {
        const t = statistics(s, c), scale = t.weight / t.std;
        for (let i = c; i < x.length; i += C) y[i] = (x[i] - t.mean) * scale + t.bias;
        yield;
      }
    },
    *backward(s, name, g) {
      const x = s.get("x"), C = s.shape[s.shape.length - 1], gy = s.grad;
      for (let c = 0; c < C; c++) {
        const t = statistics(s, c), scale = t.weight / t.std, sums = training ? sumsOf(s, c) : { bias: 0, weight: 0 };
        for (let i = c; i < x.length; i += C) g[i] += scale * (gy[i] - sums.bias / t.n - (x[i] - t.mean) / t.std * sums.weight / t.n);
        yield;
      }
    },
    tell(s, i) {
      const c = i % s.shape[s.shape.length - 1], t = statistics(s, c), x = s.get("x"), hat = (x[i] - t.mean) / t.std, total = t.weight * hat + t.bias;
      const source = training ? `of the ${t.n} values of channel ${c} in this batch` : `running ones of channel ${c}, from training`;
      const result = { total, channel: c, point: x[i], lines: [
        `mean = ${show(t.mean)}, var = ${show(t.variance)}: ${source}`,
        `x_hat = (${show(x[i])} - ${bracket(t.mean)}) / sqrt(${show(t.variance)} + ${show(s.options.eps)}) = ${show(x[i] - t.mean)} / ${show(t.std)} = ${show(hat)}`,
        `${at("y", i, s.shape)} = weight[${c}] * x_hat + bias[${c}] = ${show(t.weight)} * ${bracket(hat)} + ${bracket(t.bias)} = ${show(total)}`] };
      if (training) {
        result.terms = new Terms("x", "1 / n", "The pixels that made the mean");
        for (let k = c; k < x.length; k += t.C) result.terms.add(x[k], k, 1 / t.n);
      }
      return result;
    },
    fed(s, name, i) {
      const C = s.shape[s.shape.length - 1], c = name === "x" ? i % C : i, t = statistics(s, c), x = s.get("x"), gy = s.grad;
      if (name !== "x") {
        const terms = new Terms("grad_y", name === "bias" ? "1" : "x_hat");
        for (let k = c; k < x.length; k += C) terms.add(gy[k], k, name === "bias" ? 1 : (x[k] - t.mean) / t.std, name === "bias" ? -1 : k);
        return { terms, total: terms.total, lines: [`the sum over the ${t.n} elements of channel ${c}`] };
      }
      const hat = (x[i] - t.mean) / t.std, scale = t.weight / t.std, terms = new Terms("part", "weight / std");
      const lines = [`weight / std = ${show(t.weight)} / ${show(t.std)} = ${show(scale)}`];
      terms.add(gy[i], i, scale);
      if (training) {
        const sums = sumsOf(s, c);
        lines.push(`1. directly: grad_y = ${show(gy[i])}`,
          `2. through the mean: -(sum of grad_y) / n = -(${show(sums.bias)}) / ${t.n} = ${show(-sums.bias / t.n)}`,
          `3. through the variance: -x_hat * (sum of grad_y * x_hat) / n = -(${show(hat)}) * ${bracket(sums.weight)} / ${t.n} = ${show(-hat * sums.weight / t.n)}`);
        terms.add(-sums.bias / t.n, -1, scale);
        terms.add(-hat * sums.weight / t.n, -1, scale);
        terms.names = ["grad_y", "through the mean", "through the variance"];
      } else lines.push(`mean and variance are constants here: grad_x = grad_y * weight / std`);
      return { terms, total: terms.total, lines };
    },
  };
}

const max_pool2d = {
  places(s, i) {
    const k = s.options.size, [, H, W, C] = s.inputs.x.shape, [n, h, w, c] = unravel(i, s.shape), stride = s.options.stride ?? k, places = [];
    for (let a = 0; a < k; a++) for (let b = 0; b < k; b++) places.push(((n * H + h * stride + a) * W + w * stride + b) * C + c);
    return places;
  },
  winner(s, i) { const x = s.get("x"); return this.places(s, i).reduce((best, j) => x[j] > x[best] ? j : best); },
  *forward(s, y) { const x = s.get("x"); yield* each(y.length, i => { y[i] = x[this.winner(s, i)]; }); },
  *backward(s, name, g) { yield* each(s.grad.length, i => { g[this.winner(s, i)] += s.grad[i]; }); },
  tell(s, i) {
    const x = s.get("x"), k = s.options.size, places = this.places(s, i), winner = this.winner(s, i), total = x[winner];
    return { total, operands: [["x", winner, total]], pool: { k, places, winner }, lines: [
      `the window: ${places.map(j => show(x[j])).join(", ")}`,
      `${at("y", i, s.shape)} = the largest of them = ${at("x", winner, s.inputs.x.shape)} = ${show(total)}`] };
  },
  fed(s, name, i) {
    const terms = new Terms("grad_y", "dy/dx"), picture = pictureOf(s.shape), p = pixelOf(pictureOf(s.inputs.x.shape), i);
    const r = this.reach(s, [p.row, p.column, p.row, p.column]);
    for (let h = Math.max(0, r[0]); h <= Math.min(picture.rows - 1, r[2]); h++) for (let w = Math.max(0, r[1]); w <= Math.min(picture.columns - 1, r[3]); w++) {
      const k = indexIn(picture, p.image, h, w, p.channel);
      if (this.winner(s, k) === i) terms.add(s.grad[k], k, 1);
    }
    return { terms, total: terms.total, lines: [terms.count ? `it was the largest of ${terms.count === 1 ? "its window" : terms.count + " windows"}: the gradient goes to it alone` : "it was not the largest of its window: no gradient comes from here"] };
  },
  window(s, r) { const t = s.options.stride ?? s.options.size; return [r[0] * t, r[1] * t, r[2] * t + s.options.size - 1, r[3] * t + s.options.size - 1]; },
  reach(s, r) {
    const k = s.options.size, t = s.options.stride ?? k;
    return [Math.ceil((r[0] - k + 1) / t), Math.ceil((r[1] - k + 1) / t), Math.floor(r[2] / t), Math.floor(r[3] / t)];
  },
};

// Sums over axes: `group` tells which element of y an element of x is added to.
const sum = {
  group(s) {
    return s.memory.group ??= (() => {
      const shape = s.inputs.x.shape, kept = shape.map((n, axis) => s.options.axes.includes(axis) ? 1 : n);
      const place = broadcast(kept, shape);
      return Int32Array.from({ length: product(shape) }, (_, i) => place(i));
    })();
  },
  *forward(s, y) {
    const x = s.get("x"), group = this.group(s), sums = new Float64Array(y.length);
    yield* each(x.length, i => { sums[group[i]] += x[i]; });
    y.set(sums);
  },
  *backward(s, name, g) { const group = this.group(s); yield* each(g.length, i => { g[i] += s.grad[group[i]]; }); },
  tell(s, index) {
    const x = s.get("x"), group = this.group(s), terms = new Terms("x", "1");
    for (let i = 0; i < x.length; i++) if (group[i] === index) terms.add(x[i], i, 1);
    return { terms, total: terms.total, lines: [`${at("y", index, s.shape)} = the sum of ${terms.count} numbers = ${show(terms.total)}`] };
  },
  fed(s, name, i) {
    const terms = new Terms("grad_y", "dy/dx"), k = this.group(s)[i];
    terms.add(s.grad[k], k, 1);
    return { terms, total: terms.total, lines: ["it was added once: dy/dx = 1"] };
  },
  window: (s, r) => wholeOf(s.inputs.x.shape), reach: s => wholeOf(s.shape),
};

const lastAxis = s => s.shape[s.shape.length - 1];
const slopeIndex = (s, i) => s.inputs.slope.shape[0] === 1 ? 0 : i % lastAxis(s);
const fixed = rectifier(() => 0, s => s.options.negative_slope);

const KINDS = {
  conv2d, linear, max_pool2d, sum, relu: fixed, leaky_relu: fixed,
  prelu: rectifier(slopeIndex, (s, i) => s.get("slope")[slopeIndex(s, i)]),
  batch_norm_training: batchNorm(true), batch_norm_evaluation: batchNorm(false),
  reshape: moves(() => i => ["x", i]),
  pixel_shuffle: moves(shuffled, {
    steps(s, i, j) {
      const r = s.options.factor, [, row, column, c] = unravel(i, s.shape), [, h, w, from] = unravel(j, s.inputs.x.shape);
      return [`row ${row} = ${r} * ${h} + ${row - r * h} and column ${column} = ${r} * ${w} + ${column - r * w}: h = ${h}, i = ${row - r * h}, w = ${w}, j = ${column - r * w}`,
        `channel ${c} * ${r * r} + ${row - r * h} * ${r} + ${column - r * w} = ${from} of the input`];
    },
    window(s, r) { const f = s.options.factor; return r.map(v => Math.floor(v / f)); },
    reach(s, r) { const f = s.options.factor; return [r[0] * f, r[1] * f, r[2] * f + f - 1, r[3] * f + f - 1]; },
  }),
};
for (const op of ["getitem", "transpose", "concatenate", "broadcast_to", "scatter", "pixel_unshuffle"]) KINDS[op] = listed;
for (const op in UNARY) KINDS[op] = unary(UNARY[op]);
for (const op in BINARY) KINDS[op] = op === "power" ? binary(BINARY[op], "x", "exponent") : binary(BINARY[op]);
