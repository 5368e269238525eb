/* A notebook's cell: takes the notebook's light or dark, unpacks plotly.js, draws, and grows to its height. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});

  function outside(read) { try { return read(window.parent.document); } catch { return null; } }

  function scheme() {
    const light = outside((page) => page.body.dataset.jpThemeLight);
    const dark = light === "false" || outside((page) => page.body.classList.contains("vscode-dark"));
    if (light || dark) document.documentElement.dataset.mantineColorScheme = dark ? "dark" : "light";
  }

  function grow() {
    const frame = (() => { try { return window.frameElement; } catch { return null; } })();
    if (frame) frame.style.height = `${document.querySelector("main").offsetHeight + 4}px`;
  }

  async function unpacked(packed) {
    const bytes = Uint8Array.from(atob(packed), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  msae.inCell = async function (packed) {
    scheme();
    const script = document.createElement("script");
    script.textContent = await unpacked(packed);
    document.head.append(script);
    msae.draw();
    new ResizeObserver(grow).observe(document.querySelector("main"));
    grow();
  };
})();
