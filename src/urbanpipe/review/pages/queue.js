import { FILTERS, action, api, begin, clock, filterOf, filterQuery, find, isForControl, isTyping, make, percent, plural, say, showTip, shown, t, tools, videoLink } from "/static/common.js";
import { sendKept } from "/static/saving.js";

const PAGE = 60;
let filter = { order: "severity", ...Object.fromEntries(Object.entries(filterOf(location.search)).filter(([, value]) => value)) };
let videos = [];
let codes = [];
let total = 0;
let at = 0;
let asked = 0;

const option = (value, text) => make("option", { value }, text);

function fillFilter(codes) {
  find("#status").replaceChildren(...["", "todo", "open", "in_review", "reviewed", "unreadable"].map((one) => option(one, t(`status_${one || "all"}`))));
  find("#order").replaceChildren(...["severity", "learning", "uncertainty", "date", "name", "code"].map((one) => option(one, t(`order_${one}`))));
  find("#code").replaceChildren(option("", t("all")), ...codes.map((one) => option(one, one)));
  find("#min_probability").replaceChildren(...[0, 0.1, 0.25, 0.5, 0.75, 0.9].map((one) => option(String(one), one ? percent(one) : t("any"))));
  showFilter();
}

function showFilter() {
  for (const name of FILTERS) find(`#${name}`).value = filter[name] || (name === "min_probability" ? "0" : "");
}

function row(video, place) {
  const link = video.status === "unreadable" ? null : videoLink(video.folder, filter);
  const thumbnail = video.picture && link
    ? make("img", { src: `/media/${encodeURIComponent(video.folder)}/picture/${encodeURIComponent(video.picture)}`, alt: "", loading: "lazy" }) : "";
  const chips = video.classes.slice(0, 6).map((one) => make("span", { class: "chip" }, make("span", { class: "code" }, one.code), ` ${percent(one.probability)}`));
  const inner = [
    make("span", { class: "thumb" }, thumbnail),
    make("span", { class: "what" }, make("strong", { title: shown(video.name) }, make("bdi", {}, shown(video.name))), make("span", { class: "place", title: shown(video.place) }, make("bdi", {}, shown(video.place)))),
    make("span", { class: "number" }, video.error ? "" : clock(video.duration_seconds)),
    make("span", { class: "chips" }, video.error ? make("span", { class: "wrong" }, shown(video.error)) : chips.length ? chips : make("span", { class: "none" }, t("no_proposals"))),
    make("span", { class: "state" }, make("span", { class: `badge ${video.status}` }, t(`status_${video.status}`)), video.control ? make("span", { class: "badge", title: t("control_hint") }, t("control")) : null),
  ];
  return make("li", { "data-place": place }, link ? make("a", { class: "video-row", href: link }, inner) : make("div", { class: "video-row" }, inner));
}

function showCounts(answer) {
  const all = Object.values(answer.counts).reduce((sum, one) => sum + one, 0);
  const reviewed = answer.counts.reviewed ?? 0;
  find("#level").setAttribute("width", `${all ? (100 * reviewed) / all : 0}%`);
  const parts = [t("reviewed_of", { reviewed, all }), ...["in_review", "open", "unreadable"].filter((one) => answer.counts[one]).map((one) => `${t(`status_${one}`)} ${answer.counts[one]}`)];
  if (answer.seconds_left > 0) parts.push(t("video_left", { time: clock(answer.seconds_left) }));
  find("#counts").textContent = parts.join(" · ");
  const left = (answer.counts.open ?? 0) + (answer.counts.in_review ?? 0);
  find("#start").hidden = !left;
  find("#start").replaceChildren(t(answer.counts.reviewed || answer.counts.in_review ? "start_next" : "start_first"), " ", make("kbd", {}, "n"));
  showTip("queue", left ? t("tip_queue") : "");
}

function showFailures(failures) {
  find("#failures").hidden = !failures.length;
  find("#failures").open = failures.length <= 3;
  find("#failures-title").textContent = plural("failures", failures.length);
  find("#failures-list").replaceChildren(...failures.slice(0, 500).map((one) => make("div", {}, make("dt", {}, make("bdi", {}, shown(one.name))), make("dd", {}, shown(one.reason)))));
}

function mark(place, focus = true) {
  at = Math.max(0, Math.min(place, videos.length - 1));
  const rows = find("#videos").children;
  find("#videos [aria-current]")?.removeAttribute("aria-current");
  if (!rows[at]) return;
  rows[at].setAttribute("aria-current", "true");
  if (focus) rows[at].querySelector("a")?.focus();
  if (at > videos.length - 10 && videos.length < total) load(videos.length);
}

async function load(offset = 0) {
  const number = ++asked;
  const answer = await api("GET", `/api/queue?${filterQuery(filter)}&offset=${offset}&limit=${PAGE}`);
  if (number !== asked) return;
  if (!answer.ok) { say(answer.detail, "error"); return; }
  if (!offset) { videos = []; find("#videos").replaceChildren(); }
  find("#videos").append(...answer.videos.map((one, place) => row(one, offset + place)));
  videos.push(...answer.videos);
  total = answer.total;
  codes = answer.codes;
  if (find("#order").options.length === 0) fillFilter(codes);
  showCounts(answer);
  if (!offset) showFailures(answer.failures ?? []);
  find("#order-note").textContent = t(`order_note_${filter.order}`);
  find("#empty").hidden = videos.length > 0;
  const isFiltered = FILTERS.some((name) => name !== "order" && filter[name] && filter[name] !== "0");
  find("#empty-text").textContent = t(isFiltered ? "queue_empty" : "queue_none");
  find("#clear").hidden = !isFiltered;
  find("#more").hidden = videos.length >= total;
  find("#more").textContent = t("more_videos", { number: total - videos.length });
  history.replaceState(null, "", `?${filterQuery(filter)}`);
  if (!offset) mark(0, false);
}

