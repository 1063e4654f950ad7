import { action, api, begin, clock, filterOf, filterQuery, find, isTyping, language, make, percent, plural, say, shown, t, tools, videoLink } from "/static/common.js";
import { commandOf, hint, keyOf, showKeys } from "/static/keys.js";
import { drawLanes, moveCursor } from "/static/lanes.js";
import { Player } from "/static/player.js";
import { detailsForm, dataForm } from "/static/forms.js";

const folder = decodeURIComponent(location.pathname.replace("/video/", ""));
const filter = filterOf(location.search);
const home = `/api/videos/${encodeURIComponent(folder)}`;
const OPEN = ["open"];
let view;
let player;
let current = null; // key of the item in focus
let around = { previous: null, next: null };
let sending = Promise.resolve();
let unsaved = 0;

const itemOf = (key) => view.items.find((one) => one.key === key);
const isLikely = (item) => !item.proposal?.unlikely || item.decision.status !== "open";
const likely = () => view.items.filter(isLikely);
const openItems = () => likely().filter((one) => OPEN.includes(one.decision.status));
const className = (code) => view.classes.find((one) => one.code === code)?.[language] ?? "";
const isClosed = () => view.reviewed && view.role !== "lead";

// ---- saving: one request after the other; what is on screen is what the server has acknowledged

function showSaved(text, kind) { find("#saved").textContent = text; find("#saved").className = `saved-mark ${kind}`; }

function send(url, body) {
  unsaved += 1;
  showSaved(t("saving"), "");
  const answer = sending.then(() => retried(url, body));
  sending = answer.catch(() => {});
  return answer.finally(() => { unsaved -= 1; });
}

async function retried(url, body) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await api("POST", url, body);
    if (answer.ok) { showSaved(t("saved", { time: new Date().toLocaleTimeString() }), "good"); return answer; }
    if (answer.http !== 0 && answer.http !== 503) { showSaved(t("not_saved"), "bad"); return answer; }
    showSaved(t("not_saved_retry"), "bad");
    await new Promise((resolve) => { setTimeout(resolve, Math.min(5000, 500 * 2 ** attempt)); });
  }
}

async function save(changes) {
  const answer = await send(`${home}/decisions`, action({ changes: changes.map(([key, after, version]) => ({ item: key, after, version })) }));
  if (answer.http === 409) { await reload(); showConflict(answer); return false; }
  if (!answer.ok) { say(answer.detail, "error"); return false; }
  take(answer);
  return true;
}

function take(answer) {
  for (const row of answer.recorded) {
    if (row.item === "review") view.reviewed = Boolean(row.after?.reviewed);
    if (row.item === "review" || row.item === "data") { view[row.item] = { decision: row.after, version: row.seq, who: row.who, at: row.at }; continue; }
    const item = itemOf(row.item);
    const state = { decision: row.after ?? item?.proposal, version: row.seq, who: row.who, at: row.at };
    if (item) Object.assign(item, state);
    else if (row.after) view.items.push({ key: row.item, proposal: null, evidence: [], ...state });
  }
  view.items = view.items.filter((one) => one.proposal || one.decision);
  view.undo = answer.undo; view.redo = answer.redo;
  draw();
}

function showConflict(answer) {
  const dialog = find("#conflict");
  const rows = Object.keys(answer.mine).map((key) => {
    const theirs = answer.theirs[key];
    return make("tr", {}, make("th", {}, key), make("td", {}, stateText(answer.mine[key])), make("td", {}, theirs ? `${stateText(theirs.after)} (${shown(theirs.who)})` : "–"));
  });
  dialog.replaceChildren(make("h2", {}, t("conflict_title")), make("p", {}, t("conflict_text")),
    make("table", {}, make("thead", {}, make("tr", {}, make("th", {}, ""), make("th", {}, t("yours")), make("th", {}, t("theirs")))), make("tbody", {}, rows)),
    make("div", { class: "actions" }, make("button", { type: "button", class: "primary", onclick: () => dialog.close() }, t("close"))));
  dialog.showModal();
}

