// Saves decisions: one request after the other, tried again until the server has answered, and kept over a reload.
import { action, api, find, make, store, stored, t } from "/static/common.js";

const AGAIN = [0, 401, 502, 503, 504]; // no answer, no session any more, or busy: the same request is sent once more
let turn = Promise.resolve();
let waiting = 0;

export const isSaving = () => waiting > 0;

// Requests that the server has not acknowledged. It stores a request once, however often it is sent.
function pending() {
  try { return JSON.parse(stored("pending", "[]")); } catch { return []; }
}
const keep = (entries) => store("pending", JSON.stringify(entries));

function showSaved(text, kind) {
  if (!find("#saved")) return; // the list of videos
  find("#saved").textContent = text;
  find("#saved").className = `saved-mark ${kind}`;
}

function showTrouble(answer) {
  const shown = find("#unsaved");
  if (!answer) { shown?.remove(); return; }
  const text = t(answer.http === 401 ? "unsaved_signed_out" : "unsaved_no_server");
  if (shown) { shown.textContent = text; return; }
  find("#messages").append(make("div", { class: "message error", id: "unsaved", role: "alert" }, text));
}

async function retried({ url, body }) {
  for (let attempt = 0; ; attempt += 1) {
    const answer = await api("POST", url, body);
    if (!AGAIN.includes(answer.http)) {
      keep(pending().filter((one) => one.body.request !== body.request));
      showTrouble(null);
      if (answer.ok) showSaved(t("saved", { time: new Date().toLocaleTimeString() }), "good");
      else showSaved(t("not_saved"), "bad");
      return answer;
    }
    showSaved(t("not_saved_retry"), "bad");
    showTrouble(answer);
    await pause(Math.min(3000, 250 * 2 ** attempt));
  }
}

// Waits, but no longer than until somebody looks at the page again.
function pause(milliseconds) {
  return new Promise((resolve) => {
    const end = () => { clearTimeout(timer); document.removeEventListener("visibilitychange", end); resolve(); };
    const timer = setTimeout(end, milliseconds);
    document.addEventListener("visibilitychange", end);
  });
}

export function send(who, url, fields = {}) {
  const entry = { who, url, body: action(fields) };
  keep([...pending(), entry]);
  waiting += 1;
  showSaved(t("saving"), "");
  const answer = turn.then(() => retried(entry));
  turn = answer.catch(() => {});
  return answer.finally(() => { waiting -= 1; });
}

export const allSent = () => turn;

// Sends what this person decided before the page was closed or reloaded. Answers what was refused: [url, answer].
export async function sendKept(who) {
  const refused = [];
  for (const entry of pending().filter((one) => one.who === who)) {
    const answer = await retried(entry);
    if (!answer.ok) refused.push([entry.url, answer]);
  }
  return refused;
}

addEventListener("beforeunload", (event) => { if (find("#unsaved")) event.preventDefault(); });
