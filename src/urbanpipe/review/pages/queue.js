import { FILTERS, action, api, begin, clock, filterOf, filterQuery, find, isTyping, make, percent, plural, say, shown, t, tools, videoLink } from "/static/common.js";

const PAGE = 60;
let filter = { order: "severity", ...Object.fromEntries(Object.entries(filterOf(location.search)).filter(([, value]) => value)) };
let videos = [];
let total = 0;
let at = 0;
let asked = 0;

const option = (value, text) => make("option", { value }, text);

function fillFilter(codes) {
  find("#status").replaceChildren(...["", "todo", "open", "in_review", "reviewed", "unreadable"].map((one) => option(one, t(`status_${one || "all"}`))));
  find("#order").replaceChildren(...["severity", "learning", "uncertainty", "date", "name", "code"].map((one) => option(one, t(`order_${one}`))));
  find("#code").replaceChildren(option("", t("all")), ...codes.map((one) => option(one, one)));
  find("#min_probability").replaceChildren(...[0, 0.1, 0.25, 0.5, 0.75, 0.9].map((one) => option(String(one), one ? percent(one) : t("any"))));
  for (const name of FILTERS) find(`#${name}`).value = filter[name] || (name === "min_probability" ? "0" : "");
}

function row(video, place) {
  const link = video.status === "unreadable" ? null : videoLink(video.folder, filter);
  const thumbnail = video.picture && link
    ? make("img", { src: `/media/${encodeURIComponent(video.folder)}/picture/${encodeURIComponent(video.picture)}`, alt: "", loading: "lazy" }) : "";
  const chips = video.classes.slice(0, 6).map((one) => make("span", { class: "chip" }, make("span", { class: "code" }, one.code), ` ${percent(one.probability)}`));
  const inner = [
    make("span", { class: "thumb" }, thumbnail),
    make("span", { class: "what" }, make("strong", {}, make("bdi", {}, shown(video.name))), make("span", { class: "place" }, make("bdi", {}, shown(video.place)))),
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
}

function mark(place, focus = true) {
  at = Math.max(0, Math.min(place, videos.length - 1));
  const rows = find("#videos").children;
  for (const one of rows) one.removeAttribute("aria-current");
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
  if (find("#order").options.length === 0) fillFilter(answer.codes);
  showCounts(answer);
  find("#order-note").textContent = t(`order_note_${filter.order}`);
  find("#empty").hidden = videos.length > 0;
  find("#empty").textContent = t("queue_empty");
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

async function rejectBelow() {
  const code = filter.code || prompt(t("bulk_code"))?.trim();
  if (!code) return;
  const given = prompt(t("bulk_below", { code }), "10");
  const probability = Number(given) / 100;
  if (!given || !(probability > 0 && probability <= 1)) return;
  const body = { filter: { ...filter, min_probability: Number(filter.min_probability) || 0 }, code, probability };
  const counted = await api("POST", "/api/reject-below", action({ ...body, count_only: true }));
  if (!counted.ok) { say(counted.detail, "error"); return; }
  if (!counted.number) { say(t("bulk_none")); return; }
  if (!confirm(plural("bulk_confirm", counted.number, { code, percent: given }))) return;
  const done = await api("POST", "/api/reject-below", action({ ...body, count_only: false }));
  if (!done.ok) say(done.detail, "error");
  else { say(plural("bulk_done", done.number), "saved"); load(); }
}

function keyed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (isTyping(event.target)) {
    if (event.key === "Escape" || (event.key === "Enter" && event.target.id === "search")) { event.preventDefault(); mark(0); }
    return;
  }
  const moves = { j: at + 1, ArrowDown: at + 1, k: at - 1, ArrowUp: at - 1, Home: 0, End: videos.length - 1 };
  if (event.key in moves) { event.preventDefault(); mark(moves[event.key]); }
  else if (event.key === "/") { event.preventDefault(); find("#search").focus(); }
  else if (event.key === "Enter" && event.target === document.body) find("#videos").children[at]?.querySelector("a")?.click();
  else if (event.key === "n") {
    const next = videos.find((one) => one.status === "open" || one.status === "in_review");
    if (next) location.assign(videoLink(next.folder, filter)); else say(t("all_reviewed"), "saved");
  } else if (event.key === "?") say(t("queue_keys"), "", 10);
}

await begin();
const session = await api("GET", "/api/session");
tools([
  make("span", { class: "who" }, shown(session.name ?? "")),
  make("button", { type: "button", title: t("queue_keys"), onclick: () => say(t("queue_keys"), "", 10) }, t("keys"), " ", make("kbd", {}, "?")),
]);
find("#store").textContent = session.store ? t("store_in", { path: shown(session.store) }) : "";
document.title = t("queue_title");
find("#filter").addEventListener("input", changed);
find("#filter").addEventListener("submit", (event) => event.preventDefault());
find("#more").addEventListener("click", () => load(videos.length));
find("#bulk").addEventListener("click", rejectBelow);
find("#refresh").addEventListener("click", async () => {
  const answer = await api("POST", "/api/refresh");
  say(answer.ok ? plural("refreshed", answer.changed) : answer.detail, answer.ok ? "" : "error");
  load();
});
document.addEventListener("keydown", keyed);
await load();
document.documentElement.dataset.ready = "true";
