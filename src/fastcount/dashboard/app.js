"use strict";
(() => {
  const EVERY = 1000; // ms between two looks
  const KEEP = 300; // points of the chart
  const TOP = 15;
  const SOURCES = 50;

  const element = (id) => document.getElementById(id);
  const whole = new Intl.NumberFormat("en");
  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
  const text = (id, value) => { element(id).textContent = value; };
  const bytes = (n) => {
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let unit = 0;
    while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
    return `${n.toFixed(unit && n < 100 ? 1 : 0)} ${units[unit]}`;
  };

  // Totals are signed 64-bit: JSON.parse would round them, so long numbers are kept as text where the browser can.
  const parse = (source) => JSON.parse(source, (key, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && context && /^-?\d+$/.test(context.source) ? BigInt(context.source) : value);

  async function load(path, question) {
    const answer = await fetch(path, {
      headers: { accept: "application/json", ...question && { "content-type": "application/json" } },
      cache: "no-store",
      ...question && { method: "POST", body: JSON.stringify(question) },
    });
    const body = parse(await answer.text());
    if (!answer.ok) throw new Error(body.message);
    return body;
  }

  function cell(content, kind) {
    const td = document.createElement("td");
    if (content instanceof Node) td.append(content); else td.textContent = content;
    if (kind) td.className = kind;
    return td;
  }

  function rows(body, empty, list) {
    element(body).replaceChildren(...list);
    element(empty).hidden = list.length > 0;
  }

  // ---- chart

  const series = [[], []];
  let chart = null;

  function style(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }

  function draw() {
    const box = element("chart");
    if (chart) chart.destroy();
    const axis = { stroke: style("--dim"), grid: { stroke: style("--line"), width: 1 }, ticks: { show: false } };
    chart = new uPlot({
      width: box.clientWidth,
      height: box.clientHeight - 30,
      scales: { x: { range: (_, low, high) => [Math.min(low ?? 0, (high ?? 0) - 60), high ?? 0] }, y: { range: (_, low, high) => [0, Math.max(1, high * 1.1)] } },
      axes: [{ ...axis, incrs: [5, 10, 15, 30, 60, 120, 300] }, { ...axis, size: 60, values: (_, ticks) => ticks.map((tick) => short.format(tick)) }],
      series: [{}, { label: "records/s", stroke: style("--accent"), fill: style("--bar"), width: 2, value: (_, v) => v == null ? "–" : whole.format(Math.round(v)) }],
    }, series, box);
  }

  new ResizeObserver(() => chart && chart.setSize({ width: element("chart").clientWidth, height: element("chart").clientHeight - 30 })).observe(element("chart"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", draw);

  // ---- figures

  let before = null;

  function showStats({ store, uptime_s: uptime, version }) {
    text("status", `up ${duration(uptime)} · version ${version}`);
    element("status").className = "";
    const now = { at: uptime, records: Number(store.records) };
    if (before && now.at > before.at && now.records >= before.records) {
      const rate = (now.records - before.records) / (now.at - before.at);
      series[0].push(Date.now() / 1000);
      series[1].push(rate);
      for (const column of series) if (column.length > KEEP) column.shift();
      text("rate", short.format(rate));
      chart.setData(series);
    }
    before = now;
    text("records", `${whole.format(store.records)} in all`);
    text("counters", whole.format(store.counters));
    text("counters-of", `of ${short.format(store.max_counters)} allowed`);
    text("memory", bytes(Number(store.memory_bytes)));
    text("memory-of", `of ${bytes(Number(store.max_memory))} allowed`);
    const lost = store.sources.lost;
    text("lost", whole.format(lost));
    element("lost").classList.toggle("bad", lost > 0);
    const refused = Object.values(store.refused).reduce((sum, n) => sum + Number(n), 0);
    text("lost-of", `${whole.format(refused)} refused by limits`);
    showTypes(Object.keys(store.types));
  }

  function duration(seconds) {
    const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
    const first = parts.findIndex(([, size]) => seconds >= size);
    if (first < 0) return "0 s";
    return parts.slice(first, first + 2).map(([unit, size], i) => {
      const n = Math.floor(i ? (seconds % parts[first][1]) / size : seconds / size);
      return `${n} ${unit}`;
    }).join(" ");
  }

  function showTypes(types) {
    const select = element("type");
    const known = select.disabled ? [] : [...select.options].map((option) => option.value);
    if (types.length === 0 || (types.length === known.length && types.every((name, i) => name === known[i]))) return;
    const chosen = select.disabled ? types[0] : select.value;
    select.replaceChildren(...types.map((name) => new Option(name, name, false, name === chosen)));
    select.disabled = false;
  }

  async function showTop() {
    const select = element("type");
    if (select.disabled) return;
    const by = element("by");
    const { type, by: ranked, top } = await load(`/v1/top/${encodeURIComponent(select.value)}?k=${TOP}&by=${by.value}`);
    const names = top.map(({ id }) => ({ type, id }));
    const { counters } = names.length ? await load("/v1/counters:read", { counters: names, unique: true }) : { counters: [] };
    if (type !== select.value || ranked !== by.value) return; // another one was chosen meanwhile
    const largest = Math.max(1, ...counters.map((row) => Number(row[ranked])));
    rows("top", "top-empty", counters.map(({ id, value, unique, error }) => {
      const tr = document.createElement("tr");
      const name = cell(id);
      const bar = document.createElement("meter");
      bar.max = largest;
      bar.value = Math.max(0, Number(ranked === "unique" ? unique : value));
      bar.setAttribute("aria-hidden", "true");
      name.append(bar);
      tr.append(name, cell(whole.format(value), "number"), cell(`${error ? "≈ " : ""}${whole.format(unique)}`, "number"));
      return tr;
    }));
  }

  async function showSources() {
    const { sources } = await load(`/v1/sources?limit=${SOURCES}`);
    rows("sources", "sources-empty", sources.map((row) => {
      const tr = document.createElement("tr");
      const repeated = Number(row.duplicate_records) + Number(row.stale_records);
      tr.append(
        cell(row.source ?? "–"),
        cell(row.address),
        cell(row.source === null ? "–" : whole.format(row.sent), "number"),
        cell(whole.format(row.records), "number"),
        cell(whole.format(row.lost), row.lost > 0 ? "number bad" : "number"),
        cell(whole.format(repeated), "number"),
        cell(whole.format(row.malformed), row.malformed > 0 ? "number bad" : "number"),
        cell(row.source === null ? "none" : row.settled ? "closed" : "open"),
      );
      return tr;
    }));
  }

  async function look() {
    try {
      showStats(await load("/v1/stats"));
      await Promise.all([showTop(), showSources()]);
    } catch (error) {
      text("status", `no answer from the server: ${error.message}`);
      element("status").className = "bad";
    }
    setTimeout(look, document.hidden ? 5 * EVERY : EVERY);
  }

  for (const id of ["type", "by"]) element(id).addEventListener("change", () => showTop().catch(() => {}));
  draw();
  look();
})();
