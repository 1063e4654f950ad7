import { api, begin, clock, filterOf, filterQuery, find, isForControl, isTyping, language, leaveControl, make, plural, say, showTip, shown, t, tools, videoLink } from "/static/common.js";
import { chooseClass, showConflict } from "/static/dialogs.js";
import { dataForm } from "/static/forms.js";
import { ItemList, scrollToCurrent } from "/static/items.js";
import { commandOf, hint, keyOf, keyText, showKeys } from "/static/keys.js";
import { drawLanes, markItem, moveCursor } from "/static/lanes.js";
import { Player } from "/static/player.js";
import { itemName, itemRow, stateText } from "/static/rows.js";
import { allSent, isSaving, send, sendKept } from "/static/saving.js";

const folder = decodeURIComponent(location.pathname.replace("/video/", ""));
const filter = filterOf(location.search);
const home = `/api/videos/${encodeURIComponent(folder)}`;
let view;
let player;
let current = null; // key of the item in focus
let around = { previous: null, next: null };

const itemOf = (key) => view.byKey.get(key);
const isLikely = (item) => !item.proposal?.unlikely || item.decision.status !== "open";
const likely = () => view.items.filter(isLikely);
const unlikely = () => view.items.filter((one) => !isLikely(one));
const isOpen = (item) => item.decision.status === "open";
const openItems = () => likely().filter(isOpen);
const isClosed = () => view.reviewed && view.role !== "lead";
const isRefused = () => { if (isClosed()) say(t("closed"), "error"); return isClosed(); };
const nameOf = (key) => (key === "review" ? t("status") : key === "data" ? t("inspection_data") : itemOf(key) ? itemName(itemOf(key).decision) : key.replace(/@.*/, ""));

// ---- saving: what is on screen is what the server has acknowledged

async function save(changes) {
  const answer = await send(view.who, `${home}/decisions`, { changes: changes.map(([key, after, version]) => ({ item: key, after, version })) });
  if (answer.http === 409) return resolveConflict(answer);
  if (!answer.ok) { say(answer.detail, "error"); return false; }
  take(answer);
  return true;
}

const versionOf = (key) => (key === "review" || key === "data" ? view[key].version : itemOf(key)?.version ?? 0);

async function resolveConflict(answer) {
  await reload();
  if (!(await showConflict(answer, nameOf, stateText)) || isRefused()) return false;
  return save(Object.entries(answer.mine).map(([key, after]) => [key, after, versionOf(key)]));
}

function take(answer) {
  for (const row of answer.recorded) {
    if (row.video !== view.video.digest) continue;
    view.last = Math.max(view.last, row.seq);
    const state = { decision: row.after, version: row.seq, who: row.who, at: row.at };
    if (row.item === "review") view.reviewed = Boolean(row.after?.reviewed);
    if (row.item === "review" || row.item === "data") { view[row.item] = state; continue; }
    const item = itemOf(row.item);
    if (item) Object.assign(item, state, { decision: row.after ?? item.proposal });
    else if (row.after) view.items.push({ key: row.item, proposal: null, evidence: [], ...state });
  }
  view.items = view.items.filter((one) => one.proposal || one.decision);
  view.byKey = new Map(view.items.map((one) => [one.key, one]));
  view.undo = answer.undo; view.redo = answer.redo;
  draw();
}

// Commands wait for each other. One that was given for an item is left out if another is on screen by then: nobody
// decides on what was not shown.
let turn = Promise.resolve();
function inTurn(task, onlyFor = null) {
  turn = turn.then(() => (onlyFor === null || onlyFor === current ? task() : undefined)).catch((error) => say(String(error), "error"));
  return turn;
}

// ---- decisions

async function decide(item, fields, { next = false } = {}) {
  const known = item && itemOf(item.key);
  if (!known || isRefused()) return;
  const saved = await save([[known.key, { ...clean(known.decision), ...fields }, known.version]]);
  if (saved && next) focusOpen(known.key);
}

