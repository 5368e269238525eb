/* What makes the pages of an export live: keys, search, light and dark, the index of features. draw.js draws them. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const root = document.documentElement;
  const at = (path) => root.dataset.root + path;

  const kept = {
    read(name) { try { return localStorage.getItem(`msae-${name}`); } catch { return null; } },
    write(name, value) { try { localStorage.setItem(`msae-${name}`, value); } catch { /* not from this folder */ } },
  };
  const scheme = kept.read("scheme");
  if (scheme) root.dataset.mantineColorScheme = scheme;

  function toggleScheme() {
    const preferred = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    const next = (root.dataset.mantineColorScheme || preferred) === "dark" ? "light" : "dark";
    root.dataset.mantineColorScheme = next;
    kept.write("scheme", next);
  }

  function open(latent) { location.href = at(`feature/${latent}.html`); }

  function search(text) {
    const words = text.trim();
    if (/^\d+$/.test(words) && msae.exported.has(Number(words))) open(words);
    else if (words) location.href = at(`features.html?${new URLSearchParams({ q: words })}`);
  }

  function keys(event) {
    const field = document.getElementById("search");
    if (event.target === field) {
      if (event.key === "Enter" && !document.getElementById("index")) search(field.value);
      if (event.key === "Enter" || event.key === "Escape") field.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, dialog")) return;
    if (event.key === "/") { event.preventDefault(); field.focus(); field.select(); }
    else if (event.key === "?") document.getElementById("help").showModal();
    else if (event.key === "ArrowLeft") document.querySelector("a.way.previous")?.click();
    else if (event.key === "ArrowRight") document.querySelector("a.way.next")?.click();
  }

  /* The index: words, levels and the order, all in the URL. */
  function browse(table) {
    const rows = [...table.tBodies[0].rows];
    const state = new URLSearchParams(location.search);
    const field = document.getElementById("search");
    const chosen = () => (state.get("level") || "").split(",").filter(Boolean);
    const said = new Map(rows.map((row) => [row, `${row.querySelector(".by-top-tokens").textContent} ${row.querySelector(".by-explanation")?.textContent || ""}`.toLowerCase()]));
    const number = (row) => row.querySelector("a").textContent;

    function key(row, column) {
      const cell = row.querySelector(`.${column}`);
      if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
      return cell.textContent || null;
    }

    function sorted() {
      const column = state.get("sort"), sign = state.get("order") === "desc" ? -1 : 1;
      if (!column || !table.querySelector(`th.${CSS.escape(column)}`)) return rows;
      const last = (value) => value === null || value === "n/a";
      return [...rows].sort((one, two) => {
        const a = key(one, column), b = key(two, column);
        if (last(a) || last(b)) return last(a) - last(b);
        return sign * (a < b ? -1 : a > b ? 1 : 0);
      });
    }

    function show() {
      const words = (state.get("q") || "").toLowerCase().split(/\s+/).filter(Boolean);
      const levels = chosen();
      let shown = 0;
      for (const row of rows) {
        const text = said.get(row);
        const found = words.every((word) => text.includes(word) || number(row) === word);
        row.hidden = !found || (levels.length > 0 && !levels.includes(row.dataset.level));
        shown += !row.hidden;
      }
      table.tBodies[0].append(...sorted());
      document.getElementById("count").textContent = shown === rows.length ? `${shown}` : `${shown} of ${rows.length}`;
      for (const button of document.querySelectorAll("button[data-level]")) {
        button.setAttribute("aria-pressed", String(levels.includes(button.dataset.level)));
      }
      for (const head of table.tHead.rows[0].cells) {
        const mine = head.className === state.get("sort");
        head.setAttribute("aria-sort", mine ? (state.get("order") === "desc" ? "descending" : "ascending") : "none");
      }
    }

    function change(name, value) {
      if (value) state.set(name, value); else state.delete(name);
      try { history.replaceState(null, "", `?${state}`); } catch { /* a browser that forbids it from disk */ }
      show();
    }

    field.value = state.get("q") || "";
    field.addEventListener("input", () => change("q", field.value.trim()));
    document.addEventListener("click", (event) => {
      const { level, sort } = event.target.closest("button")?.dataset || {};
      if (level) {
        const levels = chosen();
        change("level", (levels.includes(level) ? levels.filter((one) => one !== level) : [...levels, level].sort()).join(","));
      } else if (sort) {
        const again = state.get("sort") === sort;
        state.set("order", again ? (state.get("order") === "desc" ? "asc" : "desc") : ["by-explanation", "by-top-tokens", "by-feature", "by-level"].includes(sort) ? "asc" : "desc");
        change("sort", sort);
      }
    });
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    msae.draw();
    const table = document.getElementById("index");
    if (table) browse(table);
    document.addEventListener("keydown", keys);
    document.getElementById("scheme").addEventListener("click", toggleScheme);
    document.getElementById("help-button").addEventListener("click", () => document.getElementById("help").showModal());
    document.querySelector(".way.random")?.addEventListener("click", () => {
      const others = msae.data.latents.filter((latent) => !location.pathname.endsWith(`/${latent}.html`));
      if (others.length) open(others[Math.floor(Math.random() * others.length)]);
    });
  });
})();
