/* The Markup component: markup.py says what it holds. Links open pages of the app without loading it again. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const keys = new WeakMap();
  let last = 0;

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("#page a[href^='/']");
    if (!link || !msae.go || event.defaultPrevented) return;
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.button) return;
    event.preventDefault();
    msae.go(link.getAttribute("href"));
  });

  /* Other props are another page: nothing that a reader opened in the last one stays open. */
  function Markup({ tag, attributes, html }) {
    if (!keys.has(attributes)) keys.set(attributes, (last += 1));
    return window.React.createElement(tag, { ...attributes, key: keys.get(attributes), dangerouslySetInnerHTML: { __html: html } });
  }

  window.msae_dashboards = Object.assign(window.msae_dashboards || {}, { Markup });
})();
