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
