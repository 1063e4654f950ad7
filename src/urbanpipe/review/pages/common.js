// What all pages share: requests, texts in two languages, light and dark, messages.
export const find = (selector) => document.querySelector(selector);

export const stored = (key, fallback = null) => {
  try { return localStorage.getItem(`urbanpipe-${key}`) ?? fallback; } catch { return fallback; }
};
export const store = (key, value) => {
  try { localStorage.setItem(`urbanpipe-${key}`, value); } catch { /* it applies to this page only */ }
};

let texts = {};
export let language = stored("language", navigator.language.startsWith("zh") ? "zh" : "en");

export const t = (key, values = {}) =>
  (texts[language]?.[key] ?? key).replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
export const plural = (key, number, values = {}) => t(`${key}_${number === 1 ? "one" : "many"}`, { number, ...values });

export function make(tag, attributes = {}, ...children) {
  const element = tag.startsWith("svg:")
    ? document.createElementNS("http://www.w3.org/2000/svg", tag.slice(4)) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

// Sends a request; answers {ok, http, ...body}. Where the server cannot be reached, http is 0.
export async function api(method, url, body) {
  let response;
  try {
    response = await fetch(url, {
      method,
      headers: { "X-Urbanpipe": "1", ...(body ? { "Content-Type": "application/json" } : {}) },
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    return { ok: false, http: 0, detail: t("no_server") };
  }
  if (url !== "/api/login") showSignedOut(response.status === 401);
  const content = await response.json().catch(() => ({ detail: response.statusText }));
  const rest = Array.isArray(content) ? { list: content } : content;
  if (Array.isArray(rest.detail)) rest.detail = rest.detail.map((one) => `${one.loc.join(".")}: ${one.msg}`).join("; ");
  return { ...rest, ok: response.ok, http: response.status };
}

// A server that was started again knows no session: the link that it printed, opened in any tab, begins a new one.
function showSignedOut(isOut) {
  const shown = find("#signed-out");
  if (!isOut) { shown?.remove(); return; }
  if (shown || !texts[language]) return;
  document.body.prepend(make("div", { id: "signed-out", role: "alert" }, make("strong", {}, t("signed_out_title")), make("span", {}, t("signed_out_text")),
    make("a", { href: "/login", target: "_blank" }, t("login_title")), make("button", { type: "button", onclick: () => location.reload() }, t("reload"))));
}

const visit = crypto.randomUUID?.() ?? String(Math.random()).slice(2);
const opened = performance.now();
export const action = (fields = {}) => ({
  request: `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 12)}`,
  visit,
  elapsed_seconds: (performance.now() - opened) / 1000,
  ...fields,
});

// Shows a message for some seconds, an error until it is closed; an action is a button: [text, what it does].
export function say(text, kind = "", seconds = 4, action = null) {
  const note = make("div", { class: `message ${kind}`, role: kind === "error" ? "alert" : null }, make("span", {}, text));
  if (action) note.append(make("button", { type: "button", class: "undo", onclick: () => { note.remove(); action[1](); } }, action[0]));
  for (const old of find("#messages").children) if (old.firstChild.textContent === text) old.remove();
  if (kind === "error") note.append(make("button", { type: "button", "aria-label": t("close"), onclick: () => note.remove() }, "×"));
  find("#messages").append(note);
  while (find("#messages").children.length > 3) find("#messages").firstChild.remove();
  if (kind !== "error") setTimeout(() => note.remove(), 1000 * seconds);
}

export const clock = (seconds, tenths = false) => {
  const whole = Math.floor(seconds * 10 + 1e-6) / 10;
  const pad = (number) => String(Math.floor(number)).padStart(2, "0");
  const text = `${whole >= 3600 ? `${Math.floor(whole / 3600)}:` : ""}${pad((whole % 3600) / 60)}:${pad(whole % 60)}`;
  return tenths ? `${text}.${Math.round(whole * 10) % 10}` : text;
};
export const percent = (share, calibrated = true) => {
  if (!calibrated) return share.toFixed(2);
  return share >= 0.995 ? ">99%" : share < 0.005 ? "<1%" : `${Math.floor(100 * share + 0.5)}%`;
};
export const shown = (text) => String(text ?? "").replace(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "\ufffd");

export function showTheme() {
  const theme = stored("theme");
  if (theme) find("#dark").media = theme === "dark" ? "screen" : "not all";
  document.documentElement.dataset.theme = theme ?? "";
}

export function tools(extra = []) {
  const flip = () => {
    const dark = stored("theme") ? stored("theme") === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    store("theme", dark ? "light" : "dark");
    showTheme();
  };
  const other = language === "en" ? "zh" : "en";
  const translate = () => { store("language", other); location.reload(); };
  find("#tools").replaceChildren(
    ...extra,
    make("button", { type: "button", onclick: translate, lang: other }, other === "zh" ? "中文" : "English"),
    make("button", { type: "button", onclick: flip, title: t("theme"), "aria-label": t("theme") }, "◐"),
  );
}

export async function begin() {
  showTheme();
  texts = await api("GET", "/api/texts");
  document.documentElement.lang = language === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = t(element.dataset.text);
}

// The query string of the queue's filter, which the pages of its videos keep.
export const FILTERS = ["order", "status", "search", "code", "min_probability"];
export function filterQuery(values) {
  const query = new URLSearchParams();
  for (const name of FILTERS) if (values[name] && values[name] !== "0") query.set(name, values[name]);
  return query;
}
export const filterOf = (search) => Object.fromEntries(FILTERS.map((name) => [name, new URLSearchParams(search).get(name) ?? ""]));
export const videoLink = (folder, filter) => `/video/${encodeURIComponent(folder)}?${filterQuery(filter)}`;
// A short hint that is shown until it is closed, once per browser.
export function showTip(name, text) {
  const tip = find("#tip");
  if (stored(`tip-${name}`) || !text) return;
  const close = () => { store(`tip-${name}`, "closed"); tip.hidden = true; };
  tip.replaceChildren(make("span", {}, text), make("button", { type: "button", "aria-label": t("close"), onclick: close }, "×"));
  tip.hidden = false;
}

// Enter and the space bar belong to a control that was reached by Tab; otherwise they are commands of the page.
let tabbed = false;
document.addEventListener("keydown", (event) => { if (event.key === "Tab") tabbed = true; }, true);
document.addEventListener("pointerdown", () => { tabbed = false; }, true);
export const isForControl = (event) => tabbed && ["Enter", " "].includes(event.key)
  && Boolean(event.target.matches?.("button, a, summary, select, input, video")) && event.target.dataset.do !== "head";
export function leaveControl() {
  tabbed = false;
  if (!isTyping(document.activeElement)) document.activeElement.blur();
}
export const isTyping = (target) => /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName) && target.type !== "checkbox";
