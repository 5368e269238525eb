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