const FIELDS = ["status", "code", "seconds", "begin_seconds", "end_seconds", "grade", "clock_from", "clock_to", "distance_m", "length_m", "continuous", "note"];
const clean = (decision) => Object.fromEntries(FIELDS.filter((name) => decision[name] !== undefined).map((name) => [name, decision[name]]));

function focusOpen(after) {
  const rows = likely();
  const from = rows.findIndex((one) => one.key === after);
  const following = rows.slice(from + 1).find(isOpen) ?? rows.slice(0, Math.max(0, from)).find(isOpen);
  if (following) focus(following.key);
  else { focus(after); say(t("all_decided", { key: keyText(keyOf("finish")) }), "saved"); }
}

const choosable = () => view.classes.filter((one) => one.code !== view.exclusive);

async function addDefect() {
  if (isRefused()) return;
  player.element.pause();
  const seconds = player.frame?.seconds ?? player.seconds();
  const code = await chooseClass(t("add_at", { time: clock(seconds, true) }), choosable());
  if (!code) return;
  const key = `+${Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  if (await save([[key, { status: "accepted", code, seconds }, 0]])) focus(key);
}

async function changeClass() {
  const item = itemOf(current);
  if (!item || isRefused()) return;
  const code = await chooseClass(t("change_class_of", { code: item.decision.code }), choosable(), item.decision.code);
  if (code && code !== item.decision.code) await decide(item, { code, status: isOpen(item) ? "accepted" : item.decision.status });
}

function moveHere(item, field = "seconds") {
  if (!item || !player.frame) return undefined;
  const { seconds } = player.frame;
  const times = { seconds: item.decision.seconds, begin_seconds: item.decision.begin_seconds, end_seconds: item.decision.end_seconds, [field]: seconds };
  if (times.begin_seconds !== null && times.begin_seconds > (times.end_seconds ?? Infinity)) times[field === "begin_seconds" ? "end_seconds" : "begin_seconds"] = seconds;
  return decide(item, times);
}

function grade(number) {
  const item = itemOf(current);
  return item && decide(item, { grade: item.decision.grade === number ? null : number, ...(isOpen(item) ? { status: "accepted" } : {}) });
}

async function rejectRest() {
  const rest = openItems();
  if (isRefused()) return false;
  if (!rest.length) return true;
  const saved = await save(rest.map((one) => [one.key, { ...clean(one.decision), status: "rejected" }, one.version]));
  if (saved) say(plural("rest_rejected", rest.length), "saved", 8, [t("do_undo"), () => inTurn(() => revert("undo"))]);
  return saved;
}

async function finish({ rejecting = false } = {}) {
  if (isClosed()) return goNext();
  if (openItems().length && !rejecting) {
    focusOpen(current);
    say(plural("still_open", openItems().length, { key: keyText(keyOf("reject_and_finish")) }), "error");
    return undefined;
  }
  if (rejecting && !(await rejectRest())) return undefined;
  if (view.reviewed || (await save([["review", { reviewed: true }, view.review.version]]))) return goNext();
  return undefined;
}

async function reopen() {
  if (view.reviewed && (await save([["review", { reviewed: false }, view.review.version]]))) say(t("reopened"), "saved");
}

async function goNext() {
  await allSent();
  const places = await api("GET", `${home}/neighbours?${filterQuery(filter)}`);
  if (places.next) location.assign(videoLink(places.next, filter));
  else { draw(); say(t("all_reviewed"), "saved", 20, [t("queue_title"), toQueue]); }
}

let builtOn = null; // an action that others built on: the next undo goes on with what was before it

async function revert(which) {
  const answer = await send(view.who, `/api/${which}`, which === "undo" && builtOn ? { below: builtOn } : {});
  builtOn = answer.http === 409 ? answer.action : null;
  if (builtOn) { await reload(); say(t("undo_past", { detail: answer.detail, key: keyOf("undo") }), "error"); return; }
  if (!answer.ok) { say(answer.detail, "error"); await reload(); return; }
  if (!answer.recorded.length) { say(t(`nothing_to_${which}`)); return; }
  const [first] = answer.recorded;
  if (answer.folder && answer.folder !== folder && first.video !== view.video.digest) {
    location.assign(`${videoLink(answer.folder, filter)}#${encodeURIComponent(first.item)}`);
    return;
  }
  take(answer);
  if (itemOf(first.item)) focus(first.item);
  say(t(`${which}_done`, { what: answer.recorded.slice(0, 3).map((row) => nameOf(row.item)).join(", ") }), "saved");
}

