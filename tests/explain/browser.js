// Clicks and keys in a real browser: what the page then shows is written into the document, for the test to read.
function browse() {
  const answers = { clicks: [], keys: [], resources: performance.getEntriesByType("resource").length };
  for (const { step: index, view, at: element } of CLICKS) {
    go({ step: index, index: element, view });
    const numbers = [...document.querySelectorAll("#explanation .numbers")].map(e => e.textContent);
    answers.clicks.push({ title: document.querySelector("#explanation h2").textContent, numbers });
  }

  const place = () => [chosen.step, chosen.view, ...unravel(chosen.index, step().shape)];
  go({ step: 1, index: ravel([0, 3, 3, 1], network().steps[1].shape), view: "value" });
  for (const key of ["ArrowRight", "ArrowDown", "]", "PageDown", "g", "PageUp", "Escape", "Escape"]) {
    document.body.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true }));
    answers.keys.push([key, ...place()]);
  }

  const canvas = document.querySelector("#layer .picture canvas"), box = canvas.getBoundingClientRect(), size = pictureOf(step().shape);
  const clientX = box.left + box.width * 2.5 / size.columns, clientY = box.top + box.height * 4.5 / size.rows;
  canvas.dispatchEvent(new MouseEvent("click", { clientX, clientY, bubbles: true }));
  answers.mouse = place();

  const named = e => e.textContent.trim() || e.getAttribute("aria-label") || e.getAttribute("aria-hidden") || e.closest("label");
  answers.unlabelled = [...document.querySelectorAll("button, input, select, canvas, svg, .list")].filter(e => !named(e)).map(e => e.outerHTML.slice(0, 200));
  return answers;
}

let result;
try { result = browse(); } catch (error) { result = { error: String(error.stack) }; }
document.body.replaceChildren(Object.assign(document.createElement("pre"), { id: "answers", textContent: JSON.stringify(result) }));
