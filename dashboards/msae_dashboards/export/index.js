/* The index of an export: words, levels and the order, all in the URL. A number alone opens its feature. */
(function () {
  "use strict";
  const TEXTS = ["by-explanation", "by-top-tokens"], ASCENDING = [...TEXTS, "by-feature", "by-level"];

  function browse(table) {
    const rows = [...table.tBodies[0].rows];
    const state = new URLSearchParams(location.search);
    const field = document.getElementById("search");
    const text = (row, column) => row.querySelector(`.${column}`)?.textContent || "";
    const texts = new Map(rows.map((row) => [row, TEXTS.map((column) => text(row, column)).join(" ").toLowerCase()]));

    function key(row, column) {
      const cell = row.querySelector(`.${column}`);
      return cell.dataset.value === undefined ? cell.textContent || null : Number(cell.dataset.value);
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
      const levels = (state.get("level") || "").split(",").filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const found = words.every((word) => texts.get(row).includes(word) || row.dataset.latent === word);
        row.hidden = !found || (levels.length > 0 && !levels.includes(row.dataset.level));
        shown += !row.hidden;
      }
      table.tBodies[0].append(...sorted());
      document.getElementById("count").textContent = shown === rows.length ? `${shown}` : `${shown} of ${rows.length}`;
      for (const box of document.querySelectorAll("input[name=level]")) box.checked = levels.includes(box.value);
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

    const named = rows.find((row) => row.dataset.latent === state.get("q"));
    if (named) return location.replace(named.querySelector("a").href);
    field.value = state.get("q") || "";
    field.addEventListener("input", () => change("q", field.value.trim()));
    document.addEventListener("change", () => {
      change("level", [...document.querySelectorAll("input[name=level]:checked")].map((box) => box.value).join(","));
    });
    document.addEventListener("click", (event) => {
      const sort = event.target.closest("button")?.dataset.sort, row = event.target.closest("#index tbody tr");
      if (row && !event.target.closest("a")) row.querySelector("a").click();
      if (!sort) return;
      const again = state.get("sort") === sort;
      state.set("order", again ? (state.get("order") === "desc" ? "asc" : "desc") : ASCENDING.includes(sort) ? "asc" : "desc");
      change("sort", sort);
    });
    show();
  }

  document.addEventListener("DOMContentLoaded", () => {
    const table = document.getElementById("index");
    if (table) browse(table);
  });
})();
