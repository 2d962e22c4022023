// What a click tells, without a browser: reads a record and a list of clicks, writes the totals.
const { record: told, clicks } = JSON.parse(require("fs").readFileSync(0, "utf8"));
const record = new Record(told);

function click({ network, step, view, at: index, name }) {
  const pass = record.networks[network ?? 0], s = pass.steps[step];
  for (const _ of pass.prepareClick(s, view !== "value"));
  const found = view === "value" ? explainValue(s, index) : view === "weight" ? explainWeight(s, name, index) : explainGradient(s, index);
  return { total: found.total, shown: show(found.total), lines: found.lines ?? found.parts.map(part => part.lines),
    size: (found.parts ?? [found]).reduce((sum, { terms }) => sum + (terms ? terms.a.reduce((s, a, k) => s + Math.abs(a * terms.b[k]), 0) : 0), 0) };
}

function all({ network }) {  // every map and gradient that the page has or computes, against the library's numbers
  return record.networks[network ?? 0].steps.map(s => {
    for (const _ of record.networks[network ?? 0].prepare(s, true));
    return record.networks[network ?? 0].compare(s);
  });
}

function field({ step, box, direction, beyond }) {
  const steps = record.networks[0].steps;
  return [...record.networks[0].follow(steps[step], box, direction, beyond)].map(([s, found]) => [s.index, found]);
}

function parts({ network }) {  // in how many parts each map and its gradient are computed
  for (const _ of record.networks[network ?? 0].prepare(record.networks[network ?? 0].steps[0], true));
  return record.networks[network ?? 0].steps.filter(s => s.kind && s.grad).map(s => [s.name, s.y.length,
    [...s.kind.forward(s, new Float32Array(s.y.length))].length,
    ...s.names.filter(name => s.inputs[name].from).map(name => [...s.kind.backward(s, name, new Float64Array(product(s.inputs[name].shape)))].length)]);
}

const answer = { click, all, field, parts, kinds: () => Object.keys(KINDS) };
console.log(JSON.stringify(clicks.map(question => answer[question.ask ?? "click"](question))));
