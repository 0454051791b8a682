const SVG = "http://www.w3.org/2000/svg";
const SVG_NAMES = new Set(["svg", "path", "line", "text", "circle", "rect", "g", "title"]);
const at = id => document.getElementById(id);
function node(name, attributes = {}, ...children) {
  const element = SVG_NAMES.has(name)
    ? document.createElementNS(SVG, name) : document.createElement(name);
  for (const key in attributes) element.setAttribute(key, attributes[key]);
  element.append(...children);
  return element;
}

// In natural order: run-2 before run-10.
const collator = new Intl.Collator("en", { numeric: true });
// Shortens long names in the middle.
function middleCut(text, most) {
  const letters = [...text];
  if (letters.length <= most) return text;
  return [...letters.slice(0, most / 2 - 4), "\u2026", ...letters.slice(-most / 2 - 3)].join("");
}
// Shortens names to what tells them apart: folders that all share are left out, and so is a
// beginning that all long names share. Other long names are shortened in the middle. A tooltip
// should show the whole name.
function shortNames(names) {
  const length = Math.min(...names.map(name => name.length));
  const isShared = i => names.every(name => name[i] === names[0][i]);
  let shared = 0;
  while (names.length > 1 && shared < length && isShared(shared)) shared++;
  const start = (names[0] ?? "").slice(0, shared);
  const folder = start.slice(0, start.lastIndexOf("/") + 1);
  // The last word is not cut.
  const words = start.slice(folder.length).replace(/[^-_. ]*[-_. ]?$/, "");
  const longest = Math.max(...names.map(name => name.length - folder.length));
  const isLong = words.length > 8 && longest > 24;
  return names.map(name => {
    const rest = name.slice(folder.length + (isLong ? words.length : 0));
    return middleCut((isLong ? "\u2026" : "") + rest, 34);
  });
}

// The styles of up to 60 curves: colours first, then dashes.
const COLOURS = 10;
const DASHES = ["", "7 3", "2 3", "10 3 2 3", "14 4", "4 2 1 2"];
function giveLooks(runs) {
  runs.forEach((run, i) => {
    run.colour = `var(--c${i % COLOURS})`;
    run.dash = DASHES[Math.floor(i / COLOURS) % DASHES.length];
  });
}
const sample = run => node("svg", { class: "sample", "aria-hidden": "true",
  viewBox: "0 0 26 10", style: `color: ${run.colour}` },
  node("line", { x1: 0, x2: 26, y1: 5, y2: 5, "stroke-dasharray": run.dash }));

function short(value) {
  if (value === null || value === undefined) return "not finite";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) {
    return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
  }
  return String(+value.toPrecision(4));
}

// At most `most` round numbers between a and b. An axis may allow only whole numbers, or set
// its own steps.
function ticks(a, b, most, axis = {}) {
  const rough = b / Math.max(1, most) - a / Math.max(1, most);
  const power = 10 ** Math.floor(Math.log10(rough));
  let step = [1, 2, 5, 10].find(m => m * power >= rough * .8) * power;
  if (axis.tickSteps) step = axis.tickSteps.find(s => s >= rough) ?? step;
  if (axis.whole) step = Math.max(1, step);
  const found = [];
  // Steps are counted, as adding a small step to a large number may not change it.
  for (let i = Math.ceil(a / step - 1e-9); i * step <= b + step * 1e-9; i++) {
    found.push(+(i * step).toPrecision(12));
    if (found.length > most + 2) break;
  }
  return found;
}

// The lowest and the highest value to draw, for a list of values for each run; null is left
// out. With `cut`, values are left out that are so far from those of most runs that these would
// be drawn as flat lines. A run's range is from its 1st to its 99th percentile.
function valueRange(lists, cut) {
  let low = Infinity, high = -Infinity;
  const lows = [], highs = [];
  for (const list of lists) {
    const sorted = list.filter(v => v !== null).sort((a, b) => a - b);
    if (!sorted.length) continue;
    low = Math.min(low, sorted[0]);
    high = Math.max(high, sorted.at(-1));
    lows.push(sorted[Math.ceil(.01 * (sorted.length - 1))]);
    highs.push(sorted[Math.floor(.99 * (sorted.length - 1))]);
  }
  if (!cut || !lows.length) return [low, high];
  const quantile = (list, q) => list.sort((a, b) => a - b)[Math.floor(q * (list.length - 1))];
  const usualLow = quantile(lows, .25), usualHigh = quantile(highs, .75);
  const band = usualHigh - usualLow, size = Math.max(Math.abs(usualHigh), Math.abs(usualLow));
  if (band > 0 && high - usualHigh > 10 * band && high > 10 * size) high = usualHigh + band / 4;
  if (band > 0 && usualLow - low > 10 * band && -low > 10 * size) low = usualLow - band / 4;
  return [low, high];
}

// The heading of a column, which sorts by it.
function sortHeading(name, isText, sorted, onclick) {
  const button = node("button", { type: "button" }, name);
  const cell = node("th", { scope: "col", class: isText ? "text" : "" }, button);
  if (sorted) cell.setAttribute("aria-sort", sorted);
  button.onclick = onclick;
  return cell;
}
