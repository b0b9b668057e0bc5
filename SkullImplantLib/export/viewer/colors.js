// Colours of values; every map is read without telling red from green.

// Viridis at nine even places (van der Walt and Smith, CC0), for amounts.
const AMOUNTS = ["440154", "482878", "3e4989", "31688e", "26828e", "1f9e89", "35b779", "6ece58", "fde725"];
// Blue, white, red, for what has two sides; lightness falls to both.
const SIDES = ["1f4cbf", "7f9fd9", "ededeb", "dd8a7d", "cc1f1f"];
export const NOTHING = [0.62, 0.62, 0.6];

const rgb = (hex) => [0, 2, 4].map((k) => parseInt(hex.slice(k, k + 2), 16) / 255);

/** Return the colours of a map as stops. */
export function stopsOf(map) {
  return (map.two_sided ? SIDES : AMOUNTS).map(rgb);
}

/** Return the colour [r, g, b], 0 to 1, of a value on a map. */
export function colorOf(map, value, stops = stopsOf(map)) {
  if (Number.isNaN(value)) {
    return NOTHING;
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
