// What widgets share in the page: it stands before the source of each of them.

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  const { role, ...rest } = properties;
  if (role) made.setAttribute("role", role);
  for (const [name, value] of Object.entries(rest)) {
    if (name.startsWith("aria-")) made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

// A function that tells the notebook's process something, under a name for this view of the widget. A process that is gone is
// told nothing more: the widget itself says so, and the page's console need not.
function teller(model) {
  const view = crypto.randomUUID ? crypto.randomUUID() : String(Math.random());
  return (message) => {
    if (model.comm_live === false) return;
    try {
      model.send({ view, ...message });
    } catch (error) {
      if (error.message !== "Cannot send") throw error; // JupyterLab's word for a closed comm
    }
  };
}

// anywidget (0.9 to 0.11) gives a module two seconds. On a slow page that is not enough: it complains in the console, and no message
// reaches the widget any more, although the module comes. Then it gets its messages as every other widget does.
const LATE = "[anywidget] Failed to initialize model.";
if (!window.courseExcusesLate) {
  window.courseExcusesLate = true;
  addEventListener("unhandledrejection", (event) => { if (event.reason?.message === LATE) event.preventDefault(); });
}
async function attend(model) {
  const own = model.get("own") && await model.widget_manager?.get_model(model.get("own"));
  if (!own?.comm) return;
  const inherited = Object.getPrototypeOf(Object.getPrototypeOf(own))._handle_comm_msg;
  own.comm.on_msg(inherited.bind(own));
}

// Says so when nothing comes from the kernel's process for a while; returns what to call when something has come.
function whileUnanswered(say) {
  const waiting = setTimeout(() => say("Nothing has come from the notebook's process yet. If this does not change, run this cell again."), 5000);
  return () => clearTimeout(waiting);
}

const ALIVE_EVERY = 10_000; // ms; the kernel's process stops looking for a page that has gone silent

// What the live panels have in common: they hear, say so when nothing comes, and tell that they are looked at as long as `isSeen()`.
// `lost` is called when the notebook's process is gone. Returns what ends all that.
function live(model, panel, send, { say, hear, lost, isSeen = () => true }) {
  function heard(message, buffers) {
    answered();
    panel.classList.remove("silent");
    hear(message, buffers);
  }
  function gone() {
    clearInterval(alive);
    panel.classList.add("silent");
    lost();
  }
  model.on("msg:custom", heard);
  model.on("comm_live_update", gone);
  const answered = whileUnanswered((text) => {
    panel.classList.add("silent");
    say(text);
  });
  const alive = setInterval(() => { if (isSeen()) send({ type: "alive" }); }, ALIVE_EVERY);
  return () => {
    answered();
    clearInterval(alive);
    model.off("msg:custom", heard);
    model.off("comm_live_update", gone);
    send({ type: "gone" });
  };
}

// A table with a head, and the box in which it scrolls. Columns: [key, title, meaning].
function table(label, columns, body) {
  const heads = columns.map(([key, title, meaning]) => element("th", { scope: "col", title: meaning, textContent: title, className: key }));
  return element("table", { "aria-label": label }, element("thead", {}, element("tr", {}, ...heads)), body);
}
const scrolling = (label, inside) => element("div", { className: "scroll", tabIndex: 0, role: "group", "aria-label": label }, inside);

// Offers these values in a select. What is chosen stays so while it is there; else, and with `newest` when one came, it is the last.
function offer(choice, values, newest = false) {
  const before = choice.value, options = [...choice.options].map((option) => option.value);
  if (options.join() === values.join()) return;
  choice.replaceChildren(...values.map((value) => element("option", { value, textContent: value })));
  choice.value = values.includes(before) && !(newest && values.length > options.length) ? before : values.at(-1) ?? "";
}

// JupyterLab takes a plain key pressed on a widget as one of its commands: an arrow leaves the cell, "d d"
// deletes it. Keys that run a cell or carry Ctrl, Alt or Meta still go through.
function keepKeys(event) {
  const runs = event.shiftKey && event.key === "Enter";
  if (!runs && event.key !== "Escape" && !event.ctrlKey && !event.altKey && !event.metaKey) event.stopPropagation();
}

// Clicks on a part of a tab of JupyterLab: a widget has no other way to it.
function clickTab(part) {
  const { left, top, width, height } = part?.getBoundingClientRect() ?? {};
  for (const type of ["pointerdown", "pointerup"]) {
    part?.dispatchEvent(new PointerEvent(type, { bubbles: true, clientX: left + width / 2, clientY: top + height / 2, button: 0 }));
  }
}

// A page that is no wider than this folds the file browser, once, and the notebook has its width. A click on its icon brings it back.
function makeRoom(width) {
  if (innerWidth > width || document.body.dataset.courseMadeRoom) return;
  document.body.dataset.courseMadeRoom = "yes";
  clickTab(document.querySelector(".jp-SideBar.jp-mod-left .lm-TabBar-tab.lm-mod-current"));
}
