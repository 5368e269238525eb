/* Around a page: keys, search, light and dark, help, a random feature, whether the server is there. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const root = document.documentElement;
  const at = (path, query = "") => root.dataset.root + path + root.dataset.suffix + query;

  const scheme = msae.kept.read("scheme");
  if (scheme) root.dataset.scheme = scheme;

  function toggleScheme() {
    const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    root.dataset.scheme = (root.dataset.scheme || preferred) === "dark" ? "light" : "dark";
    msae.kept.write("scheme", root.dataset.scheme);
  }

  function search(text) {
    const words = text.trim();
    if (/^\d{1,9}$/.test(words) && !root.dataset.suffix) location.href = at(`feature/${words}`);
    else if (words) location.href = at("features", `?${new URLSearchParams({ q: words })}`);
  }

  const typing = (element) => element.closest("input:not([type=checkbox]), textarea, select, dialog, [contenteditable], .ag-root");

  function keys(event) {
    const field = document.getElementById("search");
    if (event.target === field) {
      if (event.key === "Enter") search(field.value);
      if (event.key === "Enter" || event.key === "Escape") field.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    const follow = (name) => document.querySelector(`.move.${name}:not(.off)`)?.click();
    if (event.key === "/") { event.preventDefault(); field.focus(); field.select(); }
    else if (event.key === "?") document.getElementById("help").showModal();
    else if (event.key === "ArrowLeft") follow("previous");
    else if (event.key === "ArrowRight") follow("next");
  }

  function random({ random: href, among }) {
    const others = JSON.parse(among || "[]");
    if (href) location.href = `${href}${href.includes("?") ? "&" : "?"}draw=${Math.random()}`;
    else if (others.length) location.href = others[Math.floor(Math.random() * others.length)];
  }

  /* In the app: says so when the server is gone, and when it is back. */
  function watch(url) {
    let notice = null;
    async function look() {
      const there = await fetch(url, { cache: "no-store" }).then((answer) => answer.ok, () => false);
      if (!there && !notice) {
        notice = Object.assign(document.createElement("div"), { className: "gone", textContent: "The server is gone: start “msae dashboard” again, and this page goes on." });
        notice.setAttribute("role", "alert");
        document.body.append(notice);
      } else if (there && notice) {
        notice.remove();
        notice = null;
        document.dispatchEvent(new Event("msae-back"));
      }
    }
    setInterval(() => { if (!document.hidden) look(); }, 5000);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) look(); });
    msae.lookForServer = look;
  }

  document.addEventListener("keydown", keys);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button.move.random");
    if (button) random(button.dataset);
  });
  document.addEventListener("DOMContentLoaded", () => {
    document.getElementById("scheme")?.addEventListener("click", toggleScheme);
    document.getElementById("help-button")?.addEventListener("click", () => document.getElementById("help").showModal());
    const alive = document.querySelector("meta[name=alive]");
    if (alive) watch(alive.content);
  });
})();
