/* The app's keys, search and ways between pages. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});

  msae.go = function (href) {
    history.pushState({}, "", href);
    window.dispatchEvent(new CustomEvent("_dashprivate_pushstate"));
    window.scrollTo(0, 0);
  };

  function search(text) {
    const words = text.trim();
    if (/^\d{1,9}$/.test(words)) msae.go(`/feature/${words}`);
    else if (words) msae.go(`/features?${new URLSearchParams({ q: words })}`);
  }

  const typing = (element) => element.closest("input, textarea, select, [contenteditable], .ag-root, [role=slider], .mantine-Modal-content");

  document.addEventListener("keydown", (event) => {
    const field = document.getElementById("search");
    if (event.target === field) {
      if (event.key === "Enter") { search(field.value); field.blur(); }
      if (event.key === "Escape") field.blur();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
    if (event.key === "/") { event.preventDefault(); field.focus(); field.select(); }
    else if (event.key === "?") document.getElementById("help-button").click();
    else if (event.key === "ArrowLeft") document.querySelector(".way.previous:not(.off)")?.click();
    else if (event.key === "ArrowRight") document.querySelector(".way.next:not(.off)")?.click();
  });

  document.addEventListener("click", (event) => {
    const anywhere = event.target.closest && event.target.closest("button[data-random]");
    if (anywhere) {
      const [first, last] = anywhere.dataset.random.split("-").map(Number);
      msae.go(`/feature/${first + Math.floor(Math.random() * (last - first + 1))}${anywhere.dataset.query}`);
    }
  });

  function mark() {
    const name = location.pathname.split("/")[1] || "overview";
    for (const link of document.querySelectorAll(".nav-link")) {
      if (link.classList.contains(`nav-${name}`)) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }
  new MutationObserver(mark).observe(document.body, { childList: true, subtree: true });

  const dash = (window.dash_clientside = window.dash_clientside || {});
  dash.msae = Object.assign(dash.msae || {}, { toggle: (clicks, opened) => !opened });
})();
