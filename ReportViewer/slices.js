// Slices through the image around the implants, along the body's axes, with the implants' outlines.
import { arrayAt } from "./unpack.js";

// Axes are L, P, S; a view shows two of them, its first to the right of the picture.
// Radiological: the patient's right is on the picture's left; up is anterior, or superior.
export const VIEWS = [
  { name: "Axial", across: 0, down: 1, through: 2, flipped: false, sides: ["R", "L", "A", "P"], letter: "S" },
  { name: "Coronal", across: 0, down: 2, through: 1, flipped: true, sides: ["R", "L", "S", "I"], letter: "P" },
  { name: "Sagittal", across: 1, down: 2, through: 0, flipped: true, sides: ["A", "P", "S", "I"], letter: "L" },
];
const INSIDE = 128; // of 255: half a voxel of implant
const OUTLINE = "#29cddb";
const CROSS = "#ffe14d";

export class Slices {
  /** views: canvases in the order of VIEWS. header, buffer: the scene. */
  constructor(canvases, header, buffer) {
    this.canvases = canvases;
    this.image = header.image;
    this.gray = arrayAt(buffer, this.image.gray);
    this.implants = arrayAt(buffer, this.image.implants);
    this.place = header.start_mm.slice();
    this.showsCross = false;
  }

  /** Return the least and the greatest place (mm) that view `number` can show, and the step. */
  range(number) {
    const axis = VIEWS[number].through;
    const { origin_mm, spacing_mm, size } = this.image;
    return [origin_mm[axis], origin_mm[axis] + (size[axis] - 1) * spacing_mm, spacing_mm];
  }

  /** Show the slices through a place (LPS, mm); cross: whether it is marked. */
  go(place, cross = this.showsCross) {
    this.showsCross = cross;
    this.place = place.map((along, axis) => {
      const least = this.image.origin_mm[axis];
      const most = least + (this.image.size[axis] - 1) * this.image.spacing_mm;
      return Math.min(Math.max(along, least), most);
    });
    VIEWS.forEach((view, number) => this._draw(view, this.canvases[number]));
  }

  _sampler(view) {
    const { size } = this.image;
    const stride = [1, size[0], size[0] * size[1]];
    const index = Math.round(
      (this.place[view.through] - this.image.origin_mm[view.through]) / this.image.spacing_mm);
    const base = index * stride[view.through];
    const rows = size[view.down];
    return (array, column, row) => {
      const down = view.flipped ? rows - 1 - row : row;
      return array[base + column * stride[view.across] + down * stride[view.down]];
    };
  }

  _draw(view, canvas) {
    const columns = this.image.size[view.across];
    const rows = this.image.size[view.down];
    const sample = this._sampler(view);
    const small = document.createElement("canvas");
    small.width = columns;
    small.height = rows;
    const pixels = new ImageData(columns, rows);
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        const at = 4 * (row * columns + column);
        pixels.data.fill(sample(this.gray, column, row), at, at + 3);
        pixels.data[at + 3] = 255;
      }
    }
    small.getContext("2d").putImageData(pixels, 0, 0);
    // Squares of one scale, so that lengths compare between the views.
    const side = Math.round((canvas.clientWidth || 300) * Math.min(window.devicePixelRatio || 1, 2));
    const scale = side / Math.max(...this.image.size);
    canvas.width = canvas.height = side;
    const context = canvas.getContext("2d");
    context.fillRect(0, 0, side, side);
    context.save();
    context.translate((side - columns * scale) / 2, (side - rows * scale) / 2);
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, columns * scale, rows * scale);
    context.strokeStyle = OUTLINE;
    context.lineWidth = Math.max(1.5, scale / 2.5);
    context.stroke(outline((c, r) => sample(this.implants, c, r), columns, rows, scale));
    if (this.showsCross) {
      this._cross(context, view, rows, scale);
    }
    context.restore();
    this._letters(context, view, canvas);
  }

  _letters(context, view, canvas) {
    const size = canvas.width / 22;
    context.font = `600 ${size}px system-ui, sans-serif`;
    context.fillStyle = "#fff";
    context.textAlign = "center";
    context.textBaseline = "middle";
    const [left, right, top, bottom] = view.sides;
    context.fillText(left, size, canvas.height / 2);
    context.fillText(right, canvas.width - size, canvas.height / 2);
    context.fillText(top, canvas.width / 2, size);
    context.fillText(bottom, canvas.width / 2, canvas.height - size);
  }

  _cross(context, view, rows, scale) {
    const { origin_mm, spacing_mm } = this.image;
    const across = (this.place[view.across] - origin_mm[view.across]) / spacing_mm + 0.5;
    let down = (this.place[view.down] - origin_mm[view.down]) / spacing_mm + 0.5;
    down = view.flipped ? rows - down : down;
    context.strokeStyle = CROSS;
    context.lineWidth = Math.max(1.5, scale / 2);
    context.beginPath();
    context.arc(across * scale, down * scale, 4 * scale, 0, 2 * Math.PI);
    context.stroke();
  }
}

/** Return the line where values on a grid cross INSIDE, by marching squares, as a path. */
function outline(sample, columns, rows, scale) {
  const path = new Path2D();
  for (let row = 0; row < rows - 1; row++) {
    for (let column = 0; column < columns - 1; column++) {
      const around = [
        [column, row], [column + 1, row], [column + 1, row + 1], [column, row + 1],
      ].map(([c, r]) => ({ c, r, value: sample(c, r) - INSIDE + 0.5 }));
      const crossings = [];
      for (let k = 0; k < 4; k++) {
        const from = around[k];
        const to = around[(k + 1) % 4];
        if (from.value > 0 !== to.value > 0) {
          const share = from.value / (from.value - to.value);
          crossings.push([
            (from.c + share * (to.c - from.c) + 0.5) * scale,
            (from.r + share * (to.r - from.r) + 0.5) * scale,
          ]);
        }
      }
      for (let k = 0; k + 1 < crossings.length; k += 2) {
        path.moveTo(...crossings[k]);
        path.lineTo(...crossings[k + 1]);
      }
    }
  }
  return path;
}