const stateText = (state) => {
  if (!state) return t("decision_open");
  if ("reviewed" in state) return t(state.reviewed ? "status_reviewed" : "status_open");
  if (!state.status) return Object.entries(state).filter(([, value]) => value).map(([name, value]) => `${t(`data_${name}`)} ${value}`).join(", ") || "–";
  const parts = [t(`decision_${state.status}`), state.code, state.seconds === null ? "" : clock(state.seconds, true), state.grade ? t("grade_n", { grade: state.grade }) : "", shown(state.note)];
  return parts.filter(Boolean).join(" · ");
};

// ---- decisions

async function decide(item, fields, { next = false } = {}) {
  if (!item) return;
  if (isClosed()) { say(t("closed"), "error"); return; }
  const saved = await save([[item.key, { ...clean(item.decision), ...fields }, item.version]]);
  if (saved && next) focusOpen(item.key);
}

const FIELDS = ["status", "code", "seconds", "begin_seconds", "end_seconds", "grade", "clock_from", "clock_to", "distance_m", "length_m", "continuous", "note"];
const clean = (decision) => Object.fromEntries(FIELDS.filter((name) => decision[name] !== undefined).map((name) => [name, decision[name]]));

function focusOpen(after) {
  const rows = likely();
  const from = rows.findIndex((one) => one.key === after);
  const following = [...rows.slice(from + 1), ...rows.slice(0, Math.max(0, from))].find((one) => OPEN.includes(one.decision.status));
  if (following) focus(following.key);
  else { focus(after); say(t("all_decided", { key: keyOf("finish") }), "saved"); }
}

async function addDefect() {
  if (isClosed()) { say(t("closed"), "error"); return; }
  player.element.pause();
  const seconds = player.frame?.seconds ?? player.seconds();
  const code = await chooseClass(t("add_at", { time: clock(seconds, true) }));
  if (!code) return;
  const key = `+${Array.from(crypto.getRandomValues(new Uint8Array(6)), (byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  if (await save([[key, { status: "accepted", code, seconds }, 0]])) focus(key);
}

function chooseClass(title) {
  const dialog = find("#classes");
  const classes = view.classes.filter((one) => one.code !== view.exclusive);
  return new Promise((resolve) => {
    const finish = (code) => { dialog.onclose = null; if (dialog.open) dialog.close(); document.removeEventListener("keydown", press, true); resolve(code); };
    const press = (event) => {
      const at = event.key.length === 1 ? event.key.toLowerCase().charCodeAt(0) - 97 : -1;
      if (event.ctrlKey || event.metaKey || event.altKey || !classes[at] || at < 0) return;
      event.preventDefault(); event.stopPropagation(); finish(classes[at].code);
    };
    dialog.replaceChildren(make("h2", {}, title), make("ol", { class: "class-list" }, classes.map((one, place) =>
      make("li", {}, make("button", { type: "button", onclick: () => finish(one.code) }, place < 26 ? make("kbd", {}, String.fromCharCode(97 + place)) : "", make("span", { class: "code" }, one.code), ` ${one[language]}`)))));
    dialog.onclose = () => finish(null);
    document.addEventListener("keydown", press, true);
    dialog.showModal();
  });
}

async function rejectRest() {
  const rest = openItems();
  if (!rest.length || isClosed()) return !isClosed();
  return save(rest.map((one) => [one.key, { ...clean(one.decision), status: "rejected" }, one.version]));
}

async function finish({ rejecting = false } = {}) {
  if (isClosed()) return goNext();
  if (openItems().length && !rejecting) {
    focusOpen(current);
    say(plural("still_open", openItems().length), "error");
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
  await sending;
  const places = await api("GET", `${home}/neighbours?${filterQuery(filter)}`);
  if (places.next) location.assign(videoLink(places.next, filter));
  else { draw(); say(t("all_reviewed"), "saved", 8); }
}

async function revert(which) {
  const answer = await send(`/api/${which}`, action());
  if (!answer.ok) { say(answer.detail, "error"); await reload(); return; }
  if (!answer.recorded.length) { say(t(`nothing_to_${which}`)); return; }
  if (answer.folder && answer.folder !== folder && answer.recorded[0].video !== view.video.digest) {
    location.assign(`${videoLink(answer.folder, filter)}#${encodeURIComponent(answer.recorded[0].item)}`);
    return;
  }
  take(answer);
  const key = answer.recorded[0].item;
  if (itemOf(key)) focus(key);
  say(t(`${which}_done`, { what: answer.recorded.map((row) => row.item).slice(0, 3).join(", ") }), "saved");
}

