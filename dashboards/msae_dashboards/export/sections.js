/* A file that holds all states of a page, packed: the one that the address names is shown. */
(function () {
  "use strict";
  const msae = (window.msae = window.msae || {});
  const titled = document.title;
  let sections = null;

  function show() {
    const named = decodeURIComponent(location.hash.slice(1));
    const [title, html] = sections[named] || Object.values(sections)[0];
    document.title = titled.replace(/^[^·]*/, `${title} `);
    const page = document.getElementById("page");
    page.innerHTML = html;
    window.scrollTo(0, 0);
    msae.pressed();
    msae.drawFigures();
  }

  addEventListener("hashchange", () => sections && show());
  document.addEventListener("DOMContentLoaded", async () => {
    const packed = document.getElementById("sections");
    if (!packed) return;
    sections = JSON.parse(await msae.unpacked(packed.textContent));
    show();
  });
})();
