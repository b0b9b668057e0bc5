// Colors of values; which, the library says (`map_colours.py`).

const rgb = (hex) => [1, 3, 5].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255);

/** Return the colours of a map as stops. */
export function stopsOf(map) {
  return map.stops.map(rgb);
}

/** Return the colour [r, g, b], 0 to 1, of a value on a map. */
export function colorOf(map, value, stops = stopsOf(map)) {
  if (Number.isNaN(value)) {
    return rgb(map.nowhere);
  }
  const share = Math.min(Math.max((value - map.low) / (map.high - map.low), 0), 1);
  const place = share * (stops.length - 1);
  const k = Math.min(Math.floor(place), stops.length - 2);
  return stops[k].map((from, c) => from + (place - k) * (stops[k + 1][c] - from));
}

/** Return a map's colours as a CSS gradient from low to high. */
export function gradientOf(map) {
  const css = stopsOf(map).map((color) => `rgb(${color.map((c) => Math.round(255 * c)).join(",")})`);
  return `linear-gradient(to right, ${css.join(",")})`;
}