// ---- drawing

function focus(key, { show = true } = {}) {
  current = key;
  drawItems();
  const item = itemOf(key);
  if (!item) return;
  find(`#items [aria-current], #unlikely [aria-current]`)?.scrollIntoView({ block: "nearest" });
  drawTimes();
  if (!show) return;
  const { seconds } = item.decision;
  const evidence = item.evidence[0];
  if (evidence && (seconds === null || Math.abs(evidence.seconds - seconds) < 1e-3)) player.showEvidence(evidence);
  else if (seconds !== null && seconds !== undefined) player.showTime(seconds);
}

function decisionButtons(item) {
  const button = (status, name) => make("button", { type: "button", class: `do ${status}`, "aria-pressed": String(item.decision.status === status), onclick: () => decide(item, { status }, { next: status !== "open" }) }, t(`do_${name}`), " ", hint(name));
  return make("div", { class: "do-row" }, button("accepted", "accept"), button("rejected", "reject"), button("unsure", "unsure"), button("second_opinion", "second_opinion"));
}

function itemRow(item) {
  const { decision, proposal } = item;
  const isCurrent = item.key === current;
  const probability = proposal ? percent(proposal.probability, view.bundle.calibrated) : t("added");
  const head = make("button", { type: "button", class: "item-head", onclick: () => focus(item.key) },
    make("span", { class: "code" }, decision.code), make("span", { class: "item-name" }, className(decision.code)),
    make("span", { class: "item-time" }, decision.seconds === null || decision.seconds === undefined ? t("no_time") : clock(decision.seconds, true)),
    make("span", { class: "item-probability", title: t("probability") }, probability),
    make("span", { class: `badge ${decision.status}` }, t(`decision_${decision.status}`)));
  const facts = [
    proposal && proposal.code !== decision.code ? t("was_class", { code: proposal.code }) : "",
    decision.grade ? t("grade_n", { grade: decision.grade }) : "",
    decision.clock_from ? `${decision.clock_from}${decision.clock_to ? `–${decision.clock_to}` : ""} ${t("oclock")}` : "",
    decision.distance_m !== null && decision.distance_m !== undefined ? `${decision.distance_m} m` : "",
    decision.continuous ? t("continuous") + (decision.length_m ? ` ${decision.length_m} m` : "") : "",
    shown(decision.note),
    item.who ? t("decided_by", { who: shown(item.who), at: new Date(item.at).toLocaleString() }) : "",
  ].filter(Boolean);
  const open = isCurrent ? [decisionButtons(item), detailsForm(item, (fields) => decide(item, fields), { changeClass, move: () => moveHere(item) }, isClosed())] : [];
  return make("li", { class: `item ${decision.status}`, "aria-current": isCurrent ? "true" : null, "data-key": item.key },
    head, facts.length ? make("p", { class: "facts-line" }, facts.join(" · ")) : "", ...open);
}

function drawItems() {
  const typing = document.activeElement?.closest?.("#items form, #unlikely form") ? { name: document.activeElement.name } : null;
  const rows = likely();
  const others = view.items.filter((one) => !isLikely(one));
  find("#items").replaceChildren(...rows.map(itemRow));
  find("#unlikely").replaceChildren(...others.map(itemRow));
  find("#unlikely-box").hidden = !others.length;
  find("#unlikely-title").textContent = plural("unlikely", others.length);
  if (others.some((one) => one.key === current)) find("#unlikely-box").open = true;
  const left = openItems().length;
  find("#left").textContent = left ? plural("open_items", left) : t("none_open");
  find("#left").className = left ? "" : "good";
  if (typing?.name) find(`.item[aria-current] [name="${typing.name}"]`)?.focus();
}

