/* Draws the token strips, links to features and figures of a page that no server serves, from their short form and `msae.data`. */
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

  const rounded = (shade) => Math.round(100 * Math.min(shade, 1)) / 100;
  const shades = (ratio) => [rounded(ratio), rounded(0.05 + 0.95 * Math.log10(1 + 9 * Math.min(ratio, 1)))];

  /* A strip is a word a token: its number in `tokens`, and ":activation" where it fires; token_strip.py has the scales. */
  function drawStrip(strip) {
    const props = { texts: [], ids: [], marks: [], position: Number(strip.dataset.here) };
    strip.dataset.strip.split(" ").forEach((word, place) => {
      const [number, activation] = word.split(":");
      const [text, id] = msae.data.tokens[number];
      props.texts.push(text);
      props.ids.push(id);
      if (activation !== undefined) props.marks.push([place, activation, ...shades(activation / strip.dataset.of)]);
    });
    strip.replaceWith(window.msae_dashboards.TokenStrip(props));
  }

  /* A link to a feature is a number in `links`; one to a page that is not exported is its text. */
  function drawLink(span) {
    const h = window.React.createElement;
    const [latent, level, ...tokens] = msae.data.links[span.dataset.link];
    const own = msae.exported.has(latent) ? `${document.documentElement.dataset.root}feature/${latent}.html` : "";
    const href = span.dataset.to ?? own;
    const said = `level ${level}`;
    const chip = level === null ? [] : [h("span", { className: `chip level-${level % 7}`, title: said, "aria-label": said }, `L${level}`)];
    const name = href ? h("a", { className: "latent", href }, String(latent)) : h("span", { className: "latent" }, String(latent));
    const shown = tokens.map((text) => h("code", { className: "token" }, text));
    span.replaceWith(h("span", { className: "feature-link", "data-latent": latent }, [name, ...chip, h("span", { className: "tokens" }, shown)]));
  }

  function drawFigure(plot) {
    const figure = JSON.parse(plot.querySelector("script").textContent);
    const layout = { template: msae.data.template, ...figure.layout };
    window.Plotly.newPlot(plot, figure.data, layout, { displayModeBar: false, responsive: true });
  }

  /* plotly.js lies packed in `msae.plotly`: gzip, base64. */
  async function unpackPlotly() {
    const bytes = Uint8Array.from(atob(msae.plotly), (letter) => letter.charCodeAt(0));
    const script = document.createElement("script");
    script.textContent = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
    document.head.append(script);
  }

  msae.draw = async function () {
    msae.exported = new Set(msae.data.latents || []);
    document.querySelectorAll("[data-strip]").forEach(drawStrip);
    document.querySelectorAll("[data-link]").forEach(drawLink);
    const plots = document.querySelectorAll(".plot");
    if (plots.length && !window.Plotly) await unpackPlotly();
    plots.forEach(drawFigure);
  };
})();
