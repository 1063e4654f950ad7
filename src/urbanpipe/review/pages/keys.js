// Keys of the video page: defaults, changes that this browser keeps, and the dialog that shows and changes them.
import { find, make, say, store, stored, t } from "/static/common.js";

export const DEFAULTS = {
  accept: "a", reject: "r", unsure: "u", second_opinion: "o", reopen: "p",
  next_item: "j", previous_item: "k", next_open: "n",
  grade_1: "1", grade_2: "2", grade_3: "3", grade_4: "4",
  change_class: "c", move_here: "m", begin_here: "[", end_here: "]", note: "t", details: "e", continuous: "l",
  add: "d", play: " ", back_frame: ",", next_frame: ".", back_second: "ArrowLeft", next_second: "ArrowRight", heat: "h",
  undo: "z", redo: "y", reject_rest: "X", finish: "Enter", reject_and_finish: "Shift+Enter",
  previous_video: "PageUp", next_video: "PageDown", queue: "q", data: "i", help: "?",
};

let keys = { ...DEFAULTS };
try { keys = { ...DEFAULTS, ...JSON.parse(stored("keys", "{}")) }; } catch { /* the defaults */ }

export const keyOf = (name) => keys[name];
export const keyText = (key) => ({ " ": t("key_space"), ArrowLeft: "←", ArrowRight: "→", PageUp: "Page ↑", PageDown: "Page ↓" }[key] ?? key);
export const hint = (name) => make("kbd", {}, keyText(keys[name]));

function pressed(event) {
  if (event.key === "Enter" && event.shiftKey) return "Shift+Enter";
  return event.key;
}

// Returns the name of the command that a key stands for; undo and redo also have the keys that everybody knows.
export function commandOf(event) {
  if (event.ctrlKey || event.metaKey) {
    const letter = event.key.toLowerCase();
    if (letter === "z") return event.shiftKey ? "redo" : "undo";
    return letter === "y" ? "redo" : null;
  }
  if (event.altKey || event.isComposing) return null;
  return Object.keys(keys).find((name) => keys[name] === pressed(event)) ?? { ArrowDown: "next_item", ArrowUp: "previous_item" }[event.key] ?? null;
}

function change(name, button, done) {
  button.textContent = "…";
  const take = (event) => {
    event.preventDefault();
    event.stopPropagation();
    if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
    document.removeEventListener("keydown", take, true);
    const key = pressed(event);
    const other = Object.keys(keys).find((one) => one !== name && keys[one] === key);
    if (event.key !== "Escape" && other) say(t("key_taken", { command: t(`do_${other}`) }), "error");
    else if (event.key !== "Escape") { keys[name] = key; store("keys", JSON.stringify(keys)); }
    showKeys(done);
  };
  document.addEventListener("keydown", take, true);
}

// Shows the keys; `done` runs when the dialog is closed.
export function showKeys(done) {
  const dialog = find("#keys");
  const rows = Object.keys(keys).flatMap((name) => {
    const button = make("button", { type: "button", class: "key", title: t("key_change") }, keyText(keys[name]));
    button.addEventListener("click", () => change(name, button, done));
    return [make("dt", {}, button), make("dd", {}, t(`do_${name}`))];
  });
  const reset = () => { keys = { ...DEFAULTS }; store("keys", "{}"); showKeys(done); };
  dialog.replaceChildren(
    make("h2", { id: "keys-title" }, t("keys")), make("p", { class: "note" }, t("keys_hint")), make("dl", { class: "key-list" }, rows),
    make("div", { class: "actions" }, make("button", { type: "button", onclick: reset }, t("keys_reset")), make("button", { type: "button", class: "primary", onclick: () => dialog.close() }, t("close"))),
  );
  dialog.onclose = done;
  if (!dialog.open) dialog.showModal();
}
