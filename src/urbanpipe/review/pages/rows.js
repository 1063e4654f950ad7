// The row of a defect: what it is, what was decided, and, for the current one, everything that can be decided.
import { clock, language, make, percent, shown, t } from "/static/common.js";
import { hint } from "/static/keys.js";
import { detailsForm } from "/static/forms.js";

const isSet = (value) => value !== null && value !== undefined;
const timeOf = ({ seconds }) => (isSet(seconds) ? clock(seconds, true) : t("no_time"));

export const itemName = (decision) => `${decision.code} ${timeOf(decision)}`;

// What was decided, in words.
export function stateText(state) {
  if (!state) return t("decision_open");
  if ("reviewed" in state) return t(state.reviewed ? "status_reviewed" : "status_open");
  if (!state.status) return Object.entries(state).filter(([, value]) => value).map(([name, value]) => `${t(`data_${name}`)} ${shown(value)}`).join(", ") || "–";
  return [t(`decision_${state.status}`), itemName(state), ...details(state)].filter(Boolean).join(" · ");
}

const details = (decision) => [
  decision.grade ? t("grade_n", { grade: decision.grade }) : "",
  decision.clock_from ? t("clock_at", { at: `${decision.clock_from}${decision.clock_to ? `–${decision.clock_to}` : ""}` }) : "",
  isSet(decision.distance_m) ? `${decision.distance_m} m` : "",
  decision.continuous ? t("continuous") + (isSet(decision.length_m) ? ` ${decision.length_m} m` : "") : "",
  shown(decision.note),
];

function decisionButtons(item, decide, disabled) {
  const button = (status, name) => make("button", { type: "button", class: `do ${status}`, "data-do": name, "aria-pressed": String(item.decision.status === status), disabled, onclick: () => decide(item, { status }, { next: true }) }, t(`do_${name}`), " ", hint(name));
  return make("div", { class: "do-row", role: "group", "aria-label": t("decision") }, button("accepted", "accept"), button("rejected", "reject"), button("unsure", "unsure"), button("second_opinion", "second_opinion"));
}

// `handlers`: focus, decide, changeClass, move; `folder` is that of the pictures.
export function itemRow(item, { view, folder, isCurrent, isClosed, handlers }) {
  const { decision, proposal } = item;
  const name = view.classes.find((one) => one.code === decision.code)?.[language] ?? "";
  const picture = item.evidence[0]?.picture;
  const facts = [
    proposal && proposal.code !== decision.code ? t("was_class", { code: proposal.code }) : "", ...details(decision),
    item.who ? t("decided_by", { who: shown(item.who), at: new Date(item.at).toLocaleString() }) : "",
  ].filter(Boolean);
  const head = make("button", { type: "button", class: "item-head", "data-do": "head", "aria-expanded": String(isCurrent), title: `${decision.code} ${name}`, onclick: () => handlers.focus(item.key) },
    make("span", { class: "item-picture" }, picture ? make("img", { src: `/media/${encodeURIComponent(folder)}/picture/${encodeURIComponent(picture)}`, alt: "", loading: "lazy" }) : ""),
    make("span", { class: "item-what" }, make("span", { class: "code" }, decision.code), " ", make("span", { class: "item-name" }, name)),
    make("span", { class: "item-figures" }, make("span", { class: "item-time" }, timeOf(decision)), make("span", { class: "item-probability", title: t("probability") }, proposal ? percent(proposal.probability, view.bundle.calibrated) : t("added"))),
    make("span", { class: `badge ${decision.status}` }, t(`decision_${decision.status}`)),
    facts.length ? make("bdi", { class: "item-facts" }, facts.join(" · ")) : "");
  const open = isCurrent ? [decisionButtons(item, handlers.decide, isClosed), detailsForm(item, (fields) => handlers.decide(item, fields), { changeClass: handlers.changeClass, move: () => handlers.move(item) }, isClosed)] : [];
  return make("li", { class: `item ${decision.status}`, "aria-current": isCurrent ? "true" : null, "data-key": item.key }, head, ...open);
}
