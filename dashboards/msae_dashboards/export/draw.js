/* Draws the token strips and figures of a page that no server serves, from their short form and `msae.data`. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});

  /* token_strip.js lays strips out through React in the app; here its one call makes elements at once. */
  window.React = {
    createElement(tag, { key, style, className, ...attributes }, children) {
      const element = document.createElement(tag);
      if (className) element.className = className;
      for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
      for (const [name, value] of Object.entries(style || {})) element.style.setProperty(name, value);
      element.append(...[children].flat());
      return element;
    },
  };

  /* A strip is a word a token: its number in `tokens`, and where it fires ":activation:linear:logarithmic" (percent). */
  function drawStrip(strip) {
    const props = { texts: [], ids: [], marks: [], position: Number(strip.dataset.here) };
    strip.dataset.strip.split(" ").forEach((word, place) => {
      const [number, activation, ...shades] = word.split(":");
      const [text, id] = msae.data.tokens[number];
      props.texts.push(text);
      props.ids.push(id);
      if (activation !== undefined) props.marks.push([place, activation, ...shades.map((shade) => shade / 100)]);
    });
    strip.replaceWith(window.msae_dashboards.TokenStrip(props));
  }

  function drawFigure(plot) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    const layout = { template: msae.data.template, ...figure.layout };
    window.Plotly.newPlot(plot, figure.data, layout, { displayModeBar: false, responsive: true });
  }

  msae.draw = function () {
    document.querySelectorAll("[data-strip]").forEach(drawStrip);
    document.querySelectorAll(".plot").forEach(drawFigure);
  };
})();
