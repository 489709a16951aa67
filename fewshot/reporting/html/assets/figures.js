// The two figures. All they show is drawn from one state, so that checkboxes, legend and options
// cannot disagree.
(() => {
  "use strict";

  const data = JSON.parse(document.getElementById("figure-data").textContent);
  const byId = (id) => document.getElementById(id);
  const hidden = new Set();
  const wide = matchMedia("(min-width: 60rem)");
  const SYMBOLS = ["circle", "square", "diamond", "triangle-up", "cross", "triangle-down", "star"];
  const UNITS = {
    train_s: [[300, 1, "seconds"], [18000, 60, "minutes"], [Infinity, 3600, "hours"]],
    images: [[1e5, 1, "images"], [Infinity, 1000, "thousand images"]],
    adapt_ms: [[Infinity, 1, "ms"]],
  };
  const AXES = {
    train_s: "training time",
    images: "images seen in training",
    adapt_ms: "time to adapt and predict one test episode",
  };

  // plotly reads tags, entities and %{templates} in its texts; escaped, a name stays as it was
  // written.
  const ENTITIES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "{": "&#123;" };
  const escaped = (text) => text.replace(/[&<>{]/g, (character) => ENTITIES[character]);
  const colour = (name) =>
    getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  const label = (row, lines) =>
    [`<b>${escaped(data.rows[row].name)}</b>`, ...lines.map(escaped)].join("<br>");
  const marker = (row, size) => ({
    color: colour(`series-${data.rows[row].colour}`),
    symbol: SYMBOLS[data.rows[row].symbol],
    size,
  });

  // The unit in which the largest of these values reads well.
  function unitOf(kind, values) {
    const largest = Math.max(...values, 0);
    const [, factor, name] = UNITS[kind].find(([limit]) => largest < limit);
    return { factor, title: `${AXES[kind]} (${name})` };
  }

  function axis(title, more) {
    return {
      title: { text: title, standoff: 10 },
      gridcolor: colour("grid"),
      linecolor: colour("line"),
      zeroline: false,
      automargin: true,
      ...more,
    };
  }

  function costAxis(kind, values, log) {
    const { factor, title } = unitOf(kind, values);
    const more = log && values.length ? logTicks(values.map((value) => value / factor)) : { rangemode: "tozero" };
    return { factor, axis: axis(title, more) };
  }

  // 1, 2 and 5 of each power of ten, or the powers alone where there are many.
  function logTicks(values) {
    const [low, high] = [Math.min(...values), Math.max(...values)].map(Math.log10);
    const steps = high - low > 3 ? [1] : [1, 2, 5];
    const tickvals = [];
    for (let power = Math.floor(low) - 1; power <= high + 1; power += 1) {
      tickvals.push(...steps.map((step) => Number(`${step}e${power}`)));
    }
    return { type: "log", tickvals, ticktext: tickvals.map((value) => value.toLocaleString("en")) };
  }

  function layout(x, yTitle, revision) {
    return {
      xaxis: x,
      yaxis: axis(yTitle),
      uirevision: revision,
      showlegend: wide.matches,
      legend: { itemsizing: "constant", font: { size: 12 } },
      hovermode: "closest",
      hoverlabel: {
        bgcolor: colour("raised"),
        bordercolor: colour("line"),
        font: { color: colour("text"), size: 13 },
        align: "left",
        namelength: -1,
      },
      font: { family: "system-ui, sans-serif", size: 13, color: colour("text") },
      paper_bgcolor: "rgba(0,0,0,0)",
      plot_bgcolor: "rgba(0,0,0,0)",
      modebar: { bgcolor: "rgba(0,0,0,0)", color: colour("quiet"), activecolor: colour("text") },
      margin: { l: 56, r: 16, t: 36, b: 56 },
    };
  }

  const CONFIG = {
    responsive: true,
    displaylogo: false,
    modeBarButtons: [["toImage", "zoom2d", "pan2d", "resetScale2d"]],
    toImageButtonOptions: { filename: "fewshot" },
  };

  const shown = (rows) => (rows.some((row) => !hidden.has(row)) ? true : "legendonly");

  function pointTrace(point, kind, factor) {
    return {
      x: [point.costs[kind] / factor],
      y: [point.accuracy],
      error_y: { type: "data", array: [point.ci95 ?? 0], thickness: 1.2, width: 4 },
      mode: "markers",
      marker: marker(point.row, 11),
      name: escaped(data.rows[point.row].name),
      hovertext: [label(point.row, point.words)],
      hoverinfo: "text",
      visible: shown([point.row]),
      meta: { row: point.row },
    };
  }

  // A row without that cost, such as one that is not trained: a level, not a point.
  function levelTrace(point, ends) {
    return {
      x: ends,
      y: ends.map(() => point.accuracy),
      mode: "lines+markers",
      line: { dash: "dot", width: 1.5, color: marker(point.row).color },
      marker: marker(point.row, 7),
      name: escaped(data.rows[point.row].name),
      hovertext: ends.map(() => label(point.row, point.words)),
      hoverinfo: "text",
      visible: shown([point.row]),
      meta: { row: point.row },
    };
  }

  // Those that are more accurate than all that cost less, cheapest first.
  function front(points, kind) {
    const sorted = points
      .filter((point) => point.leads[kind] && !hidden.has(point.row))
      .sort((a, b) => a.costs[kind] - b.costs[kind] || b.accuracy - a.accuracy);
    return sorted.filter((point, i) => sorted.slice(0, i).every((p) => p.accuracy < point.accuracy));
  }

  function frontTrace(points, kind, factor) {
    const leading = front(points, kind);
    return {
      x: leading.map((point) => point.costs[kind] / factor),
      y: leading.map((point) => point.accuracy),
      mode: "lines",
      line: { shape: "hv", width: 2, color: colour("front") },
      name: "Pareto front",
      hoverinfo: "skip",
    };
  }

  function drawCost() {
    const [column, kind] = [byId("cost-column").value, byId("cost-kind").value];
    const log = byId("cost-log").checked;
    const all = data.points.filter((point) => point.column === column);
    const paid = all.filter((point) => point.costs[kind] > 0);
    const free = all.filter((point) => !(point.costs[kind] > 0));
    const costs = paid.map((point) => point.costs[kind]);
    const x = costAxis(kind, costs, log);
    const ends = costs.length ? [Math.min(...costs), Math.max(...costs)] : [1, 10];
    const traces = [
      frontTrace(paid, kind, x.factor),
      ...all.map((point) =>
        free.includes(point)
          ? levelTrace(point, ends.map((end) => end / x.factor))
          : pointTrace(point, kind, x.factor),
      ),
    ];
    const look = layout(x.axis, escaped(`accuracy on ${column} (%)`), `${column} ${kind} ${log}`);
    return Plotly.react(byId("cost-figure"), traces, look, CONFIG);
  }

  function curveTrace(curve, over, factor, first) {
    const [row] = curve.rows;
    return {
      x: curve[over].map((value) => value / factor),
      y: curve.accuracy,
      mode: "lines+markers",
      line: { width: 1.8, color: marker(row).color },
      marker: marker(row, 8),
      name: escaped(curve.rows.map((each) => data.rows[each].name).join(", ")),
      legendgroup: String(row),
      showlegend: first,
      hovertext: curve.accuracy.map((accuracy, i) =>
        label(row, [
          `${accuracy.toFixed(2)} % on validation classes`,
          `after ${curve.train_s[i].toFixed(0)} s and ${curve.images[i].toLocaleString("en")} images`,
          ...curve.words,
        ]),
      ),
      hoverinfo: "text",
      visible: shown(curve.rows),
      meta: { row },
    };
  }

  function drawCurves() {
    if (!byId("curve-figure")) return undefined;
    const [dataset, over] = [byId("curve-dataset").value, byId("curve-over").value];
    const log = byId("curve-log").checked;
    const curves = data.curves.filter((curve) => curve.dataset === dataset);
    const x = costAxis(over, curves.flatMap((curve) => curve[over]), log);
    const named = new Set();
    const traces = curves.map((curve) => {
      const first = !named.has(curve.rows[0]);
      named.add(curve.rows[0]);
      return curveTrace(curve, over, x.factor, first);
    });
    const title = escaped(`validation accuracy on ${dataset} (%)`);
    const look = layout(x.axis, title, `${dataset} ${over} ${log}`);
    return Plotly.react(byId("curve-figure"), traces, look, CONFIG);
  }

  const boxes = [...document.querySelectorAll("input[data-row]")];
  const rowOf = (box) => Number(box.dataset.row);

  function draw() {
    return Promise.all([drawCost(), drawCurves()]);
  }

  function hide(isHidden) {
    for (const box of boxes) {
      box.checked = !isHidden(rowOf(box));
      box.checked ? hidden.delete(rowOf(box)) : hidden.add(rowOf(box));
    }
    draw();
  }

  // plotly would hide its own traces; the state does, and the checkboxes follow. A double click
  // leaves one row, or brings all back.
  function followLegend(figure) {
    const rowAt = (event) => event.data[event.curveNumber].meta?.row;
    figure.on("plotly_legendclick", (event) => {
      const row = rowAt(event);
      if (row !== undefined) hide((each) => (each === row ? !hidden.has(row) : hidden.has(each)));
      return false;
    });
    figure.on("plotly_legenddoubleclick", (event) => {
      const row = rowAt(event);
      const alone = hidden.size === boxes.length - 1 && !hidden.has(row);
      if (row !== undefined) hide((each) => !alone && each !== row);
      return false;
    });
  }

  for (const box of boxes) {
    box.addEventListener("change", () => hide((row) => !boxes.find((b) => rowOf(b) === row).checked));
  }
  byId("show-all").addEventListener("click", () => hide(() => false));
  byId("show-none").addEventListener("click", () => hide(() => true));
  for (const id of ["cost-options", "curve-options"]) {
    byId(id)?.addEventListener("change", draw);
    byId(id)?.addEventListener("submit", (event) => event.preventDefault());
  }
  document.addEventListener("themechange", draw);
  wide.addEventListener("change", draw);
  hide((row) => !boxes.find((b) => rowOf(b) === row).checked); // a browser may have kept them
  draw().then(() => ["cost-figure", "curve-figure"].map(byId).filter(Boolean).forEach(followLegend));
})();
