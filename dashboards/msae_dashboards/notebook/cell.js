/* A notebook's cell: takes the notebook's light or dark, and grows to its height. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});

  function outside(read) { try { return read(window.parent.document); } catch { return null; } }

  function scheme() {
    const light = outside((page) => page.body.dataset.jpThemeLight);
    const dark = light === "false" || outside((page) => page.body.classList.contains("vscode-dark"));
    if (light || dark) document.documentElement.dataset.scheme = dark ? "dark" : "light";
  }

  function grow() {
    const frame = (() => { try { return window.frameElement; } catch { return null; } })();
    if (frame) frame.style.height = `${document.querySelector("main").offsetHeight + 4}px`;
  }

  msae.inCell = function () {
    scheme();
    new ResizeObserver(grow).observe(document.querySelector("main"));
    grow();
  };
})();