function draw() {
  drawItems();
  const status = view.reviewed ? "reviewed" : view.items.some((one) => one.decision.status !== "open") ? "in_review" : "open";
  find("#state").textContent = t(`status_${status}`);
  find("#state").className = `badge ${status}`;
  find("#undo").disabled = !view.undo;
  find("#redo").disabled = !view.redo;
  find("#finish").replaceChildren(t(view.reviewed ? "next_video" : "finish"), " ", hint("finish"));
  find("#reject-rest").disabled = !openItems().length || isClosed();
  drawLanes(view, current, { onSeek: (seconds) => player.showTime(seconds), onItem: (key) => focus(key) });
  drawTimes();
  dataForm(find("#data"), view.data.decision ?? {}, (fields) => save([["data", fields, view.data.version]]), isClosed());
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
  find("#history").replaceChildren(...answer.list.map((row) => {
    const back = () => { const item = row.item === "review" || row.item === "data" ? view[row.item] : itemOf(row.item); return save([[row.item, row.before, item?.version ?? 0]]); };
    return make("li", {}, make("span", { class: "when" }, new Date(row.at).toLocaleString()), make("b", {}, shown(row.who)), make("span", { class: "code" }, row.item),
      make("span", {}, `${row.reverts ? `${t("undone")} ` : ""}${stateText(row.before)} → ${stateText(row.after)}`), isClosed() ? "" : make("button", { type: "button", onclick: back }, t("restore")));
  }));
}

function drawHead() {
  document.title = `${shown(view.video.name)} – ${t("product")}`;
  find("#name").textContent = shown(view.video.name);
  for (const box of document.querySelectorAll(".video-box, .still-box")) box.style.aspectRatio = `${view.video.width} / ${view.video.height}`;
  find("#back").href = `/?${filterQuery(filter)}`;
  find("#verdict").textContent = view.verdict[language];
  const banners = view.remarks.map((one) => make("p", { class: `banner remark ${one.kind}` }, one[language]));
  if (view.bundle.demonstration) banners.unshift(make("p", { class: "banner demonstration" }, make("strong", {}, t("demonstration"))));
  if (isClosed()) banners.unshift(make("p", { class: "banner" }, t("closed")));
  find("#banners").replaceChildren(...banners);
  for (const [id, name] of [["add", "add"], ["reject-rest", "reject_rest"], ["undo", "undo"], ["redo", "redo"], ["heat", "heat"]]) find(`#${id}`).replaceChildren(t(`do_${name}`), " ", hint(name));
  tools([
    make("span", { class: "who" }, shown(view.who)),
    view.reviewed && view.role === "lead" ? make("button", { type: "button", onclick: reopen }, t("reopen_video")) : "",
    make("button", { type: "button", onclick: showKeys }, t("keys"), " ", hint("help")),
  ]);
}

async function changeClass() {
  const item = itemOf(current);
  if (!item || isClosed()) return;
  const code = await chooseClass(t("change_class_of", { code: item.decision.code }));
  if (code && code !== item.decision.code) await decide(item, { code, status: item.decision.status === "open" ? "accepted" : item.decision.status });
}

function moveHere(item, field = "seconds") {
  if (!item || !player.frame) return;
  const { seconds } = player.frame;
  const times = { seconds: item.decision.seconds, begin_seconds: item.decision.begin_seconds, end_seconds: item.decision.end_seconds, [field]: seconds };
  if (times.begin_seconds !== null && times.begin_seconds > (times.end_seconds ?? Infinity)) times[field === "begin_seconds" ? "end_seconds" : "begin_seconds"] = seconds;
  decide(item, times);
}

async function reload() {
  const answer = await api("GET", home);
  if (!answer.ok) { say(answer.detail, "error"); return false; }
  view = answer;
  if (!itemOf(current)) current = null;
  drawHead();
  draw();
  return true;
}

