// A recorded pass: its steps with their numbers, what has to be computed, and what each pixel depends on.
"use strict";

class Step {
  constructor(network, index, told) {
    Object.assign(this, { network, index, memory: {}, users: [] }, told);
    this.names = Object.keys(this.inputs);
    this.kind = KINDS[this.op];
    for (const input of Object.values(this.inputs)) {
      if (input.step !== undefined) { input.from = network.steps[input.step]; input.shape = input.from.shape; }
      else if (input.number !== undefined) { input.values = [input.number]; input.shape = []; }
      else input.shape = network.record.arrays[input.array].shape;
    }
    for (const name of this.names) if (this.inputs[name].from) this.inputs[name].from.users.push([this, name]);
    if (this.options.source !== undefined) {
      const place = this.options.source;
      Object.defineProperty(this.options, "source", { get: () => network.record.array(place) });
    }
  }

  get y() { return this.memory.y ??= this.value === null ? undefined : this.network.record.array(this.value); }

  get grad() { return this.memory.grad ??= this.gradient === null ? undefined : this.network.record.array(this.gradient); }

  // The numbers of an input.
  get(name) {
    const input = this.inputs[name];
    return input.from ? input.from.y : input.values ??= this.network.record.array(input.array);
  }

  label(name) {
    const input = this.inputs[name];
    return input.from ? input.from.name : input.name || name;
  }

  get name() { return this.path + (this.alone ? "" : (this.path ? " \u00b7 " : "") + this.op); }

  get sources() { return this.names.map(name => this.inputs[name].from).filter(Boolean); }

  get parameters() { return this.names.filter(name => this.inputs[name].array !== undefined && this.inputs[name].name); }
}

class Record {
  constructor(told) {
    this.told = told;
    this.arrays = told.arrays;
    this.decoded = [];
    this.networks = told.networks.map(network => new Network(this, network));
  }
  array(place) { const { kind, data } = this.arrays[place]; return this.decoded[place] ??= decode(kind, data); }
}

class Network {
  constructor(record, told) {
    this.record = record;
    this.name = told.name;
    this.steps = [];
    told.steps.forEach((step, index) => this.steps.push(new Step(this, index, step)));
  }

  // Compute what is needed for the values of a step and, if requested, its gradient; yields between parts.
  *prepare(step, gradient) {
    for (const s of this.above(step)) if (!s.y) {
      const y = new Float32Array(product(s.shape));
      yield* s.kind.forward(s, y);
      s.memory.y = y;
      yield s;
    }
    if (!gradient || !step.flows) return;
    for (const s of this.below(step)) if (!s.grad) {
      const sums = new Float64Array(product(s.shape));
      for (const [user, name] of s.users) if (user.flows) {
        yield* this.prepare(user, false);
        yield* user.kind.backward(user, name, sums);
      }
      s.memory.grad = new Float32Array(sums);
      yield s;
    }
  }

  above(step) {  // the step and all steps that it needs, in the order of computation
    const needed = new Set(), stack = [step];
    while (stack.length) {
      const s = stack.pop();
      if (needed.has(s) || s.y) continue;
      needed.add(s);
      stack.push(...s.sources);
    }
    return [...needed].sort((a, b) => a.index - b.index);
  }

  below(step) {  // the step and all steps whose gradients its own gradient needs, in the order of computation
    const needed = new Set(), stack = [step];
    while (stack.length) {
      const s = stack.pop();
      if (needed.has(s) || s.grad) continue;
      needed.add(s);
      stack.push(...s.users.map(([user]) => user).filter(user => user.flows));
    }
    return [...needed].sort((a, b) => b.index - a.index);
  }

  // Compute also what a click on a step needs: the numbers of its inputs or, for its gradient, those of its users.
  *prepareClick(step, gradient) {
    yield* this.prepare(step, gradient);
    if (gradient && step.flows) for (const [user] of step.users) if (user.flows) yield* this.prepare(user, true);
  }

  ready(step, gradient) {
    const computed = s => s.y && s.sources.every(source => source.y);
    if (!gradient || !step.flows) return Boolean(computed(step));
    return Boolean(step.y && step.grad && step.users.every(([user]) => !user.flows || (user.grad && computed(user))));
  }

  // The largest difference between the numbers computed here and those of the library, at the recorded positions.
  compare(step) {
    const { at: places, value, grad } = step.probe;
    const worst = (array, told) => array && told ? Math.max(...told.map((v, k) => Math.abs(v - array[places[k]]))) : null;
    return { value: worst(step.y, value), grad: worst(step.grad, grad), count: places.length };
  }

  // Follow a rectangle of pixels [top, left, bottom, right] up to what it needs (-1), or down to what it changes (1).
  // Returns a rectangle for each step that it reaches; with `beyond`, as if there were pixels beyond the border.
  follow(step, box, direction, beyond = false) {
    const boxes = new Map([[step, box]]);
    const steps = direction < 0 ? this.steps.slice(0, step.index + 1).reverse() : this.steps.slice(step.index);
    for (const s of steps) {
      if (!boxes.has(s) && direction < 0) continue;
      for (const name of s.names) {
        const from = s.inputs[name].from;
        if (!from || (direction > 0 && !boxes.has(from))) continue;
        const start = boxes.get(direction < 0 ? s : from);
        const rule = s.kind && (direction < 0 ? s.kind.window : s.kind.reach);
        const target = direction < 0 ? from : s, old = boxes.get(target);
        let found = rule ? rule.call(s.kind, s, start, name) : wholeOf(target.shape);
        if (found && !beyond) found = clip(found, pictureOf(target.shape));
        if (found) boxes.set(target, old && target !== step ? [Math.min(old[0], found[0]), Math.min(old[1], found[1]), Math.max(old[2], found[2]), Math.max(old[3], found[3])] : found);
      }
    }
    return boxes;
  }
}

function clip(box, picture) {
  return [Math.max(0, box[0]), Math.max(0, box[1]), Math.min(picture.rows - 1, box[2]), Math.min(picture.columns - 1, box[3])];
}

// Explain a clicked number: element i of a step, or its gradient.
function explainValue(s, i) {
  return s.kind ? s.kind.tell(s, i) : { lines: [], total: s.y[i], unknown: true };
}

function explainGradient(s, i) {
  const parts = [];
  for (const [user, name] of s.users) if (user.flows) parts.push({ user, name, ...(user.kind ? user.kind.fed(user, name, i) : { unknown: true, lines: [] }) });
  const known = parts.every(part => !part.unknown);
  return { parts, total: known && parts.length ? parts.reduce((sum, part) => sum + part.total, 0) : s.grad[i], root: !parts.length, known };
}

function explainWeight(s, name, i) { return s.kind.fed(s, name, i); }