const filled = (data) => Object.fromEntries(Object.entries(data ?? {}).filter(([, value]) => value !== "" && value !== null));

// ---- drawing

function focus(key, { show = true } = {}) {
  const item = itemOf(key);
  current = item ? key : null;
  drawItems();
  markItem(view, item);
  if (!item) return;
  scrollToCurrent();
  drawTimes();
  if (!show) return;
  const { seconds } = item.decision;
  const evidence = item.evidence[0];
  if (evidence && (seconds === null || Math.abs(evidence.seconds - seconds) < 1e-3)) player.showEvidence(evidence);
  else if (seconds !== null && seconds !== undefined) player.showTime(seconds);
}

const handlers = {
  focus: (key) => focus(key),
  decide: (item, fields, options) => inTurn(() => decide(item, fields, options)),
  changeClass: () => inTurn(changeClass),
  move: (item) => inTurn(() => moveHere(item)),
};
const row = (item) => itemRow(item, { view, folder, isCurrent: item.key === current, isClosed: isClosed(), handlers });
const markOf = (item) => `${item.version} ${item.key === current} ${isClosed()}`;
const lists = { items: new ItemList(find("#items"), row, markOf), unlikely: new ItemList(find("#unlikely"), row, markOf) };

function drawItems() {
  const rows = likely();
  const others = unlikely();
  lists.items.show(rows, current);
  find("#unlikely-box").hidden = !others.length;
  if (others.some((one) => one.key === current)) find("#unlikely-box").open = true;
  if (others.length && find("#unlikely-box").open) lists.unlikely.show(others, current);
  find("#unlikely-title").textContent = plural("unlikely", others.length);
  find("#no-items").hidden = rows.length > 0;
  const left = rows.filter(isOpen).length;
  find("#left").textContent = !rows.length ? "" : left ? t("open_of", { left, all: rows.length }) : t("none_open");
  find("#left").className = left ? "" : "good";
}

function draw() {
  const open = openItems().length;
  drawItems();
  const status = view.reviewed ? "reviewed" : view.items.some((one) => !isOpen(one)) ? "in_review" : "open";
  find("#state").textContent = t(`status_${status}`);
  find("#state").className = `badge ${status}`;
  find("#undo").disabled = !view.undo;
  find("#redo").disabled = !view.redo;
  find("#finish").replaceChildren(t(view.reviewed ? "next_video" : "finish"), " ", hint("finish"));
  find("#finish").classList.toggle("waits", open > 0);
  find("#reject-rest").disabled = !open || isClosed();
  find("#add").disabled = isClosed();
  drawLanes(view, current, { onSeek: (seconds) => player.showTime(seconds), onItem: (key) => focus(key) });
  markItem(view, itemOf(current));
  drawTimes();
  dataForm(find("#data"), { ...view.given_data, ...filled(view.data.decision) }, view.choices, view.suggested_data, (fields) => inTurn(() => save([["data", fields, view.data.version]])), isClosed());
  if (find("#history-box").open) drawHistory();
}

function drawTimes() {
  if (!player) return;
  find("#player-time").textContent = clock(player.seconds(), true);
  moveCursor(player.seconds(), view.span);
}

