// The time axis: a lane per class with its curve and a mark per item; a click on it shows that moment.
import { clock, find, language, make, t } from "/static/common.js";

const MARKS = 240; // in a lane; more would lie on top of each other, and take long to draw
const share = (seconds, span) => Math.min(100, (100 * seconds) / span);
const xOf = (seconds, span) => `${share(seconds, span)}%`;
const isSet = (value) => value !== null && value !== undefined;

// Returns an item per place on the axis, an open one where there is one.
function distinct(items, span) {
  if (items.length <= MARKS) return items;
  const places = new Map();
  for (const item of items) {
    const place = Math.round((MARKS * item.decision.seconds) / span);
    if (!places.has(place) || (item.decision.status === "open" && places.get(place).decision.status !== "open")) places.set(place, item);
  }
  return [...places.values()];
}

// Returns the intervals of items as [begin, end], joined where they touch.
function intervals(items, span) {
  const joined = [];
  const given = items.filter((one) => isSet(one.decision.begin_seconds)).map(({ decision }) => [decision.begin_seconds, decision.end_seconds ?? decision.begin_seconds]);
  for (const [begin, end] of given.sort((one, other) => one[0] - other[0])) {
    const last = joined.at(-1);
    if (last && begin <= last[1] + span / 500) last[1] = Math.max(last[1], end);
    else joined.push([begin, end]);
  }
  return joined;
}

function lane(view, one, items, { onSeek, onItem }) {
  const plot = make("svg:svg", { class: "plot", "data-code": one.code });
  for (const tick of view.ticks) plot.append(make("svg:line", { class: "grid", x1: `${tick.x}%`, x2: `${tick.x}%`, y1: 0, y2: "100%" }));
  if (one.curve) plot.append(make("svg:svg", { viewBox: "0 0 1000 100", preserveAspectRatio: "none" }, make("svg:path", { class: "curve", d: one.curve })));
  for (const [begin, end] of intervals(items, view.span)) plot.append(make("svg:rect", { class: "interval", x: xOf(begin, view.span), width: xOf(end - begin, view.span), y: 0, height: "100%" }));
  for (const item of distinct(items, view.span)) {
    const mark = make("svg:svg", { class: "at", x: xOf(item.decision.seconds, view.span), overflow: "visible" },
      make("svg:line", { class: "stem", y1: 0, y2: "100%" }), make("svg:circle", { class: `dot ${item.decision.status}`, cy: "50%", r: 5 }), make("svg:title", {}, `${one.code} ${clock(item.decision.seconds, true)} ${t(`decision_${item.decision.status}`)}`));
    mark.addEventListener("click", (event) => { event.stopPropagation(); onItem(item.key); });
    plot.append(mark);
  }
  plot.addEventListener("click", (event) => { const box = plot.getBoundingClientRect(); onSeek((view.span * (event.clientX - box.left)) / box.width); });
  return make("div", { class: "lane" }, make("div", { class: "lane-name", title: `${one.code} ${one[language]}` }, make("span", { class: "code" }, one.code), ` ${one[language]}`), plot);
}

// Draws the classes with items, and all others on request.
let all = false;
export function drawLanes(view, current, handlers) {
  const groups = new Map();
  for (const item of view.items) {
    if (!isSet(item.decision.seconds) || (item.proposal?.unlikely && item.decision.status === "open")) continue;
    if (!groups.has(item.decision.code)) groups.set(item.decision.code, []);
    groups.get(item.decision.code).push(item);
  }
  const shown = view.classes.filter((one) => one.code !== view.exclusive && (all || groups.has(one.code)));
  const axis = make("div", { class: "lane axis" }, make("div", { class: "lane-name" }, make("button", { type: "button", "aria-expanded": String(all), onclick: () => { all = !all; drawLanes(view, current, handlers); } }, t(all ? "fewer_classes" : "all_classes"))),
    make("svg:svg", { class: "plot" }, view.ticks.filter((tick) => !tick.minor).map((tick) => make("svg:text", { x: `${tick.x}%`, y: 14, class: tick.x < 3 ? "first" : tick.x > 97 ? "last" : null }, tick.label))));
  find("#lanes").replaceChildren(make("div", { class: "lanes" }, shown.map((one) => lane(view, one, groups.get(one.code) ?? [], handlers)), axis,
    make("div", { class: "cursor-box" }, make("div", { id: "cursor" }))));
}

// Rings the mark of the current item.
export function markItem(view, item) {
  find("#lanes .here")?.remove();
  if (!item || !isSet(item.decision.seconds)) return;
  find(`#lanes [data-code="${CSS.escape(item.decision.code)}"]`)?.append(make("svg:svg", { class: "at here", x: xOf(item.decision.seconds, view.span), overflow: "visible" }, make("svg:circle", { cy: "50%", r: 8.5 })));
}

export function moveCursor(seconds, span) {
  const cursor = find("#cursor");
  if (cursor) cursor.style.left = xOf(seconds, span);
}
