// The dialogs of the video page: which class, and what happened when two people changed the same.
import { find, language, make, shown, t } from "/static/common.js";

export function chooseClass(title, classes, current = null) {
  const dialog = find("#classes");
  return new Promise((resolve) => {
    const finish = (code) => { dialog.onclose = null; if (dialog.open) dialog.close(); document.removeEventListener("keydown", press, true); resolve(code); };
    const press = (event) => {
      const at = event.key.length === 1 ? event.key.toLowerCase().charCodeAt(0) - 97 : -1;
      if (event.ctrlKey || event.metaKey || event.altKey || !classes[at] || at < 0) return;
      event.preventDefault(); event.stopPropagation(); finish(classes[at].code);
    };
    dialog.replaceChildren(make("h2", { id: "classes-title" }, title), make("p", { class: "note" }, t("class_keys")),
      make("ol", { class: "class-list" }, classes.map((one, place) =>
        make("li", {}, make("button", { type: "button", "aria-current": one.code === current ? "true" : null, onclick: () => finish(one.code) }, make("kbd", {}, place < 26 ? String.fromCharCode(97 + place) : " "), make("span", { class: "code" }, one.code), ` ${one[language]}`)))),
      make("div", { class: "do-row" }, make("button", { type: "button", onclick: () => finish(null) }, t("cancel"), " ", make("kbd", {}, "Esc"))));
    dialog.onclose = () => finish(null);
    document.addEventListener("keydown", press, true);
    dialog.showModal();
  });
}

// Shows both versions of what could not be stored; answers whether mine shall be stored after all.
export function showConflict(answer, nameOf, stateText) {
  const dialog = find("#conflict");
  const rows = Object.keys(answer.mine).slice(0, 20).map((key) => {
    const theirs = answer.theirs[key];
    return make("tr", {}, make("th", { scope: "row" }, nameOf(key)), make("td", {}, stateText(answer.mine[key])),
      make("td", {}, theirs ? stateText(theirs.after) : t("decision_open"), theirs ? make("span", { class: "by" }, t("decided_by", { who: shown(theirs.who), at: new Date(theirs.at).toLocaleString() })) : ""));
  });
  return new Promise((resolve) => {
    dialog.onclose = () => resolve(dialog.returnValue === "mine");
    dialog.returnValue = "";
    dialog.replaceChildren(make("h2", { id: "conflict-title" }, t("conflict_title")), make("p", {}, t("conflict_text")),
      make("table", {}, make("thead", {}, make("tr", {}, make("th", { scope: "col" }, t("defect")), make("th", { scope: "col" }, t("yours")), make("th", { scope: "col" }, t("theirs")))), make("tbody", {}, rows)),
      make("div", { class: "do-row end" }, make("button", { type: "button", id: "use-mine", onclick: () => dialog.close("mine") }, t("use_mine")),
        make("button", { type: "button", class: "primary", autofocus: true, onclick: () => dialog.close("theirs") }, t("keep_theirs"))));
    dialog.showModal();
  });
}
