/* The TokenStrip component: token_strip.py says what its props are, and lays the same out as HTML. */
(function () {
  "use strict";
  const NEAR = 5, MIDDLE = 16;

  function TokenStrip({ texts, ids, marks, position }) {
    const marked = new Map(marks.map(([place, ...rest]) => [place, rest]));
    const tokens = texts.map((text, place) => {
      const reach = Math.abs(place - position);
      const mark = marked.get(place);
      const props = { key: place, "data-t": ids[place] };
      const name = reach === 0 ? "here" : reach <= NEAR ? "" : reach <= MIDDLE ? "mid" : "far";
      if (name) props.className = name;
      if (mark) { props["data-v"] = mark[0]; props.style = { "--a": mark[1], "--e": mark[2] }; }
      return window.React.createElement("i", props, text);
    });
    return window.React.createElement("div", { className: "strip", dir: "ltr" }, tokens);
  }

  window.msae_dashboards = Object.assign(window.msae_dashboards || {}, { TokenStrip });
})();
