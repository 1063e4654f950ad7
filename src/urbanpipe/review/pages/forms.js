// The details of a defect, and the inspection data of a video. A field is saved when it is left or Enter is pressed.
import { language, make, t } from "/static/common.js";
import { hint } from "/static/keys.js";

// What is no number is sent as it is: the server says what is wrong with it.
const number = (text) => {
  const value = Number(text.replace(",", "."));
  return text.trim() === "" ? null : Number.isNaN(value) ? text : value;
};

function input(name, value, label, attributes = {}) {
  const { unit, key, ...rest } = attributes;
  return make("label", { class: `field ${name}` }, make("span", {}, label, key ? [" ", hint(key)] : ""), make("input", { name, value: value ?? "", autocomplete: "off", ...rest }), unit ? make("span", { class: "unit" }, unit) : "");
}

export function detailsForm(item, change, { changeClass, move }, disabled) {
  const { decision } = item;
  const grades = make("div", { class: "grades", role: "group", "aria-label": t("grade") }, make("span", {}, t("grade")), [1, 2, 3, 4].map((one) =>
    make("button", { type: "button", "data-do": `grade_${one}`, "aria-pressed": String(decision.grade === one), onclick: () => change({ grade: decision.grade === one ? null : one, ...(decision.status === "open" ? { status: "accepted" } : {}) }) }, String(one))));
  const form = make("form", { class: "details" },
    grades,
    input("clock_from", decision.clock_from, t("clock_from"), { inputmode: "numeric", size: 3, key: "details" }),
    input("clock_to", decision.clock_to, t("clock_to"), { inputmode: "numeric", size: 3 }),
    input("distance_m", decision.distance_m, t("distance"), { inputmode: "decimal", size: 6, unit: "m" }),
    make("label", { class: "field check" }, make("input", { type: "checkbox", name: "continuous", checked: decision.continuous ? true : null }), make("span", {}, t("continuous"), " ", hint("continuous"))),
    input("length_m", decision.length_m, t("length"), { inputmode: "decimal", size: 6, unit: "m" }),
    input("note", decision.note, t("note"), { maxlength: 4000, key: "note" }),
    make("div", { class: "do-row small" },
      make("button", { type: "button", "data-do": "change_class", onclick: changeClass }, t("do_change_class"), " ", hint("change_class")),
      make("button", { type: "button", "data-do": "move_here", onclick: move }, t("do_move_here"), " ", hint("move_here")),
      make("span", { class: "note" }, t("interval_keys"), " ", hint("begin_here"), " ", hint("end_here"))));
  const numeric = ["clock_from", "clock_to", "distance_m", "length_m"];
  form.addEventListener("change", (event) => {
    const { name, value, type, checked } = event.target;
    const fields = { [name]: type === "checkbox" ? checked : numeric.includes(name) ? number(value) : value };
    if (name === "clock_from" && fields.clock_from === null) fields.clock_to = null;
    change(fields);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); document.activeElement.blur(); });
  if (disabled) for (const one of form.elements) one.disabled = true;
  return form;
}

const DATA = ["street", "segment", "from_manhole", "to_manhole", "direction", "length_m", "diameter_mm", "shape", "material", "date", "time", "operator", "weather", "job", "client", "region", "soil"];
const WORDS = { direction: ["", "downstream", "upstream"], shape: ["", "circular", "egg", "oval", "rectangular", "mouth", "other"] };
const EXAMPLES = { date: "2026-01-31", time: "09:30" };

function select(name, value, options) {
  const known = options.some(([key]) => key === value) ? options : [...options, [value, value]];
  return make("label", { class: `field ${name}` }, make("span", {}, t(`data_${name}`)),
    make("select", { name }, known.map(([key, text]) => make("option", { value: key, selected: key === value ? true : null }, text))));
}

function suggestion(form, name, value) {
  const shown = name in WORDS ? t(`${name}_${value}`) : value;
  return make("button", { type: "button", class: "suggested", title: t("suggested_title"), onclick: (event) => { form.elements[name].value = value; event.currentTarget.remove(); form.onchange(); } }, t("use_suggested"), " ", shown);
}

// choices: of the fields that a standard gives, with their texts; `language` is that of the page.
// suggested: values that were read on the screen; a click puts one into its empty field.
export function dataForm(form, values, choices, suggested, save, disabled) {
  if (form.contains(document.activeElement)) return;
  const field = (name) => {
    if (name in WORDS) return select(name, values[name] ?? "", WORDS[name].map((one) => [one, t(`${name}_${one || "unknown"}`)]));
    if (name in choices) return select(name, values[name] ?? "", [["", t("direction_unknown")], ...choices[name].map((one) => [one.key, one[language]])]);
    return input(name, values[name], t(`data_${name}`), name in EXAMPLES ? { placeholder: EXAMPLES[name] } : {});
  };
  form.replaceChildren(...DATA.map((name) => {
    const label = field(name), text = suggested[name];
    if (text && !values[name]) label.append(suggestion(form, name, text));
    return label;
  }));
  for (const one of form.elements) one.disabled = disabled;
  form.onchange = () => {
    const fields = Object.fromEntries([...form.elements].filter((one) => one.name).map((one) => [one.name, ["length_m", "diameter_mm"].includes(one.name) ? number(one.value) : one.value.trim()]));
    save(fields);
  };
  form.onsubmit = (event) => event.preventDefault();
}