function moveFocus(by) {
  const rows = [...likely(), ...(find("#unlikely-box").open ? view.items.filter((one) => !isLikely(one)) : [])];
  const at = rows.findIndex((one) => one.key === current);
  const next = rows[Math.max(0, Math.min(rows.length - 1, at + by))];
  if (next) focus(next.key);
}

const grade = (number) => { const item = itemOf(current); decide(item, { grade: item?.decision.grade === number ? null : number, ...(item?.decision.status === "open" ? { status: "accepted" } : {}) }); };
const field = (name) => { const input = find(`.item[aria-current] [name="${name}"]`); input?.closest("details")?.setAttribute("open", ""); input?.focus(); input?.select?.(); };
const COMMANDS = {
  accept: () => decide(itemOf(current), { status: "accepted" }, { next: true }),
  reject: () => decide(itemOf(current), { status: "rejected" }, { next: true }),
  unsure: () => decide(itemOf(current), { status: "unsure" }, { next: true }),
  second_opinion: () => decide(itemOf(current), { status: "second_opinion" }, { next: true }),
  reopen: () => decide(itemOf(current), { status: "open" }),
  next_item: () => moveFocus(1), previous_item: () => moveFocus(-1), next_open: () => focusOpen(current),
  grade_1: () => grade(1), grade_2: () => grade(2), grade_3: () => grade(3), grade_4: () => grade(4),
  change_class: changeClass, move_here: () => moveHere(itemOf(current)),
  begin_here: () => moveHere(itemOf(current), "begin_seconds"), end_here: () => moveHere(itemOf(current), "end_seconds"),
  note: () => field("note"), details: () => field("clock_from"),
  continuous: () => decide(itemOf(current), { continuous: !itemOf(current)?.decision.continuous }),
  add: addDefect, play: () => player.toggle(), back_frame: () => player.step(-1), next_frame: () => player.step(1),
  back_second: () => player.skip(-1), next_second: () => player.skip(1), heat: toggleHeat,
  undo: () => revert("undo"), redo: () => revert("redo"), reject_rest: rejectRest,
  finish: () => finish(), reject_and_finish: () => finish({ rejecting: true }),
  previous_video: () => around.previous && location.assign(videoLink(around.previous, filter)),
  next_video: () => around.next && location.assign(videoLink(around.next, filter)),
  queue: () => location.assign(`/?${filterQuery(filter)}`),
  data: () => { find("#data-box").open = true; find("#data input")?.focus(); }, help: showKeys,
};

function toggleHeat() {
  const on = document.body.classList.toggle("heat-off");
  find("#heat").setAttribute("aria-pressed", String(!on));
}

document.addEventListener("keydown", (event) => {
  if (document.querySelector("dialog[open]")) return;
  if (isTyping(event.target)) { if (event.key === "Escape") event.target.blur(); return; }
  const command = commandOf(event);
  if (!command || !COMMANDS[command]) return;
  if (event.repeat && !["back_frame", "next_frame", "back_second", "next_second", "next_item", "previous_item"].includes(command)) return;
  event.preventDefault();
  COMMANDS[command]();
});
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden && !unsaved && !isTyping(document.activeElement)) reload(); });

await begin();
if (await reload()) {
  player = new Player(folder, view.video, drawTimes);
  for (const [id, name] of [["add", "add"], ["reject-rest", "reject_rest"], ["undo", "undo"], ["redo", "redo"], ["finish", "finish"], ["heat", "heat"], ["back-frame", "back_frame"], ["next-frame", "next_frame"]]) find(`#${id}`).addEventListener("click", () => COMMANDS[name]());
  find("#history-box").addEventListener("toggle", () => { if (find("#history-box").open) drawHistory(); });
  const asked = decodeURIComponent(location.hash.slice(1));
  const first = itemOf(asked) ?? openItems()[0] ?? likely()[0];
  if (first) focus(first.key);
  player.load().then((file) => { if (!first && file.status === "ok") player.showTime(0); });
  around = await api("GET", `${home}/neighbours?${filterQuery(filter)}`);
}
document.documentElement.dataset.ready = "true";
