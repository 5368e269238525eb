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
