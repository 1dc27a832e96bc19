// In the head, so that the page is never drawn in the wrong colours first.
(() => {
  "use strict";
  const root = document.documentElement;
  const names = ["auto", "light", "dark"];
  let theme = "auto";
  try {
    theme = localStorage.getItem("downslope-theme") || "auto";
  } catch {} // a browser may keep nothing for files
  const apply = () => {
    if (theme === "auto") root.removeAttribute("data-theme");
    else root.setAttribute("data-theme", theme);
  };
  if (!names.includes(theme)) theme = "auto";
  apply();
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    if (!button) return;
    const label = () => {
      button.textContent = { auto: "◐ auto", light: "☀ light", dark: "☾ dark" }[theme];
      button.setAttribute("aria-label", `Colours: ${theme}; change`);
    };
    button.hidden = false;
    label();
    button.addEventListener("click", () => {
      theme = names[(names.indexOf(theme) + 1) % names.length];
      try {
        localStorage.setItem("downslope-theme", theme);
      } catch {}
      apply();
      label();
      document.dispatchEvent(new Event("themechange"));
    });
  });
})();
