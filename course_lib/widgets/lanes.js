// Time lanes, like a logic analyser's: one for the server's thread, one for each descriptor.
// The kernel process sends what changed, with its own time; between two messages the last state goes on.

const THREAD = -1;
const READABLE = 1, WRITABLE = 2, HANG_UP = 4, GONE = 8, ARRIVED = 16;
const LANE_HEIGHT = 22, LABEL_WIDTH = 150, AXIS_HEIGHT = 18, KEPT_SECONDS = 65, CLOSED_SHOWN = 20;
const SPANS = [2, 5, 10, 30, 60]; // seconds

function lanesView({ element, setText }) {
  const canvas = element("canvas", { tabIndex: 0, role: "img", "aria-label": "time lanes; arrow keys move the cursor" });
  const under = element("div", { className: "under", "aria-live": "polite" });
  const pause = element("button", { type: "button", textContent: "Pause", onclick: () => setPaused(pausedAt === null) });
  const span = element("select", { "aria-label": "seconds shown", onchange: draw },
    ...SPANS.map((seconds) => element("option", { value: seconds, textContent: `last ${seconds} s` })));
  span.value = 10;
  const legend = element("span", { className: "legend" });
  const box = element("div", { className: "lanes" },
    element("div", { className: "line" }, element("b", { textContent: "time" }), pause, span, legend), canvas, under);

  // A lane belongs to one socket, also when the next one gets its number.
  const lanes = new Map(); // id -> { id, number, name, steps: [{ at, bits, waiting }], calls: [{ from, to, label, count }] }
  const texts = new Map(); // id -> what the thread does, or the name of a call
  let order = []; // of lanes, from top to bottom
  let rows = [], thread = false, part = false;
  let lead = Infinity; // smallest (page's clock - kernel process's clock): their offset, and the fastest message
  let pausedAt = null, cursor = null, recording = false, queued = false;

  const clock = () => performance.now() / 1000 - lead;
  const lane = (id) => lanes.get(id) ?? lanes.set(id, { id, number: id, name: "the server's thread", steps: [], calls: [] }).get(id);
  const gone = ({ id, steps }, at) => id !== THREAD && Boolean((steps.findLast((step) => step.at <= at)?.bits ?? 0) & GONE);

  function setPaused(on) {
    pausedAt = on ? clock() : null;
    setText(pause, on ? "Resume" : "Pause");
    draw();
  }

  // Records of five numbers: lane, from, to, what, how much. Without a `to` it is a state that goes on.
  function add(message, buffer) {
    lead = Math.min(lead, performance.now() / 1000 - message.now);
    for (const [id, text] of message.texts) texts.set(id, text);
    for (const [id, number, name] of message.lanes) Object.assign(lane(id), { number, name });
    const records = new Float64Array(buffer.buffer.slice(buffer.byteOffset, buffer.byteOffset + buffer.byteLength));
    for (let i = 0; i < records.length; i += 5) {
      const [number, from, to, what, much] = records.subarray(i, i + 5);
      if (Number.isNaN(to)) lane(number).steps.push({ at: from, bits: what, waiting: much });
      else lane(number).calls.push({ from, to, label: what, count: much });
    }
    forget(message.now - KEPT_SECONDS);
    draw();
  }

  function forget(before) {
    if (pausedAt !== null) return;
    for (const { id, steps, calls } of lanes.values()) {
      while (steps.length > 1 && steps[1].at < before) steps.shift();
      while (calls.length && calls[0].to < before) calls.shift();
      if (gone(lane(id), before)) lanes.delete(id);
    }
    const closed = [...lanes.values()].filter((one) => gone(one, Infinity));
    for (const { id } of closed.slice(0, part ? closed.length : Math.max(0, closed.length - CLOSED_SHOWN))) lanes.delete(id);
  }

  function label(now, isServer, isRecording, isPart) {
    [rows, thread, recording, part] = [now, isServer, isRecording, isPart];
    setText(legend, "▀ readable  ─ writable  ▨ hang-up  5 = bytes waiting  " + (part ? "┆ data came since the look before  " : "")
      + (recording ? "▮ calls: recorded, exact to the microsecond" : "| sampled up to 30 times a second"));
  }

  function draw() {
    if (queued) return;
    queued = true;
    requestAnimationFrame(() => { queued = false; paint(); });
  }

  // The thread first, then the listeners, then by number; those that were closed too, as long as they can be seen.
  function arrange(start, end) {
    const top = ({ id, number }) => (id === THREAD ? 0 : rows.some((row) => row.number === number && row.kind.endsWith("listener")) ? 1 : 2);
    order = [...lanes.values()]
      .filter((one) => (one.id === THREAD ? thread : (one.steps[0]?.at ?? one.calls[0]?.from ?? end) <= end && !gone(one, start)))
      .sort((a, b) => top(a) - top(b) || a.number - b.number || a.id - b.id);
  }

  function paint() {
    const end = pausedAt ?? clock(), seconds = Number(span.value), start = end - seconds;
    arrange(start, end);
    const width = box.clientWidth, height = order.length * LANE_HEIGHT + AXIS_HEIGHT, ratio = devicePixelRatio || 1;
    if (!width) return;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
      canvas.style.height = `${height}px`;
    }
    const style = getComputedStyle(box), colour = (name, spare) => style.getPropertyValue(name).trim() || spare;
    const ink = colour("--jp-content-font-color1", "#212121"), faint = colour("--jp-border-color2", "#ddd");
    const dim = colour("--jp-content-font-color2", "#616161");
    const brand = colour("--jp-brand-color1", "#1976d2"), warn = colour("--jp-warn-color1", "#f57c00");
    const paper = canvas.getContext("2d");
    paper.setTransform(ratio, 0, 0, ratio, 0, 0);
    paper.clearRect(0, 0, width, height);
    paper.font = "11px sans-serif";
    paper.textBaseline = "middle";
    const x = (time) => LABEL_WIDTH + Math.max(0, (time - start) / seconds) * (width - LABEL_WIDTH);

    order.forEach((one, row) => {
      const top = row * LANE_HEIGHT, { id, steps, calls } = one;
      paper.fillStyle = gone(one, end) ? dim : ink;
      paper.fillText(nameOf(one, end), 4, top + LANE_HEIGHT / 2, LABEL_WIDTH - 10);
      paper.fillStyle = faint;
      paper.fillRect(LABEL_WIDTH, top + LANE_HEIGHT - 1, width - LABEL_WIDTH, 1);
      const names = []; // of the thread's states, written last: nothing may cover them
      steps.forEach((step, i) => {
        const from = x(step.at), to = x(Math.min(steps[i + 1]?.at ?? end, end));
        if (to <= LABEL_WIDTH || step.at > end) return;
        if (id === THREAD) {
          const text = texts.get(step.bits) ?? "", asleep = /^(asleep|held)/.test(text);
          paintThread(from, to, top, asleep);
          names.push({ text, from, to, asleep });
          return;
        }
        if (step.bits & WRITABLE) { paper.fillStyle = brand; paper.fillRect(from, top + LANE_HEIGHT - 6, to - from, 1.5); }
        if (step.bits & READABLE) { paper.fillStyle = brand; paper.fillRect(from, top + 3, Math.max(1.5, to - from), LANE_HEIGHT - 12); }
        if (step.bits & HANG_UP) hatch(from, to, top);
        if (step.bits & ARRIVED) ticks(from, to, top);
        if (step.waiting && to - from > 16) {
          paper.fillStyle = step.bits & READABLE ? "#fff" : ink;
          paper.fillText(step.waiting.toLocaleString("en"), from + 3, top + LANE_HEIGHT / 2 - 2, to - from - 4);
        }
      });
      for (const call of calls) {
        if (call.to < start || call.from > end) continue;
        const from = x(call.from), to = Math.max(from + 2, x(Math.min(call.to, end)));
        if (id === THREAD) {
          const slept = call.to - call.from > 0.001;
          paintThread(from, to, top, slept);
          if (slept) names.push({ text: texts.get(call.label) ?? "", from, to, asleep: true });
          continue;
        }
        paper.fillStyle = warn;
        paper.fillRect(to - 2, top + 2, 2, LANE_HEIGHT - 5);
      }
      writeNames(names, top);
    });

    paper.fillStyle = ink;
    for (let back = 0; back <= seconds; back += seconds / 5) {
      const at = x(end - back);
      paper.textAlign = back === 0 ? "right" : "center";
      paper.fillText(back === 0 ? "now" : `−${back} s`, at, height - AXIS_HEIGHT / 2);
    }
    paper.textAlign = "left";
    if (cursor) {
      paper.fillStyle = ink;
      paper.fillRect(cursor.x, 0, 1, height - AXIS_HEIGHT);
      setText(under, describe(cursor, start + ((cursor.x - LABEL_WIDTH) / (width - LABEL_WIDTH)) * seconds, end));
    } else setText(under, "");

    // Asleep is an empty box, running (or a call that came back at once) a filled one.
    function paintThread(from, to, top, asleep) {
      paper.fillStyle = asleep ? faint : warn;
      paper.fillRect(from, top + 4, Math.max(1, to - from), LANE_HEIGHT - 9);
    }

    // From left to right, each in the room that the one before has left; the longer box says more.
    function writeNames(names, top) {
      let free = LABEL_WIDTH;
      for (const { text, from, to, asleep } of names.sort((a, b) => a.from - b.from || b.to - a.to)) {
        const start = Math.max(from, free);
        if (to - start < 24) continue;
        paper.save();
        paper.beginPath();
        paper.rect(start, top, to - start, LANE_HEIGHT);
        paper.clip();
        paper.fillStyle = asleep ? ink : "#111"; // a filled box is bright in both themes
        paper.fillText(text, start + 4, top + LANE_HEIGHT / 2);
        paper.restore();
        free = Math.min(to, start + 4 + paper.measureText(text).width + 8);
      }
    }

    // Under the box of what is readable, so that both can be seen; at places of their own, so that neighbours join.
    function ticks(from, to, top) {
      paper.fillStyle = brand;
      for (let at = Math.ceil(Math.max(from, LABEL_WIDTH) / 4) * 4; at < to; at += 4) paper.fillRect(at, top + 5, 1.5, LANE_HEIGHT - 13);
    }

    function hatch(from, to, top) {
      paper.strokeStyle = warn;
      paper.beginPath();
      for (let at = Math.max(from, LABEL_WIDTH); at < to; at += 6) { paper.moveTo(at, top + LANE_HEIGHT - 4); paper.lineTo(at + 5, top + 4); }
      paper.stroke();
    }
  }

  const nameOf = (one, at) => (one.id === THREAD ? one.name : `${one.number} ${one.name}${gone(one, at) ? " (closed)" : ""}`);

  // What is under the cursor, in words: also what a screen reader says.
  function describe({ row }, time, end) {
    const shown = order[row];
    if (!shown) return "";
    const { id, steps, calls } = shown;
    const when = `${nameOf(shown, time)}, ${(end - time).toFixed(3)} s before ${pausedAt === null ? "now" : "the pause"}: `;
    const call = calls.findLast((call) => call.from <= time && time <= Math.max(call.to, call.from + 0.01));
    const step = steps.findLast((step) => step.at <= time);
    const parts = [];
    if (call) parts.push(`${texts.get(call.label)} (recorded, ${((call.to - call.from) * 1e6).toFixed(0)} µs)`);
    if (step && id === THREAD && !call) parts.push(`${texts.get(step.bits)} (sampled)`);
    if (step && id !== THREAD && step.bits & GONE) parts.push("closed, or not among those shown");
    else if (step && id !== THREAD) {
      parts.push(step.bits & READABLE ? "readable" : "not readable", step.bits & WRITABLE ? "writable" : "not writable");
      if (step.bits & HANG_UP) parts.push("hang-up");
      if (step.bits & ARRIVED) parts.push("data came since the look before");
      if (step.waiting) parts.push(`${step.waiting.toLocaleString("en")} waiting`);
    }
    return when + (parts.join(", ") || "nothing known");
  }

  function moveTo(x, row) {
    const last = order.length ? order.length - 1 : Infinity; // before the first picture nobody knows
    cursor = { x: Math.min(Math.max(x, LABEL_WIDTH), box.clientWidth - 1), row: Math.min(Math.max(row, 0), last) };
    draw();
  }

  canvas.addEventListener("pointermove", (event) => moveTo(event.offsetX, Math.floor(event.offsetY / LANE_HEIGHT)));
  canvas.addEventListener("pointerleave", () => { cursor = null; draw(); });
  canvas.addEventListener("blur", () => { cursor = null; draw(); });
  canvas.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    const { x, row } = cursor ?? { x: box.clientWidth - 1, row: 0 };
    moveTo(x + step[0], row + step[1]);
  });
  const resized = new ResizeObserver(draw);
  resized.observe(box);
  const themed = new MutationObserver(draw); // the canvas has its own colours: draw them anew
  themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  // Time goes on only where it is seen.
  let ticking = null;
  const seen = new IntersectionObserver((entries) => {
    clearInterval(ticking);
    ticking = entries.at(-1).isIntersecting ? setInterval(() => { if (pausedAt === null && lead < Infinity) draw(); }, 40) : null;
  });
  seen.observe(box);

  return {
    box, add, label,
    end() { clearInterval(ticking); seen.disconnect(); resized.disconnect(); themed.disconnect(); },
  };
}
