// The page's side of the panel. It shows what the kernel process sends and reports clicks; it decides nothing.

function words(key, value) {
  if (key === "blocking") return value ? "blocking" : "non-blocking";
  if (value === true) return "● yes";
  if (value === false) return "no";
  return String(value);
}

// The film's picture of the present moment. What changed since the one before is marked.
function livePicture() {
  const picture = kernelPicture();
  const asks = make("p", { className: "asks" });
  const line = make("p", { className: "line" });
  const box = make("div", { className: "player live" }, make("div", { className: "words" }, asks, line), make("div", { className: "stage" }, picture.svg));
  const host = make("div");
  host.attachShadow({ mode: "open" }).append(make("style", {}, PLAYER_STYLE), box);
  const done = followTheme(box);
  const has = { carries: false, watched: false, crowded: false, tasks: false, hidden: false }; // what there was once keeps its place
  let now = null, before = null, most = 2;
  picture.svg.addEventListener("animationend", () => { before = now; }); // what was new is so no more

  function show(next, where) {
    setText(line, where);
    box.hidden = !next;
    if (!next || JSON.stringify(next) === JSON.stringify(now)) return;
    [before, now] = [now, next];
    setText(asks, next.asks);
    asks.classList.toggle("sleeps", next.asleep);
    size();
  }
  function size() {
    if (!box.clientWidth || !now) return;
    const film = { rows: [], tasks: [], moments: [] };
    for (const moment of [before ?? now, now]) {
      film.moments.push({ ...moment, rows: moment.rows.map((row) => film.rows.push(row) - 1), tasks: moment.tasks && film.tasks.push(moment.tasks) - 1 });
    }
    for (const [name, present] of Object.entries(traits(film))) has[name] ||= present;
    const rows = mostRows({ ...film, moments: film.moments.slice(-1) });
    if (rows > most || rows + 5 < most) most = Math.max(2, rows); // it keeps its height, but not that of a crowd that has gone
    picture.show(film, 1, drawnWidth(has, Math.floor(box.clientWidth)), most, has);
  }
  const resized = new ResizeObserver(size);
  resized.observe(box);
  return { host, show, end() { done(); resized.disconnect(); } };
}

// Closes the tab around a node.
function closeTab(node) {
  clickTab(document.querySelector(`.lm-TabBar-tab[data-id="${node.closest(".jupyterlab-sidecar")?.id}"] .lm-TabBar-tabCloseIcon`));
}

// Where the panel is, for the cell that made it.
const WHERE = { beside: "The panel is beside the notebook.", away: "Another panel is beside the notebook now.", folded: "The panel has given its place back." };

// One line of help for the control at the pointer or with the focus.
function helpLine(panel) {
  const help = element("div", { className: "help", "aria-hidden": "true" }); // a screen reader has it from the control's title
  const tell = (event) => setText(help, event.target.closest("[title]")?.title ?? "");
  for (const name of ["pointerover", "focusin"]) panel.addEventListener(name, tell);
  panel.addEventListener("pointerleave", () => setText(help, ""));
  return help;
}

// How long something has lasted: exact at first, later as one would say it, so that the page need not be drawn anew so often.
const lasting = (seconds) => (seconds < 10 ? `${seconds.toFixed(1)} s` : seconds < 120 ? `${Math.floor(seconds)} s`
  : `${Math.floor(seconds / 60)} min ${Math.floor(seconds % 60)} s`);

// Two buttons, one of them pressed: the mode that the kernel reports, not the one that was clicked last.
function modeSwitch(label, of, send) {
  const buttons = [true, false].map((blocking) => element("button", {
    type: "button", "aria-label": `${label}: ${blocking ? "blocking" : "non-blocking"}`,
    title: blocking ? "O_NONBLOCK off: a call that finds nothing sleeps until something comes"
      : "O_NONBLOCK on: a call that finds nothing comes back at once, with EAGAIN",
    onclick: () => send({ type: "blocking", of, blocking }),
  }));
  const group = element("span", { className: "mode", role: "group", "aria-label": label }, `${label}: `, ...buttons);
  return {
    group,
    show(mode) {
      ["blocking", "non-blocking"].forEach((name, i) => {
        buttons[i].disabled = mode === "";
        buttons[i].setAttribute("aria-pressed", String(mode === name));
        setText(buttons[i], (mode === name ? "✓ " : "") + name);
      });
      group.dataset.mode = mode;
    },
  };
}

