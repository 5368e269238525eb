/* The feature browser: the grid's rows, its cells, and its state in the URL. */
(function () {
  "use strict";
  const GRID = "features-grid", SHOWN = 40, NAMED = { "\n": "↵", "\r": "␍", "\t": "⇥" };
  const h = (...parts) => window.React.createElement(...parts);
  const main = document.getElementById("page");
  let order = {};

  /* Dash asks its own corner of this server, wherever that is. */
  const held = document.getElementById("_dash-config"), config = JSON.parse(held.textContent);
  config.requests_pathname_prefix = new URL("_grid/", location.href).pathname;
  held.textContent = JSON.stringify(config);

  function quoted(text) {
    const cut = text.length > SHOWN ? text.slice(0, SHOWN) + "…" : text;
    const shown = cut.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (c) =>
      NAMED[c] || (c === "\u200d" ? c : `⟨${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`));
    return shown.replace(/(?<=[↵␍⇥]) +|^ +| +$/g, ({ length }) => (length <= 3 ? "␣".repeat(length) : `␣×${length}`)) || "∅";
  }

  function state() {
    const query = {};
    for (const form of main.querySelectorAll("form")) {
      for (const [name, value] of new FormData(form)) if (value !== "") query[name] = name in query ? `${query[name]},${value}` : value;
    }
    return { ...query, ...order };
  }

  const href = (latent) => `feature/${latent}?${new URLSearchParams(state())}`.replace(/\?$/, "");

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.FeatureLink = ({ data }) => (data ? h("a", { href: href(data.latent) }, String(data.latent)) : null);
  cells.LevelChip = ({ value, data }) =>
    value == null ? null : h("span", { className: "chip hue", style: { "--level": data.color }, title: `level ${value}` }, `L${value}`);
  cells.TokenList = ({ data }) =>
    data ? h("span", { className: "tokens" }, data.top_tokens.map((text, place) => h("code", { className: "token", key: place }, quoted(text)))) : null;
  cells.Density = ({ value }) => {
    if (value == null) return null;
    const percent = 100 * value;
    const text = value === 0 ? "never" : percent < 0.001 ? `${percent.toPrecision(1)}%` : `${percent.toFixed(3)}%`;
    const width = value > 0 ? Math.max(2, 46 * (1 + Math.log10(value) / 6)) : 0;
    return h("span", { className: "bar-cell" }, h("i", { style: { width } }), h("span", null, text));
  };

  function datasource() {
    const query = state();
    return {
      async getRows({ startRow, endRow, successCallback, failCallback }) {
        try {
          const answer = await fetch(`features/rows?${new URLSearchParams({ ...query, first: startRow, stop: endRow })}`);
          if (!answer.ok) throw new Error(answer.statusText);
          const { rows, found, of } = await answer.json();
          successCallback(rows, found);
          document.getElementById("count").textContent = `${found.toLocaleString("en")} of ${of.toLocaleString("en")}`;
        } catch { failCallback(); }
      },
    };
  }

  async function start() {
    const api = await window.dash_ag_grid.getApiAsync(GRID);
    /* Dash gives the grid a source of rows of its own, which nobody answers, before this or after: ours takes its place. */
    const set = api.setGridOption.bind(api);
    api.setGridOption = (name, value) => set(name, name === "datasource" ? datasource() : value);
    const asked = new URLSearchParams(location.search);
    if (asked.get("sort")) order = { sort: asked.get("sort"), order: asked.get("order") === "desc" ? "desc" : "asc" };
    if (order.sort) api.applyColumnState({ state: [{ colId: order.sort, sort: order.order }], defaultState: { sort: null } });
    let shown = "", waiting = null;

    function refresh() {
      const search = new URLSearchParams(state()).toString();
      if (search === shown) return;
      shown = search;
      history.replaceState(history.state, "", search ? `?${search}` : location.pathname);
      api.setGridOption("datasource", datasource());
    }

    api.addEventListener("sortChanged", () => {
      const sorted = api.getColumnState().find((column) => column.sort);
      order = sorted ? { sort: sorted.colId, order: sorted.sort } : {};
      refresh();
    });
    const open = (data, event) => {
      if (!data || event.target.closest?.("a")) return;
      if (event.ctrlKey || event.metaKey || event.button === 1) window.open(href(data.latent));
      else location.href = href(data.latent);
    };
    api.addEventListener("rowClicked", ({ data, event }) => open(data, event));
    api.addEventListener("cellKeyDown", ({ data, event }) => { if (event.key === "Enter") open(data, event); });
    main.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(refresh, 150); });
    main.addEventListener("submit", (event) => { event.preventDefault(); refresh(); });
    document.addEventListener("msae-back", () => api.setGridOption("datasource", datasource()));
    shown = new URLSearchParams(state()).toString();
    api.setGridOption("datasource", datasource());
  }
  document.addEventListener("DOMContentLoaded", start);
})();
