// Curves: quality over rate, a line a codec; what a pointer is near tells its values.
const NINES = [0, 0.5, 0.7, 0.8, 0.9, 0.95, 0.97, 0.98, 0.99, 0.995, 0.998, 0.999, 0.9995, 0.9999];
const SCALES = {
  linear: { to: (v) => v, ticks: linearTicks },
  log: { to: (v) => Math.log10(Math.max(v, 1e-4)), ticks: logTicks },
  nines: { to: (v) => -Math.log10(Math.max(1 - v, 1e-6)), ticks: (a, b) => NINES.filter((v) => v >= a && v <= b) },
};
const MARKERS = ["circle", "square", "triangle", "diamond"];
const SHOWN_AT_FIRST = 16; // published curves; a file may bring many more

const hidden = new Set(); // codecs that the reader turned off
report.published.slice(SHOWN_AT_FIRST).forEach((curve) => hidden.add(curve));
// A codec that was measured here needs no second curve until the reader asks for it.
report.published.filter((curve) => report.codecs.some((codec) => curve.name.startsWith(codec.name)))
  .forEach((curve) => hidden.add(curve));
const buttons = new Map(); // codec -> its button in the legend
let drawn = []; // {x, y, lines}: the points on the chart, in its pixels

function linearTicks(low, high) {
  const rough = (high - low) / 9;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const ticks = [];
  for (let k = Math.ceil(low / step); k * step <= high; k += 1) ticks.push(Number((k * step).toPrecision(6)));
  return ticks;
}

function logTicks(low, high) {
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
    for (const m of [1, 2, 3, 5, 7]) ticks.push(Number((m * 10 ** power).toPrecision(2)));
  }
  const within = ticks.filter((v) => v >= low && v <= high);
  const wide = within.filter((v) => /^[0.]*[125]/.test(String(v)));
  return within.length > 9 && wide.length > 2 ? wide : within;
}

// Curves as {owner, points: [{rate, value, lines}]} by rising rate, for the metric and rate chosen.
function chosenCurves(metric, rate) {
  const measured = report.codecs.map((codec) => ({
    owner: codec,
    points: codec.points
      .filter((p) => p[metric.key] !== null)
      .map((p) => ({
        rate: p[rate],
        value: p[metric.key],
        lines: [
          `${codec.name}, ${codec.unit} ${p.setting}`,
          `${p.bpp.toFixed(3)} bpp, ${p.ratio.toFixed(1)} : 1`,
          `${metric.label} ${p[metric.key].toFixed(metric.digits)}`,
        ],
      })),
  }));
  const published = report.published.map((curve) => ({
    owner: curve,
    points: (curve.curves[metric.key] ?? []).map(([bpp, value]) => ({
      rate: rate === "bpp" ? bpp : 24 / bpp,
      value,
      lines: [`${curve.name} (${curve.source})`, `${bpp.toFixed(3)} bpp`, `${metric.label} ${value.toFixed(metric.digits)}`],
    })),
  }));
  const sorted = (curves) => curves.map((c) => ({ ...c, points: c.points.sort((a, b) => a.rate - b.rate) }));
  return [sorted(measured), sorted(published)];
}

