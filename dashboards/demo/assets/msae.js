/* What panels do wherever they are: context and colour scale of token strips, kept in the URL and for the next page. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const SETTINGS = { context: ["16", "5", "full"], theme: ["orange", "emerald"] };
  const root = document.documentElement;

  msae.kept = {
    read(name) { try { return localStorage.getItem(`msae-${name}`); } catch { return null; } },
    write(name, value) { try { localStorage.setItem(`msae-${name}`, value); } catch { /* a browser that keeps nothing */ } },
  };

  function chosen(name) {
    const known = (value) => (SETTINGS[name].includes(value) ? value : null);
    return known(new URLSearchParams(location.search).get(name)) || known(msae.kept.read(name)) || SETTINGS[name][0];
  }

  msae.pressed = function () {
    for (const button of document.querySelectorAll("button[data-set]")) {
      button.setAttribute("aria-pressed", String(root.dataset[button.dataset.set] === button.dataset.value));
    }
  };

  function choose(name, value) {
    root.dataset[name] = value;
    msae.kept.write(name, value);
    const query = new URLSearchParams(location.search);
    query.set(name, value);
    try { history.replaceState(history.state, "", `${location.pathname}?${query}${location.hash}`); } catch { /* a page from disk */ }
    msae.pressed();
  }

  for (const name of Object.keys(SETTINGS)) root.dataset[name] = chosen(name);
  document.addEventListener("click", (event) => {
    const button = event.target.closest?.("button[data-set]");
    if (button) choose(button.dataset.set, button.dataset.value);
  });
  document.addEventListener("DOMContentLoaded", msae.pressed);
})();
/* A text at every level: which level's gains colour the tokens, kept in the URL. */
(function () {
  "use strict";
  function colour(nest, level) {
    const full = Number(nest.dataset.full);
    for (const word of nest.querySelectorAll("[data-gains]")) {
      const gain = JSON.parse(word.dataset.gains)[level] || 0;
      word.style.setProperty("--g", Math.min(Math.abs(gain) / full, 1).toFixed(2));
      word.classList.toggle("loses", gain < 0);
    }
    const slider = nest.querySelector(".nest-level");
    slider.value = level;
    slider.nextElementSibling.value = `L${level}`;
  }

  document.addEventListener("input", (event) => {
    const slider = event.target.closest?.(".nest-level");
    if (!slider) return;
    colour(slider.closest(".nest"), Number(slider.value));
    const query = new URLSearchParams(location.search);
    query.set("level", slider.value);
    if (!slider.closest(".nest-text")) return;  // the live prompt's URL has levels of its own
    try { history.replaceState(history.state, "", `${location.pathname}?${query}${location.hash}`); } catch { /* a page from disk */ }
  });
})();
/* Figures: drawn with plotly.js, which is fetched where there is one to draw; in an export it lies packed. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  let loading = null;

  function fetched() {
    const { root, plotly } = document.documentElement.dataset;
    return new Promise((resolve, reject) => {
      const script = document.createElement("script");
      Object.assign(script, { src: root + plotly, onload: resolve, onerror: reject });
      document.head.append(script);
    });
  }

  msae.unpacked = async function (text) {
    const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  async function library() {
    if (!msae.plotly && !window.Plotly) await fetched();
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = await msae.unpacked(msae.plotly);
    document.head.append(script);
  }

  /* Draws what is not drawn yet. */
  msae.drawFigures = async function () {
    const plots = [...document.querySelectorAll(".plot:not([data-drawn])")];
    if (!plots.length) return;
    await (loading = loading || library());
    for (const plot of plots) {
      if (plot.dataset.drawn || !plot.isConnected) continue;
      plot.dataset.drawn = "true";
      const { data, layout } = JSON.parse(plot.querySelector("script").textContent);
      window.Plotly.newPlot(plot, data, { template: msae.template, ...layout }, { displayModeBar: false, responsive: true });
    }
  };
  document.addEventListener("DOMContentLoaded", msae.drawFigures);
})();
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
msae.template = {"layout":{"colorway":["#0072B2","#D55E00","#009E73","#CC79A7","#56B4E9","#E69F00","#000000"],"font":{"color":"#1f2933","family":"Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif","size":14},"hoverlabel":{"bgcolor":"white","bordercolor":"#e4e7eb","font":{"family":"Inter, 'Segoe UI', 'Helvetica Neue', Arial, sans-serif","size":13}},"legend":{"font":{"size":13},"orientation":"h","x":0,"y":-0.2,"yanchor":"top"},"margin":{"b":70,"l":70,"r":40,"t":110},"paper_bgcolor":"white","plot_bgcolor":"white","title":{"font":{"size":19},"x":0.01,"xanchor":"left"},"xaxis":{"automargin":true,"gridcolor":"#e4e7eb","linecolor":"#52606d","showline":true,"tickcolor":"#52606d","tickfont":{"color":"#52606d","size":12.5},"ticklen":4,"ticks":"outside","title":{"font":{"color":"#1f2933","size":14},"standoff":10},"zeroline":false},"yaxis":{"automargin":true,"gridcolor":"#e4e7eb","linecolor":"#52606d","showline":true,"tickcolor":"#52606d","tickfont":{"color":"#52606d","size":12.5},"ticklen":4,"ticks":"outside","title":{"font":{"color":"#1f2933","size":14},"standoff":10},"zeroline":false}}};
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
/* A file that holds all states of a page, packed: the one that the address names is shown. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const titled = document.title;
  let sections = null;

  function show() {
    const named = decodeURIComponent(location.hash.slice(1));
    const [title, html] = sections[named] || Object.values(sections)[0];
    document.title = titled.replace(/^[^·]*/, `${title} `);
    const page = document.getElementById("page");
    page.innerHTML = html;
    window.scrollTo(0, 0);
    msae.pressed();
    msae.drawFigures();
  }

  addEventListener("hashchange", () => sections && show());
  document.addEventListener("DOMContentLoaded", async () => {
    const packed = document.getElementById("sections");
    if (!packed) return;
    sections = JSON.parse(await msae.unpacked(packed.textContent));
    show();
  });
})();
