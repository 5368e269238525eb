/* The live prompt: its state is in the URL; what the state leads to is asked of the server and put into the page's places. */
(function () {
  "use strict";
  const DEFAULTS = { strength: "0", n: "40", temperature: "0" }, OF_TEXT = ["text", "token", "latent", "level"];
  const TYPING = 300, AGAIN = 250;
  let picked = {};

  const place = (id) => document.getElementById(id);
  const main = () => place("page");

  function state() {
    const query = {};
    for (const form of main().querySelectorAll("form")) {
      for (const [name, value] of new FormData(form)) {
        const text = name === "text" ? value.replace(/\r\n/g, "\n") : value;
        if (text !== "" && text !== DEFAULTS[name]) query[name] = name in query ? `${query[name]},${text}` : text;
      }
    }
    if (picked.latent) query.latent = picked.latent;
    if (picked.token && picked.text === (query.text || "")) query.token = picked.token;
    return query;
  }

  function put(parts) {
    for (const [id, html] of Object.entries(parts)) {
      const target = place(id);
      if (!target || target.dataset.shown === html) continue;
      const focused = target.contains(document.activeElement) ? document.activeElement : null;
      const again = focused?.dataset.latent ? `button.pick-latent[data-latent="${focused.dataset.latent}"]` : focused?.classList.contains("pick") ? ".pick" : null;
      const scrolled = target.querySelector(".pick .strip")?.scrollTop || 0;
      target.innerHTML = html;
      target.dataset.shown = html;
      const strip = target.querySelector(".pick .strip");
      if (strip) strip.scrollTop = scrolled;
      if (again) target.querySelector(again)?.focus();
    }
  }

  async function ask(what, query) {
    const answer = await fetch(`prompt/${what}`, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(query) });
    if (!answer.ok) throw new Error(answer.statusText);
    return answer.json();
  }

  /* One request at a time; when it is answered, the state as it is by then. */
  function asker(what, keys, after, rest = () => {}) {
    let last = null, busy = false;
    return async function go(force) {
      const query = Object.fromEntries(Object.entries(state()).filter(([key]) => !keys || keys.includes(key)));
      const text = JSON.stringify(Object.entries(query).sort());
      if (busy) return;
      if (!force && text === last) { rest(); return; }
      busy = true;
      last = text;
      try { after(await ask(what, query)); } catch { last = null; window.msae.lookForServer?.(); }
      busy = false;
      if (last !== null) await go(false);
    };
  }

  const read = asker("read", OF_TEXT, put, () => stale(false));
  const levels = asker("nest", ["text"], put);
  let waiting = null;
  const write = asker("write", null, ({ finished, ...parts }) => {
    put(parts);
    clearTimeout(waiting);
    if (!finished) waiting = setTimeout(() => write(true), AGAIN);
  });

  function stale(is) {
    for (const id of ["prompt-left", "prompt-right"]) {
      place(id).classList.toggle("stale", is);
      place(id).setAttribute("aria-busy", String(is));
    }
  }

  function changed() {
    const search = new URLSearchParams(state()).toString();
    history.replaceState(history.state, "", search ? `?${search}` : location.pathname);
    read(false);
    levels(false);
    write(false);
  }

  function pick(change) {
    picked = { ...picked, text: state().text || "", ...change };
    changed();
  }

  function clicked(event) {
    const near = (selector) => event.target.closest?.(selector);
    const token = near(".pick .strip i"), latent = near("button.pick-latent"), step = near("button[data-token]");
    if (token) pick({ token: String([...token.closest(".strip").querySelectorAll("i")].indexOf(token)) });
    else if (step) pick({ token: step.dataset.token });
    else if (latent) pick({ latent: latent.getAttribute("aria-pressed") === "true" && picked.latent ? "" : latent.dataset.latent });
  }

  document.addEventListener("DOMContentLoaded", () => {
    const asked = new URLSearchParams(location.search);
    picked = { text: state().text || "", token: asked.get("token") || "", latent: asked.get("latent") || "" };
    let typing = null;
    main().addEventListener("click", clicked);
    main().addEventListener("submit", (event) => event.preventDefault());
    main().addEventListener("input", (event) => {
      if (event.target.name === "text") stale(true);
      clearTimeout(typing);
      typing = setTimeout(changed, event.target.name === "text" ? TYPING : 0);
    });
    document.addEventListener("msae-back", () => { read(true); levels(true); write(true); });
    read(false);
    levels(false);
    write(false);
  });
})();
