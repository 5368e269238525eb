/* The Markup component: markup.py says what its tree is. Links open pages of the app without loading it again. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const h = (...parts) => window.React.createElement(...parts);
  const keys = new WeakMap();
  let last = 0;

  msae.follow = function (event) {
    if (!msae.go || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    event.preventDefault();
    msae.go(event.currentTarget.getAttribute("href"));
  };

  function element(node) {
    if (!Array.isArray(node)) return node;
    const [tag, attributes, ...children] = node;
    if (tag === "TokenStrip") return h(window.msae_dashboards.TokenStrip, attributes);
    if (tag === "Link") return h("a", { ...attributes, onClick: msae.follow }, ...children.map(element));
    return h(tag || window.React.Fragment, tag ? attributes : null, ...children.map(element));
  }

  /* Another tree is another page: nothing that a reader opened in the last one stays open. */
  function Markup({ tree }) {
    if (!keys.has(tree)) keys.set(tree, (last += 1));
    return h(window.React.Fragment, { key: keys.get(tree) }, element(tree));
  }

  window.msae_dashboards = Object.assign(window.msae_dashboards || {}, { Markup });
})();
