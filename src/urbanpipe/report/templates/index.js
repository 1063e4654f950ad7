"use strict";
(() => {
  const find = (selector) => document.querySelector(selector);
  document.documentElement.classList.add("js");

  const dark = find("#dark");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  let theme = null;
  try { theme = localStorage.getItem("urbanpipe-theme"); } catch { /* no storage: the system decides */ }
  const showTheme = () => { if (theme) dark.media = theme === "dark" ? "screen" : "not all"; };
  showTheme();
  find("#theme").addEventListener("click", () => {
    theme = (theme ? theme === "dark" : systemDark.matches) ? "light" : "dark";
    try { localStorage.setItem("urbanpipe-theme", theme); } catch { /* the choice applies to this page only */ }
    showTheme();
  });

  const filter = find("#filter");
  if (!filter) return;
  const only = find("#only");
  const rows = [...document.querySelectorAll("table.videos tbody tr")];
  const texts = rows.map((row) => row.textContent.toLowerCase());
  const narrow = () => {
    const wanted = filter.value.trim().toLowerCase();
    let left = 0;
    rows.forEach((row, place) => {
      row.hidden = !texts[place].includes(wanted) || (only.checked && !row.classList.contains("notable"));
      left += row.hidden ? 0 : 1;
    });
    find("#shown").textContent = left < rows.length ? `${left} / ${rows.length}` : "";
  };
  filter.addEventListener("input", narrow);
  only.addEventListener("change", narrow);
})();
