// The interactive part of the report. Without it the page shows its pictures and tables all the same.
import { gradientOf } from "./colors.js";
import { Slices, VIEWS } from "./slices.js";
import { Surfaces } from "./surfaces.js";
import { bytesOf } from "./unpack.js";

const CLOSE_UP_MM = 70;
const BESIDE = 0.43; // 23 degrees
const AXES = {
  axial: [0, 0, 1], coronal: [0, -1, 0], sagittal: [1, 0, 0],
};
const LOOKS = {
  Front: [0, -1, 0], Back: [0, 1, 0], Right: [-1, 0, 0], Left: [1, 0, 0], Top: [0, 0, 1],
};

/** Return a new element: name, properties (`data-` and `aria-` ones as attributes), children. */
function make(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key.includes("-")) {
      made.setAttribute(key, value);
    } else {
      made[key] = value;
    }
  }
  made.append(...children);
  return made;
}

/** Return a direction BESIDE off a unit vector, on the side of front and above, so that an arrow along it is one. */
function besides(way) {
  const across = (toward) => {
    const along = toward.reduce((sum, part, k) => sum + part * way[k], 0);
    return toward.map((part, k) => part - along * way[k]);
  };
  let aside = across([0, -0.8, 0.6]);
  if (Math.hypot(...aside) < 0.2) { // it comes out that way
    aside = across([1, 0, 0]);
  }
  return way.map((part, k) => part + (BESIDE * aside[k]) / Math.hypot(...aside));
}

const labelled = (text, ...controls) => make("label", {}, make("span", { textContent: text }), ...controls);

class Viewer {
  constructor(root, header, buffer) {
    this.header = header;
    const stage = make("div", { className: "stage" });
    const canvas = make("canvas", {
      tabIndex: 0, "role": "img",
      "aria-label": "The skull and the implants in 3-D. Arrow keys turn them, plus and minus zoom." });
    canvas.setAttribute("role", "img");
    this.legend = make("div", { className: "legend", hidden: true });
    stage.append(canvas, this.legend);
    this.controls = make("div", { className: "controls" });
    root.append(stage, this.controls, make("p", {
      className: "faint", textContent: header.tolerance }));
    root.hidden = false; // now, so that the canvas has its size
    this.surfaces = new Surfaces(canvas, header, buffer);
    this._views();
    this._parts();
    this._colors();
    this._cut();
    this._sliceViews(root, buffer);
    this._placeButtons();
    this.outside();
  }

  outside() {
    this.surfaces.look(besides(this.header.ways_out[0].direction));
  }

  _group(title, ...children) {
    this.controls.append(make("fieldset", {}, make("legend", { textContent: title }), ...children));
  }

  _views() {
    const buttons = [make("button", {
      type: "button", textContent: "Outside", title: "Along the way in, from outside",
      onclick: () => this.outside() })];
    for (const [name, direction] of Object.entries(LOOKS)) {
      buttons.push(make("button", {
        type: "button", textContent: name, onclick: () => this.surfaces.look(direction) }));
    }
    const arrow = make("input", { type: "checkbox", checked: true, onchange: () => {
      this.surfaces.arrows.visible = arrow.checked;
      this.surfaces.draw();
    } });
    this._group("View", make("div", { className: "buttons" }, ...buttons), labelled("Way out", arrow));
  }

  _parts() {
    const rows = this.header.parts.map((part) => {
      const shown = make("input", { type: "checkbox", checked: part.shown, id: `show-${part.key}`, onchange: () =>
        this.surfaces.setVisible(part.key, shown.checked) });
      const opacity = make("input", {
        type: "range", min: 0.1, max: 1, step: 0.05, value: part.opacity,
        "aria-label": `Opacity: ${part.title}`,
        oninput: () => this.surfaces.setOpacity(part.key, Number(opacity.value)) });
      this.surfaces.setVisible(part.key, part.shown);
      return make("div", { className: "part" }, make("label", {}, shown, make("i", {
        className: "swatch", style: `background:${part.color}` }), part.title), opacity);
    });
    this._group("Parts", ...rows);
  }

  _colors() {
    const maps = new Map();
    this.header.parts.forEach((part) => part.maps.forEach((map) => maps.set(map.name, map)));
    if (!maps.size) {
      return;
    }
    const choice = make("select", { id: "color-by" }, make("option", { value: "", textContent: "its own color" }));
    maps.forEach((map) => choice.append(make("option", { value: map.name, textContent: map.title })));
    choice.onchange = () => {
      const map = maps.get(choice.value);
      this.surfaces.colorBy(map ? map.name : null);
      this._showLegend(map);
    };
    this._group("Implant in the color of", choice);
  }

