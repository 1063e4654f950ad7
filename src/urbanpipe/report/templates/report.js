"use strict";
(() => {
  const root = document.documentElement;
  const find = (selector, within = document) => within.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  root.classList.add("js");

  // Theme: the dark style is a separate style sheet, whose media query the switch replaces.
  const dark = find("#dark");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  let theme = null;
  try { theme = localStorage.getItem("urbanpipe-theme"); } catch { /* no storage: the system decides */ }
  const showTheme = () => { if (theme) dark.media = theme === "dark" ? "screen" : "not all"; };
  const switchTheme = () => {
    theme = (theme ? theme === "dark" : systemDark.matches) ? "light" : "dark";
    try { localStorage.setItem("urbanpipe-theme", theme); } catch { /* the choice applies to this page only */ }
    showTheme();
  };
  showTheme();

  // Video
  const video = find("video");
  const playable = () => video && !root.classList.contains("no-video");
  const lose = () => {
    root.classList.add("no-video");
    find("#notice").hidden = false;
  };
  if (!video || video.error) lose();
  if (video) {
    video.addEventListener("error", lose);
    video.addEventListener("loadedmetadata", () => { if (!video.videoWidth) lose(); });
  }
  // The player counts on the clock of the file; the page counts from the first frame. Anchors are [page, player] pairs.
  const anchors = JSON.parse(video && video.dataset.anchors || "[]");
  const shifted = (seconds, from, to) => {
    const before = anchors.filter((pair) => pair[from] <= seconds).pop() || anchors[0];
    return before ? Math.max(seconds - before[from] + before[to], 0) : seconds;
  };
  const toPlayer = (seconds) => shifted(seconds, 0, 1);
  const fromPlayer = (seconds) => shifted(seconds, 1, 0);
  const start = () => { const begun = video.play(); if (begun) begun.catch(() => {}); };
  const seek = (seconds) => {
    if (!playable()) return;
    const reach = video.seekable;
    const stuck = video.readyState > 0 && seconds > 0 && !(reach.length && reach.end(reach.length - 1) > 0);
    find("#unseekable").hidden = !stuck;
    video.currentTime = seconds;
  };
  const toggle = () => { if (playable()) { if (video.paused) start(); else video.pause(); } };

  // The chosen moment
  const findings = all("a.finding");
  const views = all("#evidence .card > .shot > a.view");
  let chosen = null;
  let chosenSeek = null;
  const findingOf = (moment) => `${moment.split("-")[0]}-`;
  const mark = (stop) => {
    for (const one of all("[aria-current]")) one.removeAttribute("aria-current");
    chosen = stop.dataset.moment;
    chosenSeek = stop.dataset.seek;
    for (const one of all(`[data-moment="${chosen}"]`)) {
      const fold = one.closest("details.weak");
      if (fold) fold.open = true;
    }
    const same = findings.filter((one) => one.dataset.moment.startsWith(findingOf(chosen)));
    for (const one of [...same, ...all(`[data-moment="${chosen}"]`)]) one.setAttribute("aria-current", "true");
    const chosenText = find("#chosen");
    chosenText.textContent = stop.dataset.label;
    chosenText.classList.add("some");
  };
  const activate = (stop) => {
    const again = stop.dataset.moment === chosen && stop.dataset.seek === chosenSeek && playable() && !video.paused;
    mark(stop);
    if (!playable()) return;
    if (again) {
      video.pause();
    } else {
      seek(Number(stop.dataset.seek));
      start();
    }
  };
  // Stepping by key: a playing video continues from before the moment, a paused one shows the moment itself.
  const stepTo = (stop) => {
    mark(stop);
    if (playable()) seek(Number(video.paused ? stop.dataset.at : stop.dataset.seek));
  };
  const step = (stops, by) => {
    if (!stops.length) return null;
    let place = stops.findIndex((one) => one.dataset.moment === chosen);
    if (place < 0 && chosen) {
      place = stops.findIndex((one) => one.dataset.moment.startsWith(findingOf(chosen)));
    }
    const next = place < 0 ? (by > 0 ? 0 : stops.length - 1) : Math.min(Math.max(place + by, 0), stops.length - 1);
    stepTo(stops[next]);
    return stops[next];
  };
  const stepFinding = (by) => {
    const stop = step(findings, by);
    if (stop) stop.focus();
  };
  const stepMoment = (by) => {
    const stop = step(views, by);
    if (!stop) return;
    if (large.open) enlarge(stop.closest(".shot"));
    else stop.closest(".card").scrollIntoView({ block: "nearest" });
  };
  document.addEventListener("click", (event) => {
    const stop = event.target.closest("a.stop");
    if (!stop || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    activate(stop);
  });

  // Heat
  const heat = find("#heat");
  const strength = find("#strength");
  const switchHeat = () => {
    if (!heat) return;
    heat.setAttribute("aria-pressed", String(!root.classList.toggle("heat-off")));
  };
  const showStrength = () => root.style.setProperty("--heat", String(Number(strength.value) / 100));
  if (heat) {
    heat.addEventListener("click", switchHeat);
    strength.addEventListener("input", showStrength);
    showStrength();
  }

  // Dialogs
  const keys = find("#keys");
  const large = find("#large");
  const enlarge = (shot) => {
    const picture = find(".picture", shot);
    if (!picture || !find("img", picture)) return;
    find(".large-picture").replaceChildren(picture.cloneNode(true));
    find("#large-title").textContent = find("a.view", shot).dataset.label;
    if (!large.open) large.showModal();
  };
  const enlargeChosen = () => {
    if (large.open) { large.close(); return; }
    const card = find(`.card[data-moment="${chosen}"]`) || find("#evidence .card");
    if (card) enlarge(find(".shot", card));
  };
  for (const button of all(".enlarge")) button.addEventListener("click", () => enlarge(button.closest(".shot")));
  for (const dialog of [keys, large]) {
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
  const help = () => { if (keys.open) keys.close(); else if (!large.open) keys.showModal(); };

  // Timeline: the head follows the video, the cross follows the pointer.
  const lanes = find(".lanes");
  if (lanes) {
    const span = Number(lanes.dataset.span);
    const head = find("#head");
    const cross = find("#cross");
    const place = (line, seconds) => {
      line.hidden = false;
      line.style.left = `${100 * Math.min(seconds / span, 1)}%`;
    };
    const clock = (seconds) => {
      const whole = Math.floor(seconds);
      const two = (number) => String(number).padStart(2, "0");
      const hours = Math.floor(whole / 3600);
      return `${hours ? `${hours}:` : ""}${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
    };
    const under = (event) => {
      const plot = event.target.closest(".plot");
      if (!plot) return null;
      const box = plot.getBoundingClientRect();
      return span * Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1);
    };
    lanes.addEventListener("pointermove", (event) => {
      const seconds = under(event);
      if (seconds === null) { cross.hidden = true; return; }
      place(cross, seconds);
      cross.classList.toggle("late", seconds > span / 2);
      find("span", cross).textContent = clock(seconds);
    });
    lanes.addEventListener("pointerleave", () => { cross.hidden = true; });
    lanes.addEventListener("click", (event) => {
      const seconds = event.target.closest("a.stop") ? null : under(event);
      if (seconds !== null) seek(toPlayer(seconds));
    });
    if (video) {
      const follow = () => place(head, fromPlayer(video.currentTime));
      for (const name of ["timeupdate", "seeking", "loadedmetadata"]) video.addEventListener(name, follow);
    }
  }

  // Buttons and keys
  const press = (selector, action) => { const button = find(selector); if (button) button.addEventListener("click", action); };
  press("#theme", switchTheme);
  press("#help", help);
  press("#previous", () => stepMoment(-1));
  press("#next", () => stepMoment(1));
  press("#play", toggle);
  const actions = {
    j: () => stepFinding(1),
    k: () => stepFinding(-1),
    ArrowRight: () => stepMoment(1),
    ArrowLeft: () => stepMoment(-1),
    " ": toggle,
    h: switchHeat,
    e: enlargeChosen,
    d: switchTheme,
    "?": help,
  };
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const target = event.target;
    if (!(name in actions) || target.matches("input") || (keys.open && name !== "?")) return;
    if (target === video && (name === " " || name.startsWith("Arrow"))) return;
    if (name === " " && (target.closest("button, summary") || !playable())) return;
    event.preventDefault();
    actions[name]();
  });

  // A link to a finding or a moment shows it.
  const linked = location.hash && document.getElementById(location.hash.slice(1));
  const linkedStop = linked && find("a.stop", linked);
  if (linkedStop) stepTo(linkedStop);

  // Print with all sections open but that of the less likely classes.
  let folded = [];
  addEventListener("beforeprint", () => {
    folded = all("details:not([open], .weak)");
    for (const one of folded) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of folded) one.open = false; });
})();
