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