async function drawHistory() {
  const answer = await api("GET", `${home}/history`);
  if (!answer.ok) return;
  find("#history").replaceChildren(...answer.list.map((one) => {
    const back = () => inTurn(() => save([[one.item, one.before, versionOf(one.item)]]));
    return make("li", {}, make("span", { class: "when" }, new Date(one.at).toLocaleString()), make("b", {}, make("bdi", {}, shown(one.who))), make("span", {}, nameOf(one.item)),
      make("span", {}, `${one.reverts ? `${t("undone")} ` : ""}${stateText(one.before)} → ${stateText(one.after)}`), isClosed() ? "" : make("button", { type: "button", onclick: back }, t("restore")));
  }));
  if (!answer.list.length) find("#history").replaceChildren(make("li", { class: "note" }, t("history_empty")));
}

const shownKey = (name) => { const text = keyText(keyOf(name)); return text.length === 1 ? text.toUpperCase() : text; };

function drawHead() {
  document.title = `${shown(view.video.name)} – ${t("product")}`;
  find("#name").textContent = find("#name").title = shown(view.video.name);
  for (const box of document.querySelectorAll(".video-box, .still-box")) box.style.aspectRatio = `${view.video.width} / ${view.video.height}`;
  find("#back").href = `/?${filterQuery(filter)}`;
  find("#verdict").textContent = view.verdict[language];
  const banners = view.remarks.map((one) => make("p", { class: `banner remark ${one.kind}` }, one[language]));
  if (view.bundle.demonstration) banners.unshift(make("p", { class: "banner demonstration" }, make("strong", {}, t("demonstration"))));
  if (view.reviewed) banners.unshift(make("p", { class: "banner done" }, t(isClosed() ? "closed" : "closed_lead")));
  find("#banners").replaceChildren(...banners);
  for (const [id, name] of [["add", "add"], ["reject-rest", "reject_rest"], ["undo", "undo"], ["redo", "redo"], ["heat", "heat"]]) find(`#${id}`).replaceChildren(t(`do_${name}`), " ", hint(name));
  tools([
    make("span", { class: "who" }, make("bdi", {}, shown(view.who))),
    view.reviewed && view.role === "lead" ? make("button", { type: "button", onclick: () => inTurn(async () => { await reopen(); drawHead(); }) }, t("reopen_video")) : "",
    make("button", { type: "button", onclick: () => showKeys(redraw) }, t("keys"), " ", hint("help")),
  ]);
  showTip("video", isClosed() || !likely().length ? "" : t("tip_video", Object.fromEntries(["accept", "reject", "unsure", "finish"].map((name) => [name, shownKey(name)]))));
}

function redraw() {
  for (const list of Object.values(lists)) list.forget();
  drawHead();
  draw();
}

async function reload() {
  const answer = await api("GET", home);
  if (!answer.ok) { say(answer.detail, "error"); return false; }
  view = answer;
  view.byKey = new Map(view.items.map((one) => [one.key, one]));
  if (!itemOf(current)) current = null;
  drawHead();
  draw();
  return true;
}

// Another tab, or another person, may have decided meanwhile.
async function refresh() {
  if (document.hidden || isSaving() || isTyping(document.activeElement) || document.querySelector("dialog[open]")) return;
  const answer = await api("GET", `${home}/history?limit=1`);
  if (answer.ok && (answer.list[0]?.seq ?? 0) > view.last) inTurn(reload);
}

function moveFocus(by) {
  const rows = [...likely(), ...(find("#unlikely-box").open ? unlikely() : [])];
  const at = rows.findIndex((one) => one.key === current);
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  if (next) focus(next.key);
}

// ---- keys and buttons

