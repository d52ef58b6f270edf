// What ipywidgets cannot say about a box of controls: that its keys are its own, what its groups and sliders are called,
// and that the process behind it is gone.

function dress(box, name) {
  box.addEventListener("keydown", keepKeys);
  box.setAttribute("role", "group");
  box.setAttribute("aria-label", name);
  for (const slider of box.querySelectorAll(".widget-slider")) {
    const words = slider.querySelector(".widget-label")?.textContent;
    slider.querySelector(".noUi-handle")?.setAttribute("aria-label", words || name);
  }
  let question = name;
  for (const part of box.querySelectorAll(".course-question, .widget-radio-box")) {
    if (part.matches(".course-question")) question = part.textContent;
    else {
      part.setAttribute("role", "radiogroup");
      part.setAttribute("aria-label", part.closest(".widget-radio")?.querySelector(".widget-label")?.textContent || question);
      // With a name in common the browser takes them as one stop of the Tab key.
      const group = `course-${Math.random()}`;
      for (const input of part.querySelectorAll("input:not([name])")) input.name = group;
    }
  }
}

// What no process answers any more says so, and takes no more input.
function lose(box) {
  if (box.classList.contains("lost")) return;
  box.classList.add("lost");
  const words = element("div", { role: "status", className: "lost-words" });
  for (const part of box.children) part.inert = true;
  box.prepend(words);
  setText(words, "The notebook's process that asked this is gone. Run the cells again from the first one.");
}

function render({ model, el }) {
  // A view is made before it is put into the page, and the views beside it may come later.
  let box, timer;
  const others = new MutationObserver(() => dress(box, model.get("name")));
  (function look() {
    box = el.closest(".widget-box");
    if (!box) { timer = setTimeout(look, 100); return; }
    makeRoom(1000); // a figure needs the width of the page there
    dress(box, model.get("name"));
    others.observe(box, { childList: true, subtree: true });
  })();
  const lost = () => {
    if (box) lose(box);
  };
  model.on("comm_live_update", lost);
  return () => {
    clearTimeout(timer);
    others.disconnect();
    model.off("comm_live_update", lost);
  };
}

export default { render };