function drawCurves() {
  const svg = byId("curves");
  const metric = report.metrics[byId("metric").selectedIndex];
  const rate = byId("rate").value;
  const width = svg.parentNode.clientWidth;
  const narrow = width < 560;
  const height = narrow ? 340 : 460;
  const frame = { left: 52, right: width - (narrow ? 110 : 150), top: 16, bottom: height - 42 };
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.style.height = `${height}px`;
  svg.replaceChildren();
  drawn = [];
  byId("tip").hidden = true;
  if (metric === undefined) return;

  const [measured, published] = chosenCurves(metric, rate);
  for (const { owner, points } of published) buttons.get(owner).hidden = points.length === 0;
  const visible = (curve) => curve.points.length > 0 && !hidden.has(curve.owner);
  // The measured rates set the limits; without any, those of the published ones do.
  const base = measured.some(visible) ? measured.filter(visible) : published.filter(visible);
  if (base.length === 0) return;
  const rates = base.flatMap((c) => c.points.map((p) => p.rate));
  const [low, high] = [Math.min(...rates) / 1.08, Math.max(...rates) * 1.08];
  const lines = published.filter(visible)
    .map((c) => ({ ...c, points: c.points.filter((p) => p.rate >= low && p.rate <= high) }))
    .filter((c) => c.points.length > 0);
  const curves = [...lines, ...measured.filter(visible).reverse()]; // ours come last, on top
  const scale = SCALES[metric.scale];
  const heights = curves.flatMap((c) => c.points.map((p) => scale.to(p.value)));
  const [bottom, top] = [Math.min(...heights), Math.max(...heights)];
  const pad = (top - bottom || 1) * 0.04;
  const x = (v) => frame.left + ((Math.log(v) - Math.log(low)) / (Math.log(high) - Math.log(low))) * (frame.right - frame.left);
  const y = (v) => frame.bottom - ((scale.to(v) - bottom + pad) / (top - bottom + 2 * pad || 1)) * (frame.bottom - frame.top);

  drawAxes(svg, frame, { x, y, low, high, scale, values: curves.flatMap((c) => c.points.map((p) => p.value)) }, metric, rate);
  for (const { owner, points } of curves) {
    const places = points.map((p) => ({ x: x(p.rate), y: y(p.value), lines: p.lines }));
    drawn.push(...places);
    svg.append(...curve(owner, places));
  }
  svg.append(...names(curves, x, y, frame, narrow));
  svg.append(shape("g", { id: "near" }));
}

function drawAxes(svg, frame, { x, y, low, high, scale, values }, metric, rate) {
  let before = -Infinity;
  for (const v of logTicks(low, high)) {
    if (x(v) - before < 26) continue; // labels must not touch
    before = x(v);
    svg.append(
      shape("line", { class: "grid", x1: x(v), x2: x(v), y1: frame.top, y2: frame.bottom }),
      shape("text", { x: x(v), y: frame.bottom + 16, "text-anchor": "middle" }, String(v)),
    );
  }
  for (const v of scale.ticks(Math.min(...values), Math.max(...values))) {
    svg.append(
      shape("line", { class: "grid", x1: frame.left, x2: frame.right, y1: y(v), y2: y(v) }),
      shape("text", { x: frame.left - 7, y: y(v) + 4, "text-anchor": "end" }, String(v)),
    );
  }
  const title = rate === "bpp" ? "bits per pixel" : "compression ratio";
  const better = metric.scale === "log" ? "less is better" : "more is better";
  svg.append(
    shape("text", { x: (frame.left + frame.right) / 2, y: frame.bottom + 34, "text-anchor": "middle" }, title),
    shape("text", { x: 0, y: 0, "text-anchor": "middle", transform: `translate(13 ${(frame.top + frame.bottom) / 2}) rotate(-90)` }, `${metric.label}, ${better}`),
  );
}

function look(owner) {
  if (owner.curves) return { class: "published", fill: "none" };
  const further = owner.ours && owner !== report.codecs.find((c) => c.ours);
  return { stroke: owner.colour, "stroke-width": owner.ours ? 3 : 1.6, fill: "none", "stroke-linejoin": "round", ...(further && { "stroke-dasharray": "7 4" }) };
}

function curve(owner, places) {
  const path = shape("polyline", { ...look(owner), points: places.map((p) => `${p.x},${p.y}`).join(" ") });
  if (owner.curves) return [path];
  return [path, ...places.map((p) => marker(owner, p.x, p.y))];
}

function marker(owner, x, y) {
  const others = report.codecs.filter((c) => !c.ours);
  const kind = owner.ours ? "circle" : MARKERS[(1 + others.indexOf(owner)) % MARKERS.length];
  const r = owner.ours ? 4.5 : 3;
  const style = { fill: owner.colour };
  if (kind === "circle") return shape("circle", { cx: x, cy: y, r, ...style });
  if (kind === "square") return shape("rect", { x: x - r, y: y - r, width: 2 * r, height: 2 * r, ...style });
  const up = kind === "triangle" ? `${x - 1.2 * r},${y + r} ${x + 1.2 * r},${y + r}` : `${x - 1.3 * r},${y} ${x},${y + 1.3 * r} ${x + 1.3 * r},${y}`;
  return shape("polygon", { points: `${up} ${x},${y - 1.3 * r}`, ...style });
}

