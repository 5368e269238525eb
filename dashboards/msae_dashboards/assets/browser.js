/* The feature browser: cells of the grid, and its state in the URL. */
(function () {
  "use strict";
  const KEYS = ["q", "level", "alive", "token", "density_min", "density_max", "max_min", "max_max"];
  const h = (...parts) => window.React.createElement(...parts);
  const NAMED = { "\n": "↵", "\r": "␍", "\t": "⇥" };
  const SHOWN = 40;

  function quoted(text) {
    const cut = text.length > SHOWN ? text.slice(0, SHOWN) + "…" : text;
    const shown = cut.replace(/[\p{Cc}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu, (c) =>
      NAMED[c] || (c === "\u200d" ? c : `⟨${c.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`));
    return shown.replace(/(?<=[↵␍⇥]) +|^ +| +$/g, ({ length }) => (length <= 3 ? "␣".repeat(length) : `␣×${length}`)) || "∅";
  }

  const cells = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  cells.FeatureLink = ({ data }) => (data ? h("a", { href: `/feature/${data.latent}` }, String(data.latent)) : null);
  cells.LevelChip = ({ value }) =>
    value == null ? null : h("span", { className: `chip level-${value % 7}`, "aria-label": `level ${value}` }, `L${value}`);
  cells.TokenList = ({ data }) =>
    data ? h("span", { className: "tokens" }, data.top_tokens.map((text, place) => h("code", { className: "token", key: place }, quoted(text)))) : null;
  cells.Density = ({ value }) => {
    if (value == null) return null;
    const percent = 100 * value;
    const text = value === 0 ? "never" : percent < 0.001 ? `${percent.toPrecision(1)}%` : `${percent.toFixed(3)}%`;
    const width = value > 0 ? Math.max(2, 46 * (1 + Math.log10(value) / 6)) : 0;
    return h("span", { className: "bar-cell" }, h("i", { style: { width } }), h("span", null, text));
  };

  function state(columns, values, before) {
    const query = {};
    KEYS.forEach((key, place) => {
      const value = values[place];
      const text = Array.isArray(value) ? [...value].sort().join(",") : value == null ? "" : String(value);
      if (text !== "") query[key] = text;
    });
    const sorted = (columns || []).find((column) => column.sort);
    if (sorted) { query.sort = sorted.colId; query.order = sorted.sort; }
    else if (!columns && before.sort) { query.sort = before.sort; query.order = before.order || "asc"; }
    return query;
  }

  const dash = (window.dash_clientside = window.dash_clientside || {});
  dash.msae = Object.assign(dash.msae || {}, {
    browse(columns, ...rest) {
      const before = rest.pop() || {};
      const query = state(columns, rest, before);
      const same = JSON.stringify(Object.entries(query).sort()) === JSON.stringify(Object.entries(before).sort());
      if (same || location.pathname !== "/features") return dash.no_update;
      const search = new URLSearchParams(query).toString();
      history.replaceState(history.state, "", search ? `/features?${search}` : "/features");
      return query;
    },
    refresh() {
      const api = window.dash_ag_grid?.getApi("features-grid");
      api?.purgeInfiniteCache();
      api?.ensureIndexVisible?.(0);
      return dash.no_update;
    },
  });
})();