const toQueue = () => location.assign(`/?${filterQuery(filter)}`);
const field = (name) => { const input = find(`.item[aria-current] [name="${name}"]`); input?.focus(); input?.select?.(); };
const setStatus = (status, next = true) => () => decide(itemOf(current), { status }, { next });
const DECIDING = { // they wait for each other, and hold for the item on screen when they were given
  accept: setStatus("accepted"), reject: setStatus("rejected"), unsure: setStatus("unsure"), second_opinion: setStatus("second_opinion"), reopen: setStatus("open", false),
  grade_1: () => grade(1), grade_2: () => grade(2), grade_3: () => grade(3), grade_4: () => grade(4),
  change_class: changeClass, move_here: () => moveHere(itemOf(current)),
  begin_here: () => moveHere(itemOf(current), "begin_seconds"), end_here: () => moveHere(itemOf(current), "end_seconds"),
  continuous: () => decide(itemOf(current), { continuous: !itemOf(current)?.decision.continuous }),
  add: addDefect, undo: () => revert("undo"), redo: () => revert("redo"), reject_rest: rejectRest,
  finish: () => finish(), reject_and_finish: () => finish({ rejecting: true }),
};
const COMMANDS = {
  next_item: () => moveFocus(1), previous_item: () => moveFocus(-1), next_open: () => focusOpen(current),
  note: () => field("note"), details: () => field("clock_from"),
  play: () => player.toggle(), back_frame: () => player.step(-1), next_frame: () => player.step(1),
  back_second: () => player.skip(-1), next_second: () => player.skip(1), heat: toggleHeat,
  previous_video: () => around.previous && location.assign(videoLink(around.previous, filter)),
  next_video: () => around.next && location.assign(videoLink(around.next, filter)),
  queue: toQueue, data: () => { find("#data-box").open = true; find("#data input")?.focus(); }, help: () => showKeys(redraw),
};
for (const [name, task] of Object.entries(DECIDING)) COMMANDS[name] = () => inTurn(task, current);
const REPEATED = ["back_frame", "next_frame", "back_second", "next_second", "next_item", "previous_item"];

function toggleHeat() {
  const on = document.body.classList.toggle("heat-off");
  find("#heat").setAttribute("aria-pressed", String(!on));
}

document.addEventListener("keydown", (event) => {
  if (!view || document.querySelector("dialog[open]") || event.isComposing) return;
  if (isTyping(event.target)) { if (event.key === "Escape" || event.key === "Enter") { event.preventDefault(); event.target.blur(); } return; }
  const command = commandOf(event);
  if (!command || !COMMANDS[command] || isForControl(event)) return;
  event.preventDefault();
  leaveControl();
  if (!event.repeat || REPEATED.includes(command)) COMMANDS[command]();
});
document.addEventListener("visibilitychange", refresh);

function listen() {
  for (const [id, name] of [["add", "add"], ["reject-rest", "reject_rest"], ["undo", "undo"], ["redo", "redo"], ["finish", "finish"], ["heat", "heat"], ["back-frame", "back_frame"], ["next-frame", "next_frame"]]) {
    find(`#${id}`).addEventListener("click", () => COMMANDS[name]());
    find(`#${id}`).title = `${t(`do_${name}`)} (${keyText(keyOf(name))})`;
    if (find(`#${id}`).hasAttribute("aria-label")) find(`#${id}`).setAttribute("aria-label", t(`do_${name}`));
  }
  find("#history-box").addEventListener("toggle", () => { if (find("#history-box").open) drawHistory(); });
  find("#unlikely-box").addEventListener("toggle", drawItems);
}

await begin();
const session = await api("GET", "/api/session");
const refused = session.ok ? await sendKept(session.name) : [];
if (await reload()) {
  player = new Player(folder, view.video, drawTimes);
  listen();
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = itemOf(asked) ?? openItems()[0] ?? likely()[0];
  if (first) focus(first.key);
  player.load().then((file) => { if (!first && file.status === "ok") player.showTime(0); });
  around = await api("GET", `${home}/neighbours?${filterQuery(filter)}`);
  for (const [url, answer] of refused) {
    if (answer.http === 409 && url.startsWith(`${home}/`)) inTurn(() => resolveConflict(answer));
    else say(t("kept_refused", { detail: answer.detail }), "error");
  }
}
document.documentElement.dataset.ready = "true";