function render({ model, el }) {
  const send = teller(model);
  attend(model);
  const button = (text, type, title, extra = {}) => element("button", {
    type: "button", textContent: text, title, onclick: () => send({ type, ...clientFields(), ...extra }),
  });

  const name = element("b");
  const address = element("code");
  const doing = element("span", { className: "doing" });
  const cpu = element("span", { className: "cpu" });
  const life = element("button", { type: "button", title: "stop the server, or start it again on the same address" });
  const buttons = element("span", { className: "buttons" }, life);
  const serverLine = element("div", { className: "line server" }, name, " ", address, " ", doing, " ", cpu, " ", buttons);
  const processLine = element("div", { className: "line process" }); // changes with each look: nothing to be read out each time

  const hold = element("button", { type: "button", title: "hold the server before its next wait or call on a socket, or let it run on" });
  const step = element("button", { type: "button", textContent: "One call", title: "let the held server make this one call", onclick: () => send({ type: "step" }) });
  const record = element("button", { type: "button", title: "record its calls on its sockets, and its waits, with their times" });
  const pending = element("span", { className: "pending", "aria-live": "polite" });
  const stepLine = element("div", { className: "line", role: "group", "aria-label": "system calls" }, hold, step, record, pending);
  const listing = element("pre", { className: "calls", tabIndex: 0, "aria-label": "the last recorded calls" });
  const lanes = lanesView({ element, setText });
  const picture = livePicture();
  const filming = button("Film", "film", "two more clients come, are answered and leave: all calls of that, to step through forward and back");
  const filmed = element("div", { className: "filmed", hidden: true });

  const listener = modeSwitch("listener", "listener", send);
  const connections = modeSwitch("connections", "connections", send);
  const modes = element("div", { className: "line modes" }, listener.group, connections.group);

  const note = element("div", { className: "note", role: "status", "aria-live": "polite" });

  const connect = button("Connect a client", "connect", "");
  const crowd = button("Connect 20", "connect", "", { many: true });
  const choice = element("select", { "aria-label": "client" });
  choice.addEventListener("change", () => showClients());
  const text = element("input", { type: "text", value: "hello", size: 10, maxLength: 1000, "aria-label": "text to send" });
  const clientFields = () => ({ client: choice.value, text: text.value });
  const sendText = button("Send text", "send", "the chosen client sends the text on the left; \\r\\n in it is a line end");
  text.addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.shiftKey) sendText.click(); });
  const slow = button("Read slowly", "slow", "the chosen client reads about 25 kB a second, so that answers pile up");
  const close = button("Close", "close", "the chosen client closes its connection in the ordinary way");
  const others = [button("Send 8 MB", "send_block", "the chosen client sends 8,388,608 zero bytes"), slow,
    button("Half-close", "half_close", "say: I have finished sending; go on receiving (SHUT_WR)"), button("Reset", "reset", "cut the connection: the server gets ECONNRESET")];
  const actions = [sendText, close, ...others];
  const clientLine = element("div", { className: "line", role: "group", "aria-label": "clients" }, connect, choice, text, sendText, close);
  const moreClients = element("div", { className: "line", role: "group", "aria-label": "more for clients" }, crowd, ...others);
  const clientList = element("ul", { className: "clients", tabIndex: 0, "aria-label": "what each client sees" });

  const body = element("tbody");
  const columns = model.get("columns");
  const descriptors = table("descriptors", columns, body);
  const scroll = scrolling("table of descriptors", descriptors);
  const hidden = element("div", { className: "hidden-rows" });

  const queue = element("ol", { "aria-label": "ready queue" });
  const taskBody = element("tbody");
  const taskTable = table("tasks", [["name", "task", "the name of the generator or coroutine"],
    ["client", "for", "the client or listener whose descriptor it has to do with"],
    ["waits", "waits for", "what the loop's lists say of it: its place in the ready queue, the descriptor, or the time"]], taskBody);
  const moreTasks = element("div", { className: "hidden-rows" });
  const taskBox = element("div", { className: "tasks" }, element("div", { className: "line" }, "ready queue: ", queue),
    scrolling("table of tasks", taskTable), moreTasks);

  const panel = element("div", { className: "live-panel observatory" });
  const told = element("span");
  const here = element("button", { type: "button", textContent: "Show it here", onclick: () => { kept = true; goWhereItIs(); } });
  const besideIt = () => element("button", { type: "button", textContent: "Show it beside the notebook", hidden: true, onclick: () => {
    kept = false;
    send({ type: "dock" });
  } });
  const there = besideIt(), back = besideIt();
  panel.append(element("div", { className: "line where", role: "status" }, told, " ", here, " ", there));
  const wanted = (part) => model.get("parts").includes(part);
  const inside = {
    controls: [stepLine], clients: [moreClients], table: [scroll, hidden], tasks: [taskBox], lanes: [lanes.box], calls: [listing],
  };
  const behind = Object.entries(inside).flatMap(([part, nodes]) => (wanted(part) ? nodes : []));
  const more = element("details", { className: "more", open: model.get("more") || !model.get("folded") },
    element("summary", { textContent: "more: one call at a time, more for clients, the table, time lanes" }), back, ...behind);
  let open = more.open; // a panel that is drawn open says so in a toggle, too: that is no click
  more.addEventListener("toggle", () => {
    if (more.open !== open) send({ type: "more", on: (open = more.open) });
    showMore();
  });
  const isOpen = () => more.open || !model.get("folded");
  panel.append(serverLine, processLine, ...(wanted("controls") ? [modes] : []), ...(wanted("picture") ? [picture.host, filmed] : []), note,
    ...(wanted("clients") ? [clientLine, clientList] : []), ...(wanted("picture") ? [helpLine(panel)] : []), ...(model.get("folded") ? [more] : behind));
  if (wanted("picture")) buttons.append(" ", filming);
  panel.addEventListener("keydown", keepKeys);
  el.append(panel);

  let state = null;
  let heardAt = performance.now(), drawn = null; // the frame in which what was heard last is drawn
  const rows = new Map();
  const used = new Set(); // columns that a row has had something in

  function showServer() {
    setText(processLine, state.process);
    processLine.hidden = !state.process;
    serverLine.hidden = stepLine.hidden = filming.hidden = !state.server;
    listing.hidden ||= !state.server;
    if (!state.server) return;
    const server = state.server;
    setText(name, server.name);
    setText(address, server.address);
    const seconds = server.asleep ? server.seconds + (performance.now() - heardAt) / 1000 : 0;
    const mark = server.pending ? "❚❚ " : server.running ? (server.asleep ? "◌ " : "▶ ") : "■ ";
    setText(doing, mark + server.doing + (server.asleep ? `, ${lasting(seconds)}` : ""));
    doing.dataset.state = server.running ? (server.asleep ? "asleep" : "running") : "ended";
    setText(cpu, server.running ? `CPU ${server.cpu} %` : "");
    setText(life, server.running ? "Stop" : "Start");
    life.onclick = () => send({ type: server.running ? "stop" : "start" });
    setText(hold, server.held ? "Run on" : "Hold");
    hold.onclick = () => send({ type: server.held ? "run_on" : "hold" });
    step.disabled = !server.pending;
    setText(record, server.recording && !server.held ? "✓ Recording" : "Record");
    record.setAttribute("aria-pressed", String(server.recording));
    record.disabled = server.held;
    record.onclick = () => send({ type: "record", on: !server.recording });
    const last = server.calls.at(-1);
    setText(pending, [server.held && server.running && !server.pending ? "it will be held before its next call" : "",
      server.held && last ? `the last one: ${last}` : ""].filter(Boolean).join(" · "));
    if (listing.textContent !== server.calls.join("\n")) {
      listing.textContent = server.calls.join("\n");
      listing.scrollTop = listing.scrollHeight;
    }
    listing.hidden = server.calls.length === 0;
  }

  function showClients() {
    connect.disabled = crowd.disabled = !state.can_connect;
    connect.title = state.why_not || "one more client connects, and says nothing yet";
    crowd.title = state.why_not || "twenty more clients connect";
    const open = state.clients.filter((client) => client.open).map((client) => client.name);
    offer(choice, open, true);
    for (const control of [choice, text, ...actions]) control.disabled = open.length === 0;
    setText(slow, state.clients.find((client) => client.name === choice.value)?.slow ? "Read fast" : "Read slowly");
    fill(clientList, state.clients.length, () => element("li"));
    state.clients.forEach((client, i) => {
      const item = clientList.children[i];
      setText(item, `${client.name}: ${client.state}`);
      item.className = client.open ? "" : "over";
    });
  }

  function showRows() {
    const present = new Set(state.rows.map((row) => row.number));
    for (const [number, row] of rows) if (!present.has(number)) { row.remove(); rows.delete(number); }
    state.rows.forEach((data, i) => {
      let row = rows.get(data.number);
      const isNew = !row;
      if (isNew) {
        row = element("tr", {}, ...columns.map(([key]) => key === "number" ? element("th", { className: key, scope: "row" }) : element("td", { className: key })));
        rows.set(data.number, row);
      }
      if (body.children[i] !== row) body.insertBefore(row, body.children[i] ?? null);
      columns.forEach(([key], column) => {
        const cell = row.children[column];
        const shown = words(key, data[key]);
        if (cell.textContent === shown) return;
        cell.textContent = shown;
        cell.dataset.value = String(data[key]);
        if (!isNew && cell.animate && !matchMedia("(prefers-reduced-motion: reduce)").matches) {
          cell.animate([{ boxShadow: "inset 0 0 0 2px var(--jp-warn-color1, #f57c00)" }, { boxShadow: "inset 0 0 0 2px transparent" }], 900);
        }
      });
    });
    columns.forEach(([key, , , always], column) => {
      if (state.rows.some((row) => row[key])) used.add(key);
      const over = (key === "asked" || key === "found") && !state.server?.recording;
      for (const row of descriptors.rows) row.cells[column].hidden = !always && (over || !used.has(key));
    });
    hidden.hidden = !state.hidden;
    setText(hidden, state.hidden ? `${state.hidden.toLocaleString("en")} more descriptors are not shown; ${state.first} come first` : "");
  }

  function say(text) {
    setText(note, text);
    note.hidden = !text;
  }

  // Rows are kept and their texts changed, so that what did not change does not flicker.
  function fill(list, count, make) {
    while (list.children.length > count) list.lastChild.remove();
    while (list.children.length < count) list.append(make());
  }

  function showTasks() {
    taskBox.hidden = !state.tasks;
    if (!state.tasks) return;
    const { shown, ready, hidden: left } = state.tasks;
    const turns = shown.filter((task) => task.state === "running" || task.state === "ready");
    const texts = turns.map((task) => [task.state === "running" ? "▶" : "", task.name, task.client, task.state === "running" ? "(running)" : ""]
      .filter(Boolean).join(" "));
    if (ready > turns.length) texts.push(`and ${ready - turns.length} more`);
    if (texts.length === 0) texts.push("empty");
    fill(queue, texts.length, () => element("li"));
    texts.forEach((text, i) => setText(queue.children[i], text));
    fill(taskBody, shown.length, () => element("tr", {}, element("th", { scope: "row" }), element("td"), element("td")));
    shown.forEach((task, i) => {
      const row = taskBody.children[i];
      row.dataset.state = task.state;
      [task.name, task.client, (task.state === "running" ? "▶ " : "") + task.waits].forEach((text, column) => setText(row.children[column], text));
    });
    moreTasks.hidden = !left;
    setText(moreTasks, left ? `${left} are not shown; the ready ones come first` : "");
  }

  function showFilm(film) {
    const end = element("button", { type: "button", textContent: "Back to live", onclick: () => {
      done();
      filmed.replaceChildren();
      filmed.hidden = true;
      picture.host.hidden = false;
    } });
    const host = element("div");
    filmed.replaceChildren(element("div", { className: "line" }, end), host);
    filmed.hidden = false;
    picture.host.hidden = true;
    const done = filmPlayer(host, [film], PLAYER_STYLE);
    end.focus();
  }

  // What is behind "more" is brought up to date when it can be seen.
  function showMore() {
    if (!isOpen()) return;
    showRows();
    showTasks();
    lanes.label(state.rows, Boolean(state.server), Boolean(state.server?.recording), Boolean(state.hidden));
  }

  function show(next) {
    state = next;
    showServer();
    picture.show(state.picture, state.server?.line ?? "");
    listener.show(state.listener);
    connections.show(state.connections);
    say(state.note);
    showClients();
    showMore();
  }

  function hear(message, buffers) {
    if (message.type === "film") showFilm(message.film);
    if (message.type !== "update") return;
    if (buffers[0].byteLength || message.lanes.length) lanes.add(message, buffers[0]);
    if (!message.state) return;
    const known = new Map([...model.get("shown").rows, ...message.rows].map((row) => [row.number, row]));
    // Kept in the page's copy of the model, so that a notebook saved with its widgets shows the last state.
    model.set("shown", { ...message.state, rows: message.order.map((number) => known.get(number)) });
    // Drawn once a frame: a page that is slower than the messages would show, and draw, a past that is ever longer ago.
    heardAt = performance.now();
    drawn ??= requestAnimationFrame(() => {
      drawn = null;
      if (!panel.classList.contains("gone")) show(model.get("shown"));
    });
  }

  function lost() {
    panel.classList.add("gone");
    say("The notebook's process that this panel showed is gone. Run the cells again from the first one.");
    clearInterval(ticking);
    // What it showed is over: it is said in the cell, and the place beside the notebook is closed, for the next one opens its own.
    if (beside) closeTab(panel);
    else if (off) { kept = true; goWhereItIs(); }
    handle.remove();
  }

  show(model.get("shown"));
  const end = live(model, panel, send, { say, hear, lost, isSeen: () => !off });

  // The view in the cell gives way to the one beside the notebook, as long as the page shows that one.
  let kept = false, off = true, before, home;
  // Brings it beside the notebook when it has given that place back, or the learner has closed it.
  const handle = element("button", {
    type: "button", className: "observatory-handle", textContent: "◧ The server, live",
    title: `show ${state.server?.name ?? "it"} beside the notebook`,
    onmousedown: (event) => event.preventDefault(), // the keyboard stays where it is
    onclick: () => {
      before = keyboard();
      kept = false;
      send({ type: "dock" });
    },
  });
  const keyboard = () => (document.activeElement?.closest(".jp-Notebook") ? document.activeElement : null);
  const inCell = () => panel.closest(".jp-Cell");
  const where = () => (!inCell() ? "beside" : document.querySelector("#jp-main-dock-panel") ? "cell of JupyterLab" : "cell");
  function goWhereItIs() {
    const said = WHERE[model.get("place")] ?? "";
    const elsewhere = Boolean(inCell() && said) && !kept;
    setText(told, said);
    there.hidden = model.get("place") === "beside";
    home ??= inCell()?.closest(".jp-NotebookPanel")?.querySelector(".jp-NotebookPanel-toolbar");
    if (["folded", "offered"].includes(model.get("place"))) home?.append(handle);
    else handle.remove();
    back.hidden = where() !== "cell of JupyterLab" || model.get("place") === "beside" || !model.get("folded");
    panel.classList.toggle("elsewhere", elsewhere);
    if (elsewhere !== off) {
      off = elsewhere;
      send(off ? { type: "gone" } : { type: "ready", in: where() });
    }
  }
  function moved() {
    goWhereItIs();
    // JupyterLab has given the keyboard to what it opened; it belongs to the notebook.
    if (off && model.get("place") === "beside") (before?.isConnected ? before : inCell()?.closest(".jp-Notebook"))?.focus({ preventScroll: true });
  }
  model.on("change:place", moved);
  // A view is made before it is put into the page, and only there it can be seen where it is. One beside the notebook is closed
  // by taking it out again.
  let beside = false;
  const placed = new ResizeObserver(() => {
    if (panel.isConnected && before === undefined) {
      before = keyboard();
      beside = !inCell();
      if (beside && panel.closest(".jupyterlab-sidecar")) makeRoom(1300); // for two side by side
      goWhereItIs();
    } else if (beside && panel.isConnected === off) {
      off = !off;
      send(off ? { type: "gone" } : { type: "ready", in: "beside" });
    }
  });
  placed.observe(panel);
  const ticking = setInterval(() => { if (!off && state.server?.asleep && !panel.classList.contains("silent")) showServer(); }, 100);
  return () => {
    clearInterval(ticking);
    lanes.end();
    picture.end();
    handle.remove();
    model.off("change:place", moved);
    placed.disconnect();
    end();
  };
}

export default { render };