  _showLegend(map) {
    this.legend.hidden = !map;
    if (!map) {
      return;
    }
    // What lies beyond an end has its color; a least value is none below 0.
    const told = [[map.low < 0 ? "\u2264 " : "", map.low], ["", (map.low + map.high) / 2], ["\u2265 ", map.high]];
    const ticks = told.map(([sign, value]) =>
      make("span", { textContent: sign + value.toFixed(1).replace("-", "\u2212") }));
    const bar = make("div", { className: "bar-of-colors" });
    bar.style.background = gradientOf(map);
    const parts = [
      make("b", { textContent: `${map.title}, ${map.unit}` }), bar, make("div", { className: "ticks" }, ...ticks)];
    if (map.remark) {
      parts.push(make("div", { className: "remark", textContent: map.remark }));
    }
    this.legend.replaceChildren(...parts);
  }

  _cut() {
    const choice = make("select", { id: "cut-axis" }, ...["none", ...Object.keys(AXES)].map((name) =>
      make("option", { value: name, textContent: name })));
    const place = make("input", {
      type: "range", step: 0.5, disabled: true, "aria-label": "Place of the cut", id: "cut-place" });
    this.cutNothing = () => {
      choice.value = "none";
      choice.onchange();
    };
    const cut = () => {
      const normal = AXES[choice.value];
      place.disabled = !normal;
      this.surfaces.cut(normal || null, Number(place.value));
    };
    choice.onchange = () => {
      const normal = AXES[choice.value];
      if (normal) {
        const [least, most] = this.surfaces.reach(normal);
        const start = this.header.start_mm.reduce((sum, along, k) => sum + along * normal[k], 0);
        Object.assign(place, { min: least, max: most });
        place.value = start;
      }
      cut();
    };
    place.oninput = cut;
    this._group("Cut", choice, place);
  }

  _sliceViews(root, buffer) {
    const canvases = [];
    const figures = VIEWS.map((view, number) => {
      const canvas = make("canvas", { "aria-label": `${view.name} slice with the implant's outline` });
      canvas.setAttribute("role", "img");
      const slider = make("input", { type: "range", "aria-label": `Place of the ${view.name.toLowerCase()} slice` });
      const told = make("output", {});
      canvases.push(canvas);
      slider.oninput = () => {
        const place = this.slices.place.slice();
        place[view.through] = Number(slider.value);
        this._goSlices(place, false);
      };
      canvas.addEventListener("wheel", (event) => {
        event.preventDefault();
        slider.value = Number(slider.value) + Math.sign(event.deltaY) * Number(slider.step);
        slider.oninput();
      }, { passive: false });
      return { figure: make("figure", {}, canvas, make("figcaption", {}, `${view.name} `, told), slider), slider, told };
    });
    this.sliders = figures;
    root.append(make("div", { className: "slices" }, ...figures.map((each) => each.figure)));
    this.slices = new Slices(canvases, this.header, buffer);
    figures.forEach(({ slider }, number) => {
      const [min, max, step] = this.slices.range(number);
      Object.assign(slider, { min, max, step });
    });
    this._goSlices(this.header.start_mm, false);
    new ResizeObserver(() => this.slices.go(this.slices.place)).observe(canvases[0].parentElement);
  }

  _goSlices(place, cross) {
    this.slices.go(place, cross);
    VIEWS.forEach((view, number) => {
      const along = this.slices.place[view.through];
      this.sliders[number].slider.value = along;
      this.sliders[number].told.textContent = `${view.letter} ${along.toFixed(1)} mm`;
    });
  }

  /** Show a place in all views, from outside. */
  show(place) {
    const middle = this.surfaces.middle;
    const away = [place[0] - middle.x, place[1] - middle.y, place[2] - middle.z];
    this.cutNothing(); // it could take the place away
    this.surfaces.mark(place);
    this.surfaces.look(away, place, CLOSE_UP_MM);
    this._goSlices(place, true);
    document.getElementById("viewer").scrollIntoView({ block: "start" });
  }

  _placeButtons() {
    document.querySelectorAll("tr[data-place]").forEach((row) => {
      const place = row.dataset.place.split(",").map(Number);
      const name = row.cells[1].textContent;
      row.cells[1].append(" ", make("button", {
        type: "button", className: "show", textContent: "Show", "aria-label": `Show the place of: ${name}`,
        onclick: () => this.show(place) }));
    });
  }
}

async function start() {
  const root = document.getElementById("viewer");
  const off = document.getElementById("viewer-off");
  try {
    const header = JSON.parse(document.getElementById("scene-header").textContent);
    const buffer = await bytesOf("scene-bytes");
    window.skullImplantReport = new Viewer(root, header, buffer);
    off.hidden = true;
    root.dataset.state = "ready";
  } catch (error) {
    root.hidden = true;
    root.dataset.state = "failed";
    off.textContent = "This browser cannot show the 3-D view (it needs WebGL); the pictures below show the same.";
  }
}

start();
