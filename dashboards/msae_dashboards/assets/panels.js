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
