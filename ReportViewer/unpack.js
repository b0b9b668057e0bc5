// Reads the scene that the library packed into the page (`packed_scene.py` says how).

/** Return the bytes of the element `id`, whose text is gzip in base64. */
export async function bytesOf(id) {
  const text = atob(document.getElementById(id).textContent.trim());
  const packed = Uint8Array.from(text, (letter) => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const KINDS = { uint8: Uint8Array, uint16: Uint16Array, int32: Int32Array };

/** Return the array that the header's `place` names: its kind, where it begins, its length. */
export function arrayAt(buffer, place) {
  return new KINDS[place.kind](buffer, place.begin, place.length);
}

/** Return points (3 n) in LPS mm from whole steps along a box. */
export function points(buffer, mesh) {
  const steps = arrayAt(buffer, mesh.points);
  const found = new Float32Array(steps.length);
  for (let k = 0; k < steps.length; k++) {
    found[k] = mesh.origin_mm[k % 3] + steps[k] * mesh.step_mm[k % 3];
  }
  return found;
}

/** Return the corners (3 m) of triangles from the differences between them. */
export function corners(buffer, mesh) {
  const found = Uint32Array.from(arrayAt(buffer, mesh.corners));
  for (let k = 1; k < found.length; k++) {
    found[k] = (found[k] + found[k - 1]) >>> 0;
  }
  return found;
}

/** Return what each point has, in its unit; NaN where it has nothing. */
export function values(buffer, map) {
  const steps = arrayAt(buffer, map.values);
  return Float32Array.from(steps, (step) =>
    step === map.nothing ? NaN : map.least + step * map.step);
}
