// The pictures: two sides, a divider between them, layers as a slider.
const SIDES = ["left", "right"];
const view = { picture: 0, layer: 0, at: 0.5, zoom: "fit", panX: 0, panY: 0 };
const loaded = new Map(); // image number -> a promise of it, decoded

const stage = byId("stage");
const divider = byId("divider");
const clamp = (v, low, high) => Math.min(Math.max(v, low), high);

function load(number) {
  if (!loaded.has(number)) {
    const image = new Image();
    image.src = report.images[number];
    loaded.set(number, image.decode().then(() => image));
  }
  return loaded.get(number);
}

const picture = () => report.pictures[view.picture];
const chosen = (side) => byId(`side-${side}`).value;
const current = (side) => picture().sides[chosen(side)][view.layer];

// Show what is chosen; a picture that is not decoded yet replaces the old one when it is.
function show() {
  byId("layer-count").textContent = String(view.layer + 1);
  byId("layers").value = String(view.layer + 1);
  for (const side of SIDES) {
    const { image } = current(side);
    const target = byId(`image-${side}`);
    target.alt = `${picture().name}, ${report.sides[chosen(side)]}`;
    byId(`tag-${side}`).textContent = title(side);
    byId(`facts-${side}`).replaceChildren(...facts(side));
    load(image).then(() => {
      if (current(side).image === image) target.src = report.images[image];
    });
  }
  place();
}

function title(side) {
  const name = report.sides[chosen(side)];
  if (!report.ours.includes(chosen(side))) return name;
  return `${name}, ${view.layer + 1} layer${view.layer ? "s" : ""}`;
}

function facts(side) {
  const found = current(side);
  const values = [`${found.bytes.toLocaleString("en")} bytes`, `${found.bpp.toFixed(3)} bpp`];
  if (found.psnr !== null) values.push(`PSNR ${found.psnr.toFixed(2)} dB`);
  if (found.lpips !== null) values.push(`LPIPS ${found.lpips.toFixed(3)}`);
  const notes = [];
  const name = report.sides[chosen(side)];
  if (found.larger) notes.push(`${name}'s smallest file; it is larger than ours`);
  if (chosen(side) === report.original) notes.push("24 bits a pixel, not compressed");
  if (found.recompressed) notes.push("shown recompressed");
  const lines = [element("b", {}, title(side)), values.map((v) => v.replaceAll(" ", "\u00a0")).join(" · ")];
  if (notes.length) lines.push(element("i", {}, notes.join("; ")));
  return lines;
}

// Put both images and the divider where zoom, pan and the divider's place say.
function place() {
  const { width, height } = picture();
  const room = stage.parentNode.clientWidth;
  const most = Math.max(window.innerHeight * 0.72, 240);
  const fit = Math.min(room / width, most / height);
  const scale = view.zoom === "fit" ? fit : Number(view.zoom);
  const box = { width: room, height: Math.min(Math.round(height * fit), Math.round(most)) };
  stage.style.height = `${box.height}px`;
  stage.classList.toggle("panning", view.zoom !== "fit");
  stage.classList.toggle("pixels", view.zoom === "2");
  const slack = [Math.max(0, width * scale - box.width) / 2, Math.max(0, height * scale - box.height) / 2];
  view.panX = clamp(view.panX, -slack[0], slack[0]);
  view.panY = clamp(view.panY, -slack[1], slack[1]);
  const left = Math.round((box.width - width * scale) / 2 + view.panX);
  const top = Math.round((box.height - height * scale) / 2 + view.panY);
  for (const side of SIDES) {
    const { style } = byId(`image-${side}`);
    [style.left, style.top] = [`${left}px`, `${top}px`];
    [style.width, style.height] = [`${width * scale}px`, `${height * scale}px`];
  }
  // The divider runs over what is seen of the picture, not over the bars beside it.
  const start = Math.max(0, left);
  const end = Math.min(box.width, left + width * scale);
  view.range = [start, end];
  const x = start + view.at * (end - start);
  byId("pane-left").style.clipPath = `inset(0 ${box.width - x}px 0 0)`;
  divider.style.left = `${x}px`;
  divider.setAttribute("aria-valuenow", String(Math.round(100 * view.at)));
  byId("tag-left").style.left = `${start + 8}px`;
  byId("tag-right").style.right = `${box.width - end + 8}px`;
}

