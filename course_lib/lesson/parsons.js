// A puzzle: lines to choose from above, the program that is built of them below. By mouse, by drag and by keyboard alone.

const KIND = "application/x-course-line"; // of what is dragged: no editor takes it for text

function render({ model, el }) {
  attend(model);
  const lines = model.get("lines");
  const pool = element("ul", { "aria-label": "lines", className: "course-lines" });
  const program = element("ol", { "aria-label": "your program", className: "course-lines course-program" });
  const check = element("button", { className: "jupyter-widgets jupyter-button widget-button mod-primary course-button", textContent: "Check" });
  el.append(
    element("div", { className: "course-quiet", textContent: "Click a line, or drag it into your program. There, drag it up or down, or press Alt+↑, Alt+↓; Delete takes it out." }),
    pool, element("div", { className: "course-quiet", textContent: "your program" }), program, check,
  );
  let stops = [0, 0]; // the line of each list where Tab stops
  let dragged = null;

  const built = () => model.get("program");

  // Put a line to this place of the program; to none: back to the others. It keeps the keyboard's focus there.
  function put(line, place, follow = true) {
    const rest = built().filter((one) => one !== line);
    const back = place === null;
    if (!back) rest.splice(Math.max(0, Math.min(place, rest.length)), 0, line);
    if (String(rest) === String(built())) return;
    model.set({ program: rest, wrong: 0 });
    model.save_changes();
    show();
    if (follow) list().find((button) => Number(button.dataset.line) === line)?.focus();
  }

  const list = () => [...el.querySelectorAll(".course-line")];

  function row(line, place) {
    const { words, indent, twin } = lines[line];
    const inside = place !== null;
    const code = element("span", { className: "course-code" }, ...words.map(([className, textContent]) => element("span", { className, textContent })));
    code.style.setProperty("--indent", indent);
    const button = element("button", { className: "course-line", draggable: true }, code);
    button.dataset.line = line;
    button.addEventListener("click", () => { if (!inside) addFromPool(line); });
    button.addEventListener("keydown", (event) => press(event, line, place));
    button.addEventListener("dragstart", (event) => {
      dragged = line;
      event.dataTransfer.setData(KIND, String(line));
      event.dataTransfer.effectAllowed = "move";
    });
    button.addEventListener("dragend", () => { dragged = null; mark(null); });
    const item = element("li", {}, element("span", { className: "course-twin", textContent: inside ? String(place + 1) : twin }), button);
    if (inside) {
      const act = (sign, words, to) => {
        const made = element("button", { className: "course-move", textContent: sign, title: words, "aria-label": words, tabIndex: -1 });
        made.addEventListener("click", () => put(line, to));
        item.append(made);
      };
      act("↑", "up", place - 1);
      act("↓", "down", place + 1);
      act("×", "take out", null);
      if (model.get("wrong") === place + 1) item.classList.add("course-surprise");
    }
    return item;
  }

  // The next line of the others gets the focus: several can be added one after the other.
  function addFromPool(line) {
    const left = [...pool.querySelectorAll(".course-line")].map((button) => Number(button.dataset.line));
    const next = left[left.indexOf(line) + 1] ?? left[left.indexOf(line) - 1];
    put(line, built().length, false);
    list().find((button) => Number(button.dataset.line) === (next ?? line))?.focus();
  }

  function press(event, line, place) {
    const step = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (step && event.altKey && place !== null) put(line, place + step);
    else if (step) {
      const own = [...event.target.closest(".course-lines").querySelectorAll(".course-line")];
      own[own.indexOf(event.target) + step]?.focus();
    } else if ((event.key === "Delete" || event.key === "Backspace") && place !== null) put(line, null);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  // Before which line of the program what is dragged would stand, counted without itself.
  function placeOf(event) {
    const others = [...program.querySelectorAll(".course-line")].filter((button) => Number(button.dataset.line) !== dragged);
    const below = others.findIndex((button) => {
      const box = button.getBoundingClientRect();
      return event.clientY < box.top + box.height / 2;
    });
    return [below < 0 ? others.length : below, others[below]];
  }

  function mark(button) {
    for (const item of program.children) item.classList.toggle("course-before", item === button?.parentElement);
  }

  function accept(zone, drop) {
    zone.addEventListener("dragover", (event) => {
      if (dragged === null) return;
      event.preventDefault();
      if (zone === program) mark(placeOf(event)[1]);
    });
    zone.addEventListener("drop", (event) => {
      if (dragged === null) return;
      event.preventDefault();
      drop(event);
    });
  }
  accept(program, (event) => put(dragged, placeOf(event)[0]));
  accept(pool, () => put(dragged, null));

  function show() {
    const own = built();
    pool.replaceChildren(...[...lines.keys()].filter((line) => !own.includes(line)).map((line) => row(line, null)));
    program.replaceChildren(...own.map(row));
    for (const [n, zone] of [pool, program].entries()) {
      const buttons = [...zone.querySelectorAll(".course-line")];
      buttons.forEach((button, place) => {
        button.tabIndex = place === Math.min(stops[n], buttons.length - 1) ? 0 : -1;
        button.addEventListener("focus", () => {
          stops[n] = place;
          buttons.forEach((other) => { other.tabIndex = other === button ? 0 : -1; });
        });
      });
    }
  }

  check.addEventListener("click", () => model.send({ check: built() })); // with the program: it may be quicker than the model
  model.on("change:program change:wrong", show);
  show();
  return () => model.off("change:program change:wrong", show);
}

export default { render };
