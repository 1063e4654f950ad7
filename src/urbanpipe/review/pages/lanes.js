// The time axis: a lane per class with its curve and a mark per item; a click on it shows that moment.
import { clock, find, language, make, t } from "/static/common.js";

const xOf = (seconds, span) => `${Math.min(100, (100 * seconds) / span)}%`;

function lane(view, one, items, current, { onSeek, onItem }) {
  const plot = make("svg:svg", { class: "plot" });
  for (const tick of view.ticks) plot.append(make("svg:line", { class: "grid", x1: `${tick.x}%`, x2: `${tick.x}%`, y1: 0, y2: "100%" }));
  if (one.curve) plot.append(make("svg:svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none" }, make("svg:path", { class: "curve", d: one.curve })));
  for (const item of items) {
    const { decision } = item;
    if (decision.begin_seconds !== null && decision.begin_seconds !== undefined) {
      const end = decision.end_seconds ?? decision.begin_seconds;
      plot.append(make("svg:rect", { class: "interval", x: xOf(decision.begin_seconds, view.span), width: xOf(end - decision.begin_seconds, view.span), y: 0, height: "100%" }));
    }
    const mark = make("svg:svg", { class: "at", x: xOf(decision.seconds, view.span), overflow: "visible" },
      make("svg:line", { class: "stem", y1: 0, y2: "100%" }), make("svg:circle", { class: `dot ${decision.status}`, cy: "50%", r: item.key === current ? 7 : 5 }), make("svg:title", {}, `${one.code} ${clock(decision.seconds, true)}`));
    mark.addEventListener("click", (event) => { event.stopPropagation(); onItem(item.key); });
    plot.append(mark);
  }
  plot.addEventListener("click", (event) => { const box = plot.getBoundingClientRect(); onSeek((view.span * (event.clientX - box.left)) / box.width); });
  return make("div", { class: "lane" }, make("div", { class: "lane-name", title: one[language] }, make("span", { class: "code" }, one.code), ` ${one[language]}`), plot);
}

// Draws the classes with items, and then those that the software thinks likeliest, all others on request.
let all = false;
export function drawLanes(view, current, handlers) {
  const timed = view.items.filter((one) => one.decision.seconds !== null && one.decision.seconds !== undefined && (!one.proposal?.unlikely || one.decision.status !== "open"));
  const shown = view.classes.filter((one) => one.code !== view.exclusive && (all || timed.some((item) => item.decision.code === one.code)));
  const axis = make("div", { class: "lane axis" }, make("div", { class: "lane-name" }, make("button", { type: "button", onclick: () => { all = !all; drawLanes(view, current, handlers); } }, t(all ? "fewer_classes" : "all_classes"))),
    make("svg:svg", { class: "plot" }, view.ticks.filter((tick) => !tick.minor).map((tick) => make("svg:text", { x: `${tick.x}%`, y: 14, "text-anchor": tick.x < 3 ? "start" : tick.x > 97 ? "end" : "middle" }, tick.label))));
  find("#lanes").replaceChildren(make("div", { class: "lanes" }, shown.map((one) => lane(view, one, timed.filter((item) => item.decision.code === one.code), current, handlers)), axis,
    make("div", { class: "cursor-box" }, make("div", { id: "cursor" }))));
}

export function moveCursor(seconds, span) {
  const cursor = find("#cursor");
  if (cursor) cursor.style.left = xOf(seconds, span);
}