let waiting;
function changed() {
  for (const name of FILTERS) filter[name] = find(`#${name}`).value;
  clearTimeout(waiting);
  waiting = setTimeout(() => load(), 150);
}

// ---- rejecting many: the dialog counts before anything is changed

const manyBody = (rest) => action({ filter: { ...filter, min_probability: Number(filter.min_probability) || 0 }, code: find("#many-code").value, probability: Number(find("#many-percent").value) / 100, ...rest });
let counting = 0;

function openMany() {
  find("#many-code").replaceChildren(...codes.map((one) => option(one, one)));
  if (filter.code) find("#many-code").value = filter.code;
  find("#many").showModal();
  count();
}

async function count() {
  const number = ++counting;
  find("#many-reject").disabled = true;
  find("#many-reject").textContent = t("do_reject");
  const valid = find("#many-percent").checkValidity() && find("#many-code").value;
  const answer = valid ? await api("POST", "/api/reject-below", manyBody({ count_only: true })) : null;
  if (number !== counting) return;
  find("#many-count").textContent = !answer ? t("bulk_percent") : !answer.ok ? answer.detail : answer.number ? "" : t("bulk_none");
  if (!answer?.number) return;
  find("#many-count").textContent = plural("bulk_count", answer.number, { code: find("#many-code").value, percent: find("#many-percent").value });
  find("#many-reject").disabled = false;
  find("#many-reject").textContent = plural("bulk_reject", answer.number);
}

async function rejectMany(event) {
  event.preventDefault();
  if (find("#many-reject").disabled) return;
  find("#many-reject").disabled = true;
  const done = await api("POST", "/api/reject-below", manyBody({ count_only: false }));
  if (!done.ok) { find("#many-count").textContent = done.detail; return; }
  find("#many").close();
  say(plural("bulk_done", done.number), "saved", 20, [t("do_undo"), undo]);
  load();
}

async function undo() {
  const answer = await api("POST", "/api/undo", action());
  say(answer.ok ? t("undo_done", { what: plural("bulk_reject", answer.recorded.length) }) : answer.detail, answer.ok ? "saved" : "error");
  load();
}

const isTodo = (video) => video.status === "open" || video.status === "in_review";

async function start() {
  let next = videos.find(isTodo);
  if (!next) next = (await api("GET", `/api/queue?${filterQuery({ ...filter, status: "todo" })}&limit=1`)).videos?.[0];
  if (next) location.assign(videoLink(next.folder, filter)); else say(t("all_reviewed"), "saved");
}

function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || document.querySelector("dialog[open]")) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.id === "search")) { event.preventDefault(); mark(0); }
    return;
  }
  const moves = { j: at + 1, ArrowDown: at + 1, k: at - 1, ArrowUp: at - 1, Home: 0, End: videos.length - 1 };
  if (event.key in moves) { event.preventDefault(); mark(moves[event.key]); }
  else if (event.key === "/") { event.preventDefault(); find("#search").focus(); }
  else if (event.key === "Enter" && !isForControl(event) && !event.target.closest("a")) { event.preventDefault(); find("#videos").children[at]?.querySelector("a")?.click(); }
  else if (event.key === "n") start();
  else if (event.key === "?") say(t("queue_keys"), "", 10);
}

await begin();
const session = await api("GET", "/api/session");
tools([
  make("span", { class: "who" }, make("bdi", {}, shown(session.name ?? ""))),
  session.account ? make("button", { type: "button", onclick: () => api("POST", "/api/logout").then(() => location.assign("/login")) }, t("log_out")) : "",
  make("button", { type: "button", title: t("queue_keys"), onclick: () => say(t("queue_keys"), "", 10) }, t("keys"), " ", make("kbd", {}, "?")),
]);
find("#store").textContent = session.store ? t("store_in", { path: shown(session.store) }) : "";
document.title = t("queue_title");
find("#filter").addEventListener("input", changed);
find("#filter").addEventListener("submit", (event) => event.preventDefault());
find("#more").addEventListener("click", () => load(videos.length));
find("#bulk").addEventListener("click", openMany);
find("#many-form").addEventListener("submit", rejectMany);
find("#many-form").addEventListener("input", count);
find("#many-cancel").addEventListener("click", () => find("#many").close());
find("#start").addEventListener("click", start);
find("#clear").addEventListener("click", () => { filter = { order: filter.order }; showFilter(); load(); });
find("#refresh").addEventListener("click", async () => {
  const answer = await api("POST", "/api/refresh");
  say(answer.ok ? plural("refreshed", answer.changed) : answer.detail, answer.ok ? "" : "error");
  load();
});
document.addEventListener("keydown", keyed);
document.addEventListener("visibilitychange", () => { if (!document.hidden && !document.querySelector("dialog[open]") && at === 0 && videos.length <= PAGE) load(); });
if (session.ok) for (const [, answer] of await sendKept(session.name)) say(t("kept_refused", { detail: answer.detail }), "error");
await load();
document.documentElement.dataset.ready = "true";
