/* The live prompt: what is chosen, in the page and in the URL. */
(function () {
  "use strict";
  const READ = ["text", "token", "latent", "level"];
  const DEFAULTS = { strength: "0", n: "40", temperature: "0" };

  function pick(changed) {
    const field = document.getElementById("prompt-text");
    const state = new URLSearchParams(location.search);
    const held = {};
    for (const key of ["token", "latent"]) if (state.has(key)) held[key] = state.get(key);
    window.dash_clientside.set_props("prompt-pick", { data: { ...held, text: field.value, ...changed } });
  }

  document.addEventListener("click", (event) => {
    const at = (selector) => event.target.closest && event.target.closest(selector);
    const token = at(".pick .strip i"), latent = at("button.pick-latent"), step = at("button.way[data-token]");
    if (token) pick({ token: String([...token.parentElement.children].indexOf(token)) });
    else if (step) pick({ token: step.dataset.token });
    else if (latent) pick({ latent: latent.getAttribute("aria-pressed") === "true" && new URLSearchParams(location.search).has("latent") ? "" : latent.dataset.latent });
  });

  function only(query, keys) {
    return Object.fromEntries(Object.entries(query).filter(([key, value]) => keys.includes(key) && value !== ""));
  }

  const same = (one, two) => JSON.stringify(Object.entries(one || {}).sort()) === JSON.stringify(Object.entries(two || {}).sort());

  const dash = (window.dash_clientside = window.dash_clientside || {});
  dash.msae = Object.assign(dash.msae || {}, {
    prompt(text, levels, strength, n, temperature, picked, read, steer) {
      if (location.pathname !== "/prompt") return [dash.no_update, dash.no_update];
      const query = { text: text || "", level: [...(levels || [])].sort().join(","), latent: picked.latent || "" };
      if (picked.text === text) query.token = picked.token || "";
      for (const [key, value] of Object.entries({ strength, n, temperature })) {
        if (value != null && String(value) !== DEFAULTS[key]) query[key] = String(value);
      }
      const all = only(query, Object.keys(query)), ofText = only(all, READ);
      const search = new URLSearchParams(all).toString();
      history.replaceState(history.state, "", search ? `/prompt?${search}` : "/prompt");
      return [same(ofText, read) ? dash.no_update : ofText, same(all, steer) ? dash.no_update : all];
    },
  });
})();
