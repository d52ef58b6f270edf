// Plays films: source, calls and kernel in one picture. It draws what was read from the kernel and decides nothing.
// `host` holds the still, which the player takes the place of; with two films, they are stepped together.

const LABELS = ["wait", "accept", "read", "answer", "let go"];
const SVG = "http://www.w3.org/2000/svg";

function make(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("aria-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function draw(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

const text = (x, y, words, kind = "", more = {}) => draw("text", { x, y, class: kind, ...more }, String(words));
const box = (x, y, width, height, kind = "", more = {}) => draw("rect", { x, y, width, height, rx: 4, class: kind, ...more });
const titled = (shape, words) => (shape.append(...(words ? [draw("title", {}, words)] : [])), shape);
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
const cut = (words, length) => (words.length > length ? words.slice(0, length - 1) + "…" : words);
// A name in one line, or in two that are broken at an underscore.
function nameLines(name, length) {
  const at = name.length > length ? name.lastIndexOf("_", length - 1) + 1 : 0;
  return (at ? [name.slice(0, at), name.slice(at)] : [name]).map((line) => cut(line, length));
}

// The picture

// What a film has at some moment: its picture keeps a place for it at all of them.
const traits = (film) => ({
  carries: film.moments.some((m) => m.in),
  watched: film.rows.some((row) => row.kind === "epoll"),
  crowded: film.rows.some((row) => row.send && !row.writable),
  tasks: film.tasks.length > 0,
  hidden: film.moments.some((m) => m.hidden),
});
// Widths of the parts of a picture: as they are where there is room, and as they are on a narrow page.
const ROOMY = { tasks: 112, carries: 70, chip: 50, task: 102, edge: 12, process: 148, gap: 16, name: 88, watched: 122, list: 64, least: 386 };
const NARROW = { tasks: 88, carries: 64, chip: 54, task: 80, edge: 6, process: 122, gap: 6, name: 84, watched: 64, list: 60, least: 288 };
const SMALLEST = 0.92; // of its size, to which a picture shrinks: then its smallest type has 10 pixels
const GAP = 18; // between two films
const beforeNumbers = ({ carries, tasks }, wide) => (tasks ? wide.tasks : carries ? wide.carries : 0);
const lastColumn = ({ carries, watched }, wide) => (watched ? wide.watched : carries ? wide.list : 0);
// The least width at which a picture can be read.
const leastWidth = (has, wide = ROOMY) => beforeNumbers(has, wide) + wide.least + (wide === NARROW && has.crowded ? 40 : 0) + lastColumn(has, wide);
// The look of a picture, or of some beside each other that share this width: all alike.
function lookOf(all, width, most) {
  const narrow = width < all.reduce((sum, has) => sum + leastWidth(has), 0);
  return { narrow, height: most <= 5 || (narrow && all.some(({ watched }) => watched)) ? 50 : most <= 11 ? 40 : 30 };
}
// How wide it is drawn where there is so much room.
const drawnWidth = (has, room) => Math.max(leastWidth(has, NARROW), Math.min(840, room));
const mostRows = (film) => Math.max(...film.moments.map((m) => m.rows.filter((i) => film.rows[i].kind !== "epoll").length + (m.zombies?.length ?? 0)));

function kernelPicture() {
  const svg = draw("svg", { role: "img" });
  let places = new Map(); // where each thing that can move stood, and in which row

  function show(film, number, width, most, has = traits(film), { narrow, height } = lookOf([has], width, most)) {
    const { carries, watched, crowded, hidden } = has;
    const m = film.moments[number];
    const before = film.moments[number - 1];
    const rows = m.rows.map((i) => film.rows[i]);
    const was = new Map((before ? before.rows : []).map((i) => [film.rows[i].number, film.rows[i]]));
    const sockets = rows.filter((row) => row.kind !== "epoll");
    const epolls = rows.filter((row) => row.kind === "epoll");
    const tasks = m.tasks === null ? null : film.tasks[m.tasks];
    const call = m.threads[0]?.[0];
    const next = new Map();
    const parts = [];
    const add = (...made) => parts.push(...made);
    const moving = (key, x, y, ...children) => {
      const i = Math.floor((y - top) / height);
      next.set(key, { x, y, row: sockets[i]?.number, above: y - middle(i) });
      add(draw("g", { "data-key": key, transform: `translate(${x} ${y})` }, ...children));
    };

    // Columns
    const wide = narrow ? NARROW : ROOMY;
    const left = beforeNumbers(has, wide);
    const numbers = left + wide.edge;
    const chips = narrow ? 4 : 8; // where chips before the numbers begin
    const border = left + wide.process;
    const kernel = border + wide.gap;
    const name = kernel + wide.edge;
    const lists = width - lastColumn(has, wide);
    const both = lists - name >= 230 || crowded;
    const queues = name + Math.max(wide.name, Math.min(104, (lists - name) * 0.27));
    const room = (lists - 18 - queues - (both ? 10 : 0)) / (both ? 2 : 1);
    const sending = queues + room + 10;
    // Who waits stands behind the words "accept queue"; where there is no room for both in one line, below them.
    const line = lists - 18 - queues > 150;
    const below = !line && height >= 40;
    const people = { x: queues + (line ? 86 : 0), dy: below ? 8 : 0, high: below ? 16 : 22 };
    const top = 54;
    const y = (i) => top + i * height;
    const middle = (i) => y(i) + (height - 6) / 2;
    const at = (descriptor) => sockets.findIndex((row) => row.number === descriptor);
    const bottom = y(most) + 6;
    const tall = bottom + 44 + (hidden ? 18 : 0);

    add(box(0, 0, border, tall, "zone", { rx: 8 }), box(kernel, 0, width - kernel, tall, "zone", { rx: 8 }));
    add(text(12, 22, "the process", "title"), text(name, 22, "the kernel", "title"));
    add(text(numbers + (narrow && carries ? 8 : 0), 44, "number", "dim"), text(queues, 44, room < 84 ? "receive" : "receive queue", "dim"));
    if (both) add(text(sending, 44, room < 84 ? "send" : "send queue", "dim"));
    if (tasks) add(text(12, 44, "task waiting", "dim"));
    const wait = call === "select" || call === "poll";
    const inside = wait && m.asleep;
    if (carries && !inside) add(text(chips, 44, wait ? "carries in" : "came back", "dim"));
    if (watched) add(text(lists, 44, "interest", "dim"), ...(narrow ? [] : [text(lists + 64, 44, "ready", "dim")]));
    if (watched) add(box(lists - 6, 28, wide.watched, bottom + 12, "frame", { rx: 8 }));
    if (carries && inside) add(text(lists, 44, "the list", "dim"));

    sockets.forEach((row, i) => {
      const old = was.get(row.number);
      const same = old && old.who === row.who;
      const changed = (key) => before && (!same || old[key] !== row[key]);
      const mid = middle(i);
      add(draw("path", { class: "wire", d: `M${numbers + 36} ${mid} H${name - 4}` }));
      add(box(numbers, mid - 13, 36, 26, `box ${before && !same ? "changed" : ""}`), text(numbers + 18, mid + 4, row.number, "mono center"));
      add(box(name - 4, y(i), lists - name - 6, height - 6, `box ${before && !same ? "changed" : ""}`, { rx: 6 }));
      const two = height >= 40;
      const plain = row.state === "ESTABLISHED" || row.state === "LISTEN";
      const mode = row.blocking ? "blocking" : "non-blocking";
      add(text(name + 4, mid + (two ? -3 : 4), cut(row.who, Math.floor((queues - name) / 7)), "who"));
      if (two) add(text(name + 4, mid + 12, plain ? mode : row.state || row.kind, `small ${changed(plain ? "blocking" : "state") && same ? "hot" : "dim"}`));
      if (row.kind === "listener") queue(i, m.waiting, before ? before.waiting : []);
      else {
        if (row.receive !== null) vessel(queues, mid, room, row.receive, changed("receive"), false);
        if (both && row.send !== null) vessel(sending, mid, room, row.writable ? 0 : row.send, changed("writable"), !row.writable);
      }
      if (row.watched) chip(`interest ${row.number}`, lists, narrow ? mid - 11 : mid, 54, short(row.watched), "chip", changed("watched"));
      if (m.unknown?.includes(row.number)) add(text(narrow ? lists + 26 : lists + 87, narrow ? mid + 15 : mid + 4, "not known", "small dim center"));
      if (m.ready.includes(row.number)) chip(`ready ${row.number}`, narrow ? lists : lists + 62, narrow ? mid + 11 : mid, narrow ? 54 : 50, "ready", "chip full", before && !before.ready.includes(row.number));
      const handed = m.in?.[row.number];
      const back = wait ? null : m.back?.[row.number];
      if (carries && handed) chip(`list ${row.number}`, inside ? lists : chips, mid, wide.chip, events(handed), "chip", false);
      else if (carries && back) chip(`list ${row.number}`, chips, mid, wide.chip, events(back), "chip full", before && before.threads[0]?.[0] !== call);
      const waits = tasks?.filter((task) => task[2] === row.number && (task[1] === "read" || task[1] === "write"));
      if (waits?.length) task(waits[0][0], row, mid, false);
      const runs = tasks?.find((task) => task[2] === row.number && task[1] === "running");
      if (runs) task(runs[0], row, mid, true);
    });
    // Interests that have outlived their number: a duplicate keeps the connection open, and no number of the process leads to it.
    (m.zombies ?? []).forEach(([number, who, watched], i) => {
      const mid = middle(sockets.length + i);
      add(box(name - 4, mid - (height - 6) / 2, lists - name - 6, height - 6, "frame", { rx: 6 }));
      const words = [`${who}: number ${number} was closed`, "a duplicate lives on"];
      (narrow ? words : [words.join(", ")]).forEach((line, k, all) => add(text(name + 4, mid + (all.length > 1 ? -3 + 15 * k : 4), line, "small dim")));
      chip(`interest of old ${number}`, lists, mid, 54, short(watched), "chip", before && !before.zombies);
    });
    if (m.hidden) add(text(name, bottom + 52, `and ${m.hidden.toLocaleString("en")} more, which are not drawn`, "small dim"));

    // What is no socket: the epoll, or where select and poll go
    const mid = bottom + 20;
    const epoll = epolls[0];
    if (epoll) {
      add(draw("path", { class: "wire", d: `M${numbers + 36} ${mid} H${lists - 6}` }));
      add(box(numbers, mid - 13, 36, 26, "box"), text(numbers + 18, mid + 4, epoll.number, "mono center"));
      add(text(lists + wide.watched / 2 - 6, mid + 4, "epoll", "who center"));
    } else if (carries) add(text(name, narrow ? mid - 15 : mid + 5, inside ? "walks through the list" : "keeps no list between two calls", "small dim"));
    if (tasks) {
      const turns = tasks.filter((task) => task[1] === "running" || task[1] === "ready");
      const whose = turns.map((task) => rows.find((row) => row.number === task[2])?.who ?? task[0]); // a row has the task's name
      const more = turns.length > 1 ? ` +${turns.length - 1}` : "";
      const first = turns.length ? (turns[0][1] === "running" ? "▶ " : "") + whose[0] : "empty";
      add(text(chips, mid - 6, "ready queue", "dim"), titled(text(chips, mid + 11, cut(first, (narrow ? 14 : 16) - more.length) + more, "small"), whose.join(", ")));
    }

    // The threads, each a token with the name of its call
    const crowd = new Map();
    [...m.threads].reverse().forEach(([called, on, asleep, chosen], index) => {
      if (!called) return;
      const i = at(on);
      const row = i >= 0 ? middle(i) : mid;
      const place = `${row} ${asleep}`;
      const stack = crowd.get(place) ?? 0;
      crowd.set(place, stack + 1);
      const words = called + (asleep ? " z z" : "");
      const long = words.length * 6.7 + 14;
      const listens = asleep && sockets[i]?.kind === "listener";
      let x = border - long - 6;
      if (asleep && i >= 0) x = Math.min(called.startsWith("send") && both ? sending + 2 : listens ? people.x : queues + 2, lists - 12 - long);
      else if (asleep) x = lists - 16 - long;
      const first = index === m.threads.length - 1;
      moving(m.threads.length === 1 ? "thread" : `thread ${on} ${called}`, x, row + stack * 6 + (listens ? people.dy : 0),
        box(0, -11, long, 22, `token ${first ? "first" : ""} ${asleep ? "asleep" : ""}`, { rx: 11 }), text(long / 2, 4, words, `mono center ${first ? "on" : ""}`));
    });

    function chip(key, x, mid, wide, words, kind, changed, whole = "") {
      const lines = [words].flat();
      const high = lines.length > 1 ? 30 : 22;
      moving(key, x, mid, titled(box(0, -high / 2, wide, high, `${kind} ${changed ? "changed" : ""}`, { rx: 11 }), whole),
        ...lines.map((line, k) => text(wide / 2, lines.length > 1 ? -2 + 13 * k : 4, line, `small center ${kind.includes("full") ? "on-water" : ""}`)));
    }
    function task(name, row, mid, runs) {
      chip(`task ${name} ${row.number}`, chips, mid, wide.task, nameLines((runs ? "▶ " : "") + name, narrow ? 11 : 14), "chip", runs, name);
    }
    function queue(i, waiting, before) {
      const end = lists - 18;
      const at = middle(i) + people.dy;
      if (line) add(text(queues, at + 4, "accept queue", "small dim"));
      else if (below) add(text(end, y(i) + 12, end - name < 146 ? `accept: ${waiting.length}` : "accept queue", "small dim end"));
      else if (waiting.length) return add(text(queues, at + 4, `accept: ${waiting.length}`, "small"));
      let left = people.x;
      waiting.forEach((who, k) => {
        const long = who.length * 6.6 + 16;
        const last = k === waiting.length - 1;
        if (left + long > end - (last ? 0 : 28)) {
          if (left < end) add(text(left, at + 4, k ? `+${waiting.length - k}` : `${waiting.length} wait`, "small"));
          left = end + 1;
        } else if (left <= end) {
          moving(`waiting ${who} ${k}`, left, at, box(0, -people.high / 2, long, people.high, `person ${before.includes(who) ? "" : "changed"}`, { rx: people.high / 2 }), text(long / 2, 4, who, "small center on-water"));
          left += long + 4;
        }
      });
    }
    function vessel(x, mid, room, bytes, changed, full) {
      const fill = bytes ? Math.max(6, Math.min(1, full ? 1 : Math.log2(bytes + 1) / 18) * (room - 2)) : 0;
      add(box(x, mid - 9, room, 18, `vessel ${changed ? "changed" : ""}`));
      if (!bytes) return;
      add(box(x + 1, mid - 8, fill, 16, "water", { rx: 3 }));
      const words = full ? "full" : `${bytes.toLocaleString("en")} B`;
      if (fill + 8 + words.length * 6.2 < room) add(text(x + fill + 5, mid + 4, words, "small"));
      else add(text(x + 6, mid + 4, words, "small on-water"));
    }

    svg.setAttribute("viewBox", `0 0 ${width} ${tall}`);
    svg.setAttribute("width", width);
    svg.setAttribute("height", tall);
    svg.setAttribute("aria-label", m.state);
    svg.replaceChildren(...parts);
    if (!still()) {
      for (const part of svg.querySelectorAll("[data-key]")) {
        const { x, y } = next.get(part.dataset.key);
        const from = places.get(part.dataset.key);
        if (!from) continue;
        const i = at(from.row); // a row that has another place takes along what is in it
        const begin = i < 0 ? from.y : middle(i) + from.above;
        if (from.x !== x || begin !== y) {
          part.animate([{ transform: `translate(${from.x}px, ${begin}px)` }, { transform: `translate(${x}px, ${y}px)` }], { duration: 350, easing: "ease" });
        }
      }
    }
    places = next;
  }
  return { svg, show };
}

const short = (watched) => watched.replace("IN | OUT", "IN, OUT").replace(" | ET", " ET").replace("IN, OUT ET", "ET").replace(" | RDHUP", "").replace(" | EXCLUSIVE", "");
const events = (words) => words.replaceAll("EPOLL", "").replaceAll("POLL", "").replace("read, write", "both");

// The score: a lane for each of the five labels, a mark for each moment; a sleep is a long one

function score(film, spans, go) {
  const svg = draw("svg", { "aria-hidden": "true" });
  const slider = make("div", { className: "score", tabIndex: 0, role: "slider", "aria-label": `moments of ${film.name}`, "aria-valuemin": 1, "aria-valuemax": film.moments.length }, svg);
  const LANE = 15;
  const left = 62;
  let width = 600;
  let step = 10;

  function show(number, wide) {
    width = wide;
    const count = film.moments.length;
    const length = spans.at(-1)[0] + spans.at(-1)[1];
    step = Math.max(1, Math.min(30, (width - left - 4) / length));
    const height = (LABELS.length + 1) * LANE + 4;
    const now = film.moments[number];
    const parts = [box(left + spans[number][0] * step, 0, spans[number][1] * step, height, "band", { rx: 3 })];
    parts.push(text(0, 11, "clients", "lane"));
    LABELS.forEach((label, i) => parts.push(
      draw("path", { class: "line", d: `M${left} ${(i + 1.5) * LANE + 2} H${left + length * step}` }),
      text(0, (i + 1.5) * LANE + 6, label, `lane ${now && now.label === label ? "lit" : ""}`)));
    film.moments.forEach((m, k) => {
      const y = (LABELS.indexOf(m.label) + 1) * LANE + 4;
      const x = left + spans[k][0] * step;
      const kind = `${k === number ? "now" : k < number ? "past" : "coming"} ${m.asleep ? "slept" : ""}`;
      parts.push(m.asleep ? box(x + 1, y + 2, Math.max(1, spans[k][1] * step - 2), LANE - 7, `mark ${kind}`, { rx: 2 }) : box(x + step * 0.15, y, step * 0.7, LANE - 3, `mark ${kind}`, { rx: 2 }));
      if (m.acts.length) parts.push(draw("path", { class: `act ${k === number ? "now" : ""}`, d: `M${x - 4} 3 h8 l-4 8 z` }, draw("title", {}, m.acts.join(", "))));
    });
    svg.setAttribute("width", width);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    svg.replaceChildren(...parts);
    slider.setAttribute("aria-valuenow", number + 1);
    slider.setAttribute("aria-valuetext", `${number + 1} of ${count}: ${[...now.acts, now.came, now.asks].join(" ")}`);
  }
  const pick = (event) => go(Math.floor((event.clientX - svg.getBoundingClientRect().left - left) / step));
  svg.addEventListener("pointerdown", (event) => { svg.setPointerCapture(event.pointerId); pick(event); });
  svg.addEventListener("pointermove", (event) => { if (event.buttons & 1) pick(event); });
  return { slider, show };
}

// The source, with the line of the call

// Code that is broken where there is no room: before a dot or behind a bracket, and not inside of a name or an arrow.
const breakable = (code) =>
  code.replace(/[([](?![)\]])/g, "$&\0").split(/(->)|(?=\.(?!\d))|\0/).map((part, i) => (i % 2 ? (part ? make("span", { className: "whole" }, part) : make("wbr")) : part));

function sourcePane(film, go) {
  const lines = film.lines.map((line) => {
    const [, code, note] = line.match(/^(.*?)(#.*)?$/s);
    const words = note?.match(/^#\s*((?:wait|accept|read|answer|let go)(?:, (?:wait|accept|read|answer|let go))*):/);
    const labels = words ? words[1].split(", ") : [];
    const indent = code.match(/^ */)[0];
    const row = make("div", { className: "code" }, make("span", { className: "indent" }, indent), ...breakable(code.slice(indent.length) || (note ? "" : " ")));
    row.style.setProperty("--indent", `${indent.length}ch`);
    if (note && words) {
      const from = note.indexOf(words[1]);
      row.append(make("i", {}, note.slice(0, from), make("b", {}, words[1]), note.slice(from + words[1].length)));
    } else if (note) row.append(make("i", {}, note));
    row.labels = labels;
    return row;
  });
  const list = make("div", { className: "lines", tabIndex: 0, role: "group", "aria-label": `source of ${film.name}` }, ...lines);
  const here = make("div", { className: "here" });
  const pane = make("div", { className: "source" }, list, here);
  let now = 0;
  lines.forEach((line, i) => {
    const there = film.moments.flatMap((m, k) => (m.place?.at === i ? [k] : []));
    if (!there.length) return;
    line.classList.add("reached");
    line.title = "go to the next moment here";
    line.addEventListener("click", () => go(there.find((k) => k > now) ?? there[0]));
  });

  function show(number) {
    now = number;
    const m = film.moments[number];
    lines.forEach((line, i) => {
      line.classList.toggle("now", m.place?.at === i);
      line.classList.toggle("caller", Boolean(m.place?.callers.includes(i)));
      line.classList.toggle("lit", line.labels.includes(m.label));
      if (m.place?.at === i) line.setAttribute("aria-current", "true");
      else line.removeAttribute("aria-current");
    });
    const line = lines[m.place?.at ?? -1];
    if (line) list.scrollTop = Math.max(0, line.offsetTop - list.clientHeight * 0.45);
    const told = (m.place?.names ?? []).flatMap(([name, value]) => [make("span", {}, make("b", {}, name), ` ${value}`)]);
    here.replaceChildren(...(m.place?.inner ? [make("span", {}, make("b", {}, `in ${m.place.inner[0]}:`), ` ${m.place.inner[1]}`)] : []), ...told);
  }
  return { pane, show };
}

// Gives a box the page's light or dark, as it is seen: JupyterLab's theme, or what the system prefers. Returns what ends that.
function followTheme(box) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  function dress() {
    const theme = document.body.dataset.jpThemeLight;
    box.dataset.theme = (theme ? theme === "false" : system.matches) ? "dark" : "light";
  }
  const themed = new MutationObserver(dress);
  themed.observe(document.body, { attributeFilter: ["data-jp-theme-light"] });
  system.addEventListener("change", dress);
  dress();
  return () => {
    themed.disconnect();
    system.removeEventListener("change", dress);
  };
}

// One film: words, source, picture

// go(tick) shows a tick of all films; goTo(moment) that of one moment of this film. `spans` are the ticks of each moment.
function filmView(film, spans, most, go, titled) {
  const goTo = (moment) => go(spans[moment][0]);
  const title = make("b", {}, film.name);
  const strip = score(film, spans, go);
  const came = make("p", { className: "came" });
  const asks = make("p", { className: "asks" });
  const words = make("div", { className: "words" }, came, asks);
  const picture = kernelPicture();
  const has = traits(film);
  const source = sourcePane(film, goTo);
  const clients = make("ul", { className: "clients", "aria-label": "what each client has" });
  const stage = make("div", { className: "stage" }, picture.svg, clients);
  const told = film.lines.length > 0; // the source of a reference solution is not
  const both = make("div", { className: "both" }, ...(told ? [source.pane] : []), stage);
  const view = make("div", { className: "view" }, ...(titled ? [title] : []), strip.slider, words, both);
  let shown = 0;
  let look; // that it has in common with another film

  function show(number) {
    shown = number;
    const m = film.moments[number];
    const before = film.moments[number - 1];
    const acts = m.acts.map((act) => make("span", { className: "act" }, act));
    const back = make("span", {}, m.came);
    came.replaceChildren(...(before?.asleep ? [...acts, back] : [back, ...acts]));
    const last = number === film.moments.length - 1;
    asks.replaceChildren(...(m.call && !m.asleep ? [make("code", {}, m.call), " "] : []), m.asks, ...(last ? [make("span", { className: "ending" }, ` ${film.ending}`)] : []));
    asks.classList.toggle("sleeps", m.asleep);
    source.show(number);
    clients.replaceChildren(...film.clients[m.clients].map(([name, state, sent, received, end]) => make("li", {},
      make("b", {}, name), ` ${m.waiting.includes(name) ? "stands in the accept queue" : state}`,
      ...(sent && !received ? [", no answer yet"] : received ? [`, has got ${received <= 24 ? `“${end}”` : `${received.toLocaleString("en")} bytes`}`] : []))));
    size();
  }
  function size(common = look) {
    look = common;
    const width = Math.floor(view.clientWidth);
    if (!width) return;
    strip.show(shown, width);
    const beside = width - leastWidth(has) - 14; // what is left for the source
    const wide = told && beside >= 270;
    view.classList.toggle("wide", wide);
    const column = Math.floor(Math.min(430, beside, Math.max(270, width * 0.33)));
    both.style.gridTemplateColumns = wide ? `${column}px minmax(0, 1fr)` : "";
    picture.show(film, shown, drawnWidth(has, wide ? width - column - 14 : width), most, has, look ?? undefined);
    source.pane.style.maxHeight = wide ? `${Math.max(250, stage.clientHeight)}px` : "";
  }
  return { view, show, size };
}

// Two films of one script go together by what the clients have done; whose server has less to do waits for the other.
function ticks(films) {
  const steps = films.map((film) => {
    let acts = 0;
    return film.moments.map((m) => (acts += m.acts.length));
  });
  const order = [];
  for (const done of [...new Set(steps.flat())].sort((a, b) => a - b)) {
    const counts = steps.map((its) => its.filter((one) => one === done).length);
    for (let k = 0; k < Math.max(...counts); k += 1) {
      order.push(steps.map((its, f) => Math.max(0, its.filter((one) => one < done).length + Math.min(k, counts[f] - 1))));
    }
  }
  return order;
}

function filmPlayer(host, films, style) {
  const player = make("div");
  host.append(player);
  const root = player.attachShadow({ mode: "open" });
  const order = ticks(films);
  const name = films.map((film) => film.name).join(" beside ");
  let tick = 0;
  let timer = null;

  const button = (words, label, onclick) => make("button", { type: "button", "aria-label": label, title: label, onclick }, words);
  const back = button("◀", "one moment back", () => go(tick - 1));
  const on = button("▶", "one moment on", () => go(tick + 1));
  const play = button("Play", "play", () => (timer ? pause() : begin()));
  const count = make("output");
  const most = Math.max(...films.map(mostRows));
  const views = films.map((film, f) => {
    const spans = film.moments.map((_, k) => [order.findIndex((places) => places[f] >= k), order.filter((places) => places[f] === k).length]);
    return filmView(film, spans, most, go, films.length > 1);
  });
  const told = make("details", {}, make("summary", {}, "This moment in words"));
  const said = films.map(() => told.appendChild(make("p")));
  const together = make("div", { className: films.length > 1 ? "pair" : "" }, ...views.map((one) => one.view));
  const box = make("div", { className: "player", role: "group", "aria-label": `film of ${name}` },
    make("div", { className: "bar" }, ...(films.length === 1 ? [make("b", {}, name)] : []), back, play, on, count), together, told);
  root.append(make("style", {}, style), box);

  function go(wanted, playing = false) {
    if (!playing) pause();
    tick = Math.max(0, Math.min(order.length - 1, wanted));
    views.forEach((view, f) => view.show(order[tick][f]));
    const here = films.map((film, f) => film.moments[order[tick][f]]);
    count.value = `${tick + 1} of ${order.length}`;
    here.forEach((m, f) => { said[f].textContent = (films.length > 1 ? `${films[f].name}: ` : "") + m.state; });
    back.disabled = tick === 0;
    on.disabled = tick === order.length - 1;
  }
  function begin() {
    if (tick === order.length - 1) go(0);
    play.textContent = "Pause";
    play.setAttribute("aria-label", "pause");
    const turn = () => {
      if (tick === order.length - 1) return pause();
      go(tick + 1, true);
      const letters = films.reduce((sum, film, f) => sum + film.moments[order[tick][f]].came.length + film.moments[order[tick][f]].asks.length, 0);
      timer = setTimeout(turn, Math.min(6000, 900 + 22 * letters)); // as fast as one reads
    };
    timer = setTimeout(turn, 300);
  }
  function pause() {
    clearTimeout(timer);
    timer = null;
    play.textContent = "Play";
    play.setAttribute("aria-label", "play");
  }

  // On a page of its own the keys belong to the film, wherever the focus is.
  const keys = document.querySelectorAll("body > *").length === 1 ? document : box;
  // JupyterLab takes a plain key as one of its commands; those that run a cell or carry Ctrl, Alt or Meta still go through.
  keys.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || (event.shiftKey && event.key === "Enter") || event.key === "Escape") return;
    event.stopPropagation();
    const to = { ArrowLeft: tick - 1, ArrowRight: tick + 1, Home: 0, End: order.length - 1 }[event.key];
    if (to === undefined || event.shiftKey) return;
    event.preventDefault();
    go(to);
  });

  const done = followTheme(box);
  for (const part of [...host.children]) if (part !== player && part.tagName !== "SCRIPT") part.hidden = true;
  if (order.length) go(0);
  // Films stand beside each other as long as all of their pictures can be read; each gets the width that it needs.
  const all = films.map(traits);
  function size() {
    const room = together.clientWidth - GAP * (films.length - 1);
    const beside = room >= SMALLEST * all.reduce((sum, has) => sum + leastWidth(has, NARROW), 0);
    const look = lookOf(all, room, most);
    together.style.gridTemplateColumns = beside ? all.map((has) => `minmax(0, ${leastWidth(has, look.narrow ? NARROW : ROOMY)}fr)`).join(" ") : "";
    views.forEach((view) => view.size(beside && films.length > 1 ? look : null));
  }
  new ResizeObserver(size).observe(box);
  return done;
}
