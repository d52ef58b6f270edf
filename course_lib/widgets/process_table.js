// The page's side of the descriptor table. It shows what the kernel process sends and reports clicks; it decides nothing.

function words(value) {
  if (value === true) return "● yes";
  if (value === false) return "no";
  return value === null ? "" : String(value);
}

function render({ model, el }) {
  const send = teller(model);
  attend(model);
  const button = (text, type, title) => element("button", {
    type: "button", textContent: text, title, onclick: () => send({ type, number: Number(choice.value) }),
  });

  const opening = element("div", { className: "line", role: "group", "aria-label": "open" },
    button("Open a file", "open", "open(2) the same file once more, to read"),
    button("Pipe", "pipe", "pipe(2): two numbers at once"),
    button("Socket", "socket", "socket(2): a TCP socket, connected to nothing"));
  const choice = element("select", { "aria-label": "number" });
  const actions = [button("Dup", "dup", "dup(2): a second row for what this number names"),
    button("Read 3 bytes", "read", "read(2) through this number"),
    button("Turn O_NONBLOCK", "nonblock", "set or clear O_NONBLOCK through this number (fcntl(2))"),
    button("Close", "close", "close(2): empty this row")];
  const closeAll = button("Close all", "close_all", "empty all rows that were filled here");
  const acting = element("div", { className: "line", role: "group", "aria-label": "with a number" }, "number ", choice, ...actions, closeAll);
  const said = element("div", { className: "said", role: "status", "aria-live": "polite" });
  const strip = element("div", { className: "strip", role: "img" });
  const legend = element("div", { className: "legend" });
  const body = element("tbody");
  const columns = model.get("columns");
  const scroll = scrolling("table of rows", table("rows filled here", columns, body));
  const panel = element("div", { className: "live-panel process-table" }, opening, acting, said, strip, legend, scroll);
  panel.addEventListener("keydown", keepKeys);
  el.append(panel);
  let rowsBefore = 0;

  function showChoice(state) {
    const own = state.rows.map((row) => String(row.number));
    offer(choice, own);
    for (const control of [choice, closeAll, ...actions]) control.disabled = own.length === 0;
  }

  function showStrip(state) {
    const own = new Set(state.rows.map((row) => row.number));
    const free = new Set(state.free);
    const all = [...state.others, ...own, ...free].sort((a, b) => a - b);
    strip.replaceChildren(...all.map((number) => {
      const kind = own.has(number) ? "own" : free.has(number) ? "free" : "other";
      const mark = { own: "● ", free: number === state.free[0] ? "→ " : "", other: "" }[kind];
      return element("span", { className: number === state.free[0] ? `${kind} next` : kind, textContent: mark + number });
    }));
    strip.setAttribute("aria-label", `${state.others.length} rows of Jupyter and your cells; filled here: ${[...own].join(", ") || "none"}; ` +
      `free, lowest first: ${state.free.join(", ")}`);
    setText(legend, `● filled here: ${own.size}   ·   grey: ${state.others.length} rows of Jupyter and your cells   ·   dashed: free, → the lowest free number`);
  }

  function show(state) {
    setText(said, state.said || "Open something: which number will it get?");
    showChoice(state);
    showStrip(state);
    body.replaceChildren(...state.rows.map((row) => element("tr", {}, ...columns.map(([key]) =>
      key === "number" ? element("th", { scope: "row", textContent: row.number }) : element("td", { className: key, textContent: words(row[key]) })))));
    if (state.rows.length > rowsBefore) scroll.scrollTop = scroll.scrollHeight;
    rowsBefore = state.rows.length;
  }

  function hear(state) {
    // Kept in the page's copy of the model, so that a notebook saved with its widgets shows the last state.
    model.set("shown", state);
    show(state);
  }

  function lost() {
    setText(said, "The notebook's process that this table showed is gone. Run the cells again from the first one.");
    for (const control of panel.querySelectorAll("button, select")) control.disabled = true;
  }

  show(model.get("shown"));
  const end = live(model, panel, send, { say: (text) => setText(said, text), hear, lost });
  send({ type: "ready" });
  return end;
}

export default { render };