function moveDivider(clientX) {
  const [start, end] = view.range;
  view.at = clamp((clientX - stage.getBoundingClientRect().left - start) / (end - start), 0, 1);
  place();
}

function choosePicture(index) {
  view.picture = index;
  [view.panX, view.panY] = [0, 0];
  press(byId("thumbs").children, byId("thumbs").children[index]);
  show();
  // What the reader may choose next is decoded ahead, so that it appears at once.
  Object.values(picture().sides).flat().forEach((side) => load(side.image));
}

function chooseLayer(layer) {
  view.layer = clamp(layer, 0, picture().sides[report.ours[0]].length - 1);
  show();
}

function chooseZoom(button) {
  view.zoom = button.dataset.zoom;
  press(byId("zoom").children, button);
  place();
}

// A drag on the divider moves it; one on the picture does so too, or moves a zoomed picture.
function startDrag(event) {
  if (event.button !== 0) return;
  const pan = view.zoom !== "fit" && !divider.contains(event.target);
  const from = { x: event.clientX - view.panX, y: event.clientY - view.panY };
  const move = (now) => {
    if (!pan) return moveDivider(now.clientX);
    [view.panX, view.panY] = [now.clientX - from.x, now.clientY - from.y];
    return place();
  };
  const stop = () => {
    stage.removeEventListener("pointermove", move);
    for (const type of ["pointerup", "pointercancel"]) stage.removeEventListener(type, stop);
  };
  stage.setPointerCapture(event.pointerId);
  stage.addEventListener("pointermove", move);
  for (const type of ["pointerup", "pointercancel"]) stage.addEventListener(type, stop);
  divider.focus({ preventScroll: true });
  if (!pan) moveDivider(event.clientX);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return; // the browser's own
  const step = event.shiftKey ? 0.1 : 0.02;
  const to = { ArrowLeft: view.at - step, ArrowRight: view.at + step, Home: 0, End: 1 }[event.key];
  const layers = { "+": 1, "=": 1, "-": -1 }[event.key];
  if (to !== undefined && event.target === divider) {
    view.at = clamp(to, 0, 1);
    place();
  } else if (layers !== undefined) {
    chooseLayer(view.layer + layers);
  } else {
    return;
  }
  event.preventDefault();
}

function startViewer() {
  const names = Object.entries(report.sides);
  for (const side of SIDES) {
    byId(`side-${side}`).append(...names.map(([key, label]) => element("option", { value: key }, label)));
    byId(`side-${side}`).addEventListener("change", show);
  }
  byId("side-left").value = report.ours[0];
  const baseline = names.map(([key]) => key).find((key) => key !== report.original && !report.ours.includes(key));
  byId("side-right").value = baseline ?? report.original;
  byId("thumbs").append(...report.pictures.map((shown, i) => {
    const image = element("img", { src: report.images[shown.sides[report.original][0].image], alt: "" });
    const button = element("button", { type: "button", "aria-label": shown.name, title: shown.name }, image);
    button.addEventListener("click", () => choosePicture(i));
    return button;
  }));
  const layers = picture().sides[report.ours[0]].length;
  byId("layers").max = String(layers);
  view.layer = Math.min(2, layers - 1);
  byId("layers").addEventListener("input", (event) => chooseLayer(Number(event.target.value) - 1));
  for (const button of byId("zoom").children) button.addEventListener("click", () => chooseZoom(button));
  stage.addEventListener("pointerdown", startDrag);
  byId("viewer").addEventListener("keydown", key);
  new ResizeObserver(place).observe(stage.parentNode);
  choosePicture(0);
}

if (report.pictures.length > 0) startViewer();
