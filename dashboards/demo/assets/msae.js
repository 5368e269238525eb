/* What panels do in a page, with or without the app: context and colour scale of token strips, kept in the URL. */
(function () {
  "use strict";
  const SETTINGS = { context: ["16", "5", "full"], theme: ["orange", "emerald"] };
  const root = document.documentElement;

  function chosen(name) {
    const asked = new URLSearchParams(location.search).get(name);
    if (SETTINGS[name].includes(asked)) return asked;
    return SETTINGS[name].includes(root.dataset[name]) ? root.dataset[name] : SETTINGS[name][0];
  }

  function apply() {
    for (const name of Object.keys(SETTINGS)) {
      const value = chosen(name);
      if (root.dataset[name] !== value) root.dataset[name] = value;
      for (const button of document.querySelectorAll(`button[data-set="${name}"]`)) {
        const pressed = String(button.dataset.value === value);
        if (button.getAttribute("aria-pressed") !== pressed) button.setAttribute("aria-pressed", pressed);
      }
    }
  }

  function choose(name, value) {
    root.dataset[name] = value;
    const query = new URLSearchParams(location.search);
    query.set(name, value);
    try { history.replaceState(history.state, "", `${location.pathname}?${query}`); } catch { /* a page from disk */ }
    apply();
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest && event.target.closest("button[data-set]");
    if (button) choose(button.dataset.set, button.dataset.value);
  });
  new MutationObserver(apply).observe(document.body || root, { childList: true, subtree: true });
  apply();
})();
/* The TokenStrip component: token_strip.py says what its props are, and lays the same out as HTML. */
(function () {
  "use strict";
  const NEAR = 5, MIDDLE = 16;

  function TokenStrip({ texts, ids, marks, position }) {
    const marked = new Map(marks.map(([place, ...rest]) => [place, rest]));
    const tokens = texts.map((text, place) => {
      const reach = Math.abs(place - position);
      const mark = marked.get(place);
      const props = { key: place, "data-t": ids[place] };
      const name = reach === 0 ? "here" : reach <= NEAR ? "" : reach <= MIDDLE ? "mid" : "far";
      if (name) props.className = name;
      if (mark) { props["data-v"] = mark[0]; props.style = { "--a": mark[1], "--e": mark[2] }; }
      return window.React.createElement("i", props, text);
    });
    return window.React.createElement("div", { className: "strip", dir: "ltr" }, tokens);
  }

  window.msae_dashboards = Object.assign(window.msae_dashboards || {}, { TokenStrip });
})();
/* Draws the token strips, links to features and figures of a page that no server serves, from their short form and `msae.data`. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});

  /* token_strip.js lays strips out through React in the app; here its one call makes elements at once. */
  window.React = {
    createElement(tag, { key, style, className, ...attributes }, children) {
      const element = document.createElement(tag);
      if (className) element.className = className;
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      for (const [name, value] of Object.entries(style || {})) element.style.setProperty(name, value);
      element.append(...[children].flat());
      return element;
    },
  };

  const rounded = (shade) => Math.round(100 * Math.min(shade, 1)) / 100;
  const shades = (ratio) => [rounded(ratio), rounded(0.05 + 0.95 * Math.log10(1 + 9 * Math.min(ratio, 1)))];

  /* A strip is a word a token: its number in `tokens`, and ":activation" where it fires; token_strip.py has the scales. */
  function drawStrip(strip) {
    const props = { texts: [], ids: [], marks: [], position: Number(strip.dataset.here) };
    strip.dataset.strip.split(" ").forEach((word, place) => {
      const [number, activation] = word.split(":");
      const [text, id] = msae.data.tokens[number];
      props.texts.push(text);
      props.ids.push(id);
      if (activation !== undefined) props.marks.push([place, activation, ...shades(activation / strip.dataset.of)]);
    });
    strip.replaceWith(window.msae_dashboards.TokenStrip(props));
  }

  /* A link to a feature is a number in `links`; one to a page that is not exported is its text. */
  function drawLink(span) {
    const h = window.React.createElement;
    const [latent, level, ...tokens] = msae.data.links[span.dataset.link];
    const own = msae.exported.has(latent) ? `${document.documentElement.dataset.root}feature/${latent}.html` : "";
    const href = span.dataset.to ?? own;
    const said = `level ${level}`;
    const chip = level === null ? [] : [h("span", { className: `chip level-${level % 7}`, title: said, "aria-label": said }, `L${level}`)];
    const name = href ? h("a", { className: "latent", href }, String(latent)) : h("span", { className: "latent" }, String(latent));
    const shown = tokens.map((text) => h("code", { className: "token" }, text));
    span.replaceWith(h("span", { className: "feature-link", "data-latent": latent }, [name, ...chip, h("span", { className: "tokens" }, shown)]));
  }

  function drawFigure(plot) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    const layout = { template: msae.data.template, ...figure.layout };
    window.Plotly.newPlot(plot, figure.data, layout, { displayModeBar: false, responsive: true });
  }

  /* plotly.js lies packed in `msae.plotly`: gzip, base64. */
  async function unpackPlotly() {
    const bytes = Uint8Array.from(atob(msae.plotly), (letter) => letter.charCodeAt(0));
    const script = document.createElement("script");
    script.textContent = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(script);
  }

  msae.draw = async function () {
    msae.exported = new Set(msae.data.latents || []);
    document.querySelectorAll("[data-strip]").forEach(drawStrip);
    document.querySelectorAll("[data-link]").forEach(drawLink);
    const plots = document.querySelectorAll(".plot");
    if (plots.length && !window.Plotly) await unpackPlotly();
    plots.forEach(drawFigure);
  };
})();
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