// Names in a column at the right, apart from each other, each tied to the end of its curve.
function names(curves, x, y, frame, narrow) {
  const gap = narrow ? 12 : 14;
  const ends = curves.map(({ owner, points }) => {
    const last = points.at(-1);
    return { owner, x: x(last.rate), y: y(last.value) };
  });
  ends.sort((a, b) => a.y - b.y);
  spreadOut(ends, gap);
  const beyond = Math.max(0, ends.at(-1).at - frame.bottom) + Math.min(0, ends[0].at - frame.top);
  return ends.flatMap(({ owner, x: from, y: height, at }) => {
    const published = Boolean(owner.curves);
    const text = shape("text", { class: published ? "name published" : "name", x: frame.right + 14, y: at - beyond + 4 }, short(owner.name));
    if (!published) text.style.fill = owner.colour;
    const leader = shape("line", { class: "leader", stroke: published ? "currentColor" : owner.colour, x1: from + 5, y1: height, x2: frame.right + 11, y2: at - beyond });
    return [leader, text];
  });
}

// Heights `at` at least `gap` apart and as near to `y` as can be: runs that are too dense share
// the mean of where they want to be.
function spreadOut(ends, gap) {
  const runs = [];
  ends.forEach((end, i) => {
    runs.push({ sum: end.y - i * gap, count: 1 });
    const mean = (run) => run.sum / run.count;
    while (runs.length > 1 && mean(runs.at(-2)) > mean(runs.at(-1))) {
      const { sum, count } = runs.pop();
      runs.at(-1).sum += sum;
      runs.at(-1).count += count;
    }
  });
  let i = 0;
  for (const { sum, count } of runs) {
    for (let k = 0; k < count; k += 1, i += 1) ends[i].at = sum / count + i * gap;
  }
}

function short(name) {
  const plain = name.replace(/^hqcodec \((.*)\)$/, "$1");
  return plain.length > 17 ? `${plain.slice(0, 16)}…` : plain;
}

function legend() {
  for (const [id, owners] of [["legend", report.codecs], ["legend-published", report.published]]) {
    byId(id).replaceChildren(...owners.map((owner) => {
      const swatch = shape("svg", { "aria-hidden": "true" }, shape("line", { ...look(owner), x1: 0, x2: 22, y1: 5, y2: 5 }));
      if (owner.curves) swatch.firstChild.setAttribute("stroke", "currentColor");
      else swatch.append(marker(owner, 11, 5));
      const button = element("button", { type: "button", "aria-pressed": String(!hidden.has(owner)) }, swatch, owner.name);
      button.addEventListener("click", () => {
        if (!hidden.delete(owner)) hidden.add(owner);
        button.setAttribute("aria-pressed", String(!hidden.has(owner)));
        drawCurves();
      });
      buttons.set(owner, button);
      return button;
    }));
  }
}

function showNear(event) {
  const box = byId("curves").getBoundingClientRect();
  const [px, py] = [event.clientX - box.left, event.clientY - box.top];
  const away = (p) => Math.hypot(p.x - px, p.y - py);
  const point = drawn.reduce((best, p) => (best === null || away(p) < away(best) ? p : best), null);
  const tip = byId("tip");
  tip.hidden = point === null || away(point) > 40;
  byId("near")?.replaceChildren();
  if (tip.hidden) return;
  byId("near").append(shape("circle", { cx: point.x, cy: point.y, r: 8, fill: "none", stroke: "currentColor", "stroke-width": 1.5 }));
  const [first, ...rest] = point.lines;
  tip.replaceChildren(element("b", {}, first), ...rest.flatMap((line, i) => (i ? [element("br"), line] : [line])));
  const room = box.width - tip.offsetWidth - 4;
  tip.style.left = `${Math.max(4, Math.min(point.x + 14, room))}px`;
  tip.style.top = `${Math.max(4, point.y - tip.offsetHeight - 12)}px`;
}

byId("metric").append(...report.metrics.map((m) => element("option", { value: m.key }, m.label)));
for (const id of ["metric", "rate"]) byId(id).addEventListener("change", drawCurves);
for (const type of ["pointermove", "pointerdown"]) byId("curves").addEventListener(type, showNear);
byId("curves").addEventListener("pointerleave", () => { byId("tip").hidden = true; byId("near")?.replaceChildren(); });
legend();
new ResizeObserver(drawCurves).observe(byId("chart"));
