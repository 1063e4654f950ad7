// A list of defects that stays quick with thousands of them: only rows near the current one exist, and only changed
// rows are drawn again.
import { find, make, t } from "/static/common.js";

const ROWS = 100;

export class ItemList {
  // `row` draws an item; `mark` answers a text that changes whenever the row of an item does.
  constructor(list, row, mark) {
    this.list = list;
    this.row = row;
    this.mark = mark;
    this.from = 0;
    this.shown = [];
  }

  show(items, current) {
    const at = items.findIndex((one) => one.key === current);
    if (at !== this.at && at >= 0 && (at < this.from || at >= this.from + ROWS)) this.from = Math.max(0, at - ROWS / 4);
    this.at = at;
    this.from = Math.max(0, Math.min(this.from, items.length - 1));
    const rows = items.slice(this.from, this.from + ROWS);
    const same = rows.length === this.shown.length && rows.every((one, place) => one.key === this.shown[place].key);
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    if (!same) this.list.replaceChildren(...this.more(items, -1), ...rows.map((one) => this.row(one)), ...this.more(items, 1));
    else for (const [place, one] of rows.entries()) if (this.shown[place].mark !== this.mark(one)) renew(this.list.querySelector(`:scope > [data-key="${CSS.escape(one.key)}"]`), this.row(one));
    this.shown = rows.map((one) => ({ key: one.key, mark: this.mark(one) }));
    const wanted = focused?.dataset.do;
    if (wanted && !focused.isConnected) this.list.querySelector(`[aria-current] [data-do="${wanted}"]`)?.focus({ preventScroll: true });
  }

  forget() { this.shown = []; this.at = undefined; }

  more(items, by) {
    const number = by < 0 ? this.from : items.length - this.from - ROWS;
    if (number <= 0) return [];
    const go = () => { this.from = Math.max(0, this.from + by * ROWS); this.shown = []; this.show(items, null); };
    return [make("li", { class: "more" }, make("button", { type: "button", onclick: go }, t(by < 0 ? "rows_before" : "rows_after", { number })))];
  }
}

// Puts a new row in the place of an old one, but never takes away the field in which somebody is typing.
function renew(old, fresh) {
  const form = old.querySelector("form");
  const next = fresh.querySelector("form");
  const typing = document.activeElement;
  if (!form || !next || !form.contains(typing) || typing.tagName !== "INPUT") { old.replaceWith(fresh); return; }
  for (const field of next.querySelectorAll("input")) {
    const kept = form.elements[field.name];
    if (kept === typing && kept.value !== kept.defaultValue) continue;
    kept.checked = field.checked;
    kept.value = kept.defaultValue = field.value;
  }
  form.querySelector(".grades").replaceWith(next.querySelector(".grades"));
  old.className = fresh.className;
  for (const part of [...old.children]) if (part !== form) part.remove();
  form.before(...[...fresh.children].filter((part) => part !== next));
}

export const scrollToCurrent = () => find("#items [aria-current], #unlikely [aria-current]")?.scrollIntoView({ block: "nearest" });
