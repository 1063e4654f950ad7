import { api, begin, clock, find, language, make, plural, say, shown, t, tools } from "/static/common.js";

const share = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
const numbers = (values) => values.map((value, place) => make(place ? "td" : "th", place ? { class: "number" } : { scope: "row" }, value));

function table(title, heads, rows) {
  return make("section", {}, make("h2", {}, title), make("div", { class: "scroll-x", tabindex: 0, role: "region", "aria-label": title }, make("table", { class: "figures" },
    make("thead", {}, make("tr", {}, heads.map((one, place) => make("th", { scope: "col", class: place ? "number" : null }, one)))),
    make("tbody", {}, rows.map((row) => make("tr", {}, numbers(row)))))));
}

// Mean probability against the share that people confirmed: on the diagonal the probabilities are true.
function plot(bins) {
  const points = bins.filter((one) => one.number);
  const svg = make("svg:svg", { class: "calibration", viewBox: "-12 -4 118 116", role: "img", "aria-label": t("agreement_bins") },
    make("svg:rect", { x: 0, y: 0, width: 100, height: 100, class: "frame" }), make("svg:line", { x1: 0, y1: 100, x2: 100, y2: 0, class: "diagonal" }),
    make("svg:text", { x: 50, y: 110, "text-anchor": "middle" }, t("agreement_mean")), make("svg:text", { x: -50, y: -4, "text-anchor": "middle", transform: "rotate(-90)" }, t("agreement_share")));
  svg.append(make("svg:polyline", { points: points.map((one) => `${100 * one.mean},${100 - 100 * one.share}`).join(" "), class: "line" }),
    ...points.map((one) => make("svg:circle", { cx: 100 * one.mean, cy: 100 - 100 * one.share, r: 1.5 + Math.min(3, Math.log10(one.number)) }, make("svg:title", {}, `${share(one.mean)} → ${share(one.share)} (${one.number})`))));
  return svg;
}

await begin();
tools();
document.title = t("agreement_title");
const answer = await api("GET", "/api/agreement");
if (!answer.ok) say(answer.detail, "error");
else if (!answer.reviewed) find("#videos").textContent = t("agreement_none");
else {
  const { missed, seconds } = answer;
  find("#videos").textContent = t("agreement_videos", { reviewed: answer.reviewed, all: answer.videos, control: answer.control });
  if (seconds.number) find("#time").textContent = plural("agreement_time", seconds.number, { median: clock(seconds.median) });
  find("#bound").textContent = missed.defects
    ? t("agreement_bound", { missed: missed.missed, defects: missed.defects, share: share(missed.share), low: share(missed.low), high: share(missed.high), bound: share(missed.bound) })
    : t("agreement_bound_none");
  find("#figures").append(
    table(t("agreement_classes"), [t("class"), t("agreement_proposed"), t("agreement_confirmed"), t("agreement_added"), t("agreement_precision"), t("agreement_accept"), t("agreement_recall")],
      answer.classes.map((one) => [`${one.code} ${one[language]}`, one.proposed, one.confirmed, one.added, share(one.precision), share(one.precision_of_accept), share(one.recall)])),
    make("div", { class: "beside" }, table(t("agreement_bins"), [t("agreement_bin"), t("agreement_number"), t("agreement_mean"), t("agreement_share"), t("agreement_recall_from")],
      answer.bins.map((one) => [`${share(one.low)} – ${share(one.high)}`, one.number, share(one.mean), share(one.share), share(one.recall)])), plot(answer.bins)),
    table(t("agreement_bundles"), [t("agreement_bundle"), t("queue_title"), t("agreement_accept"), t("agreement_recall"), t("agreement_mean"), t("agreement_share")],
      answer.bundles.map((one) => [shown(one.name), one.videos, share(one.precision_of_accept), share(one.recall), share(one.mean_probability), share(one.share)])));
}
document.documentElement.dataset.ready = "true";
