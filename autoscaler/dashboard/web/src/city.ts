/** The map of a city: roads, sites with their resources, users that move, and who serves whom. */

import { BUSY, type Track } from "./recording";
import { carbonColour, type Theme } from "./theme";

export interface MapView {
  /** Metres at the middle of the canvas. */
  x: number;
  y: number;
  /** Pixels for a metre. */
  scale: number;
}

/** Pixels around the outermost sites: their names are above, bars at the right, containers below. */
const AROUND = { left: 24, right: 48, top: 36, bottom: 28 };
const ROAD_WIDTHS = [2.2, 1.8, 1.4, 1, 0.7];
/** Edges of the three colours of a link, ms. */
const LATENCIES = [20, 50];

function bounds(track: Track): { left: number; right: number; bottom: number; top: number } {
  const found = { left: Infinity, right: -Infinity, bottom: Infinity, top: -Infinity };
  const widen = (xs: ArrayLike<number>, ys: ArrayLike<number>, rows: number) => {
    for (let row = 0; row < rows; row++) {
      found.left = Math.min(found.left, xs[row]);
      found.right = Math.max(found.right, xs[row]);
      found.bottom = Math.min(found.bottom, ys[row]);
      found.top = Math.max(found.top, ys[row]);
    }
  };
  const roads = track.table("roads");
  widen(roads.numbers("x1"), roads.numbers("y1"), roads.rows);
  widen(roads.numbers("x2"), roads.numbers("y2"), roads.rows);
  const sites = track.table("sites");
  widen(sites.numbers("x"), sites.numbers("y"), sites.rows);
  return found;
}

export function fit(track: Track, width: number, height: number): MapView {
  const box = bounds(track);
  if (!Number.isFinite(box.left)) return { x: 0, y: 0, scale: 1 };
  const [inside, high] = [Math.max(width - AROUND.left - AROUND.right, 1), Math.max(height - AROUND.top - AROUND.bottom, 1)];
  const scale = Math.min(inside / Math.max(box.right - box.left, 1), high / Math.max(box.top - box.bottom, 1));
  const [right, down] = [(AROUND.right - AROUND.left) / 2, (AROUND.bottom - AROUND.top) / 2];
  return { x: (box.left + box.right) / 2 + right / scale, y: (box.bottom + box.top) / 2 - down / scale, scale };
}

/** The roads as a picture of their own: they do not move, so they are drawn once for a view. */
export function drawRoads(context: CanvasRenderingContext2D, track: Track, view: MapView, width: number, height: number, theme: Theme): void {
  context.clearRect(0, 0, width, height);
  const roads = track.table("roads");
  const [x1, y1, x2, y2, kind] = ["x1", "y1", "x2", "y2", "kind"].map((name) => roads.numbers(name));
  context.strokeStyle = theme.line;
  context.lineCap = "round";
  for (let own = ROAD_WIDTHS.length - 1; own >= 0; own--) {
    context.beginPath();
    for (let row = 0; row < roads.rows; row++) {
      if (Math.min(kind[row], ROAD_WIDTHS.length - 1) !== own) continue;
      context.moveTo(width / 2 + (x1[row] - view.x) * view.scale, height / 2 - (y1[row] - view.y) * view.scale);
      context.lineTo(width / 2 + (x2[row] - view.x) * view.scale, height / 2 - (y2[row] - view.y) * view.scale);
    }
    context.lineWidth = ROAD_WIDTHS[own];
    context.stroke();
  }
}

/** Where users are at a moment; between two rows they move evenly. `x` is NaN where one is away. */
export class Users {
  x = new Float32Array(0);
  y = new Float32Array(0);
  count = 0;

  update(track: Track, time: number): void {
    const view = track.latest("users");
    view.seek(time);
    const { table, subjects } = view;
    if (this.x.length < subjects) [this.x, this.y] = [new Float32Array(2 * subjects), new Float32Array(2 * subjects)];
    this.count = subjects;
    const [times, xs, ys] = [table.numbers("time_seconds"), table.numbers("x"), table.numbers("y")];
    for (let user = 0; user < subjects; user++) {
      const row = view.rowOf(user);
      if (row < 0) {
        this.x[user] = NaN;
        continue;
      }
      const next = view.after(row);
      if (next < 0 || Number.isNaN(xs[next])) {
        [this.x[user], this.y[user]] = [xs[row], ys[row]];
        continue;
      }
      const share = Math.min(1, (time - times[row]) / Math.max(times[next] - times[row], 1e-9));
      this.x[user] = xs[row] + share * (xs[next] - xs[row]);
      this.y[user] = ys[row] + share * (ys[next] - ys[row]);
    }
  }
}

export interface Drawn {
  view: MapView;
  width: number;
  height: number;
  selected: number;
  mostGrams: number;
}

const SITE_RADIUS = 9;
const BAR = { width: 4, height: 20, distance: 5 };
const DOT = { size: 4, distance: 5, most: 8 };
/** With so many sites or fewer their names are written, where the map is wide enough. */
const MOST_NAMES = 20;

export function drawCity(context: CanvasRenderingContext2D, roads: CanvasImageSource, track: Track, users: Users, time: number, theme: Theme, drawn: Drawn): void {
  const { view, width, height } = drawn;
  context.clearRect(0, 0, width, height);
  context.drawImage(roads, 0, 0, width, height);
  users.update(track, time);
  const sites = track.table("sites");
  const [siteX, siteY] = [sites.numbers("x"), sites.numbers("y")];
  const toX = (x: number) => width / 2 + (x - view.x) * view.scale;
  const toY = (y: number) => height / 2 - (y - view.y) * view.scale;
  const links = track.latest("links");
  links.seek(time);
  const [linkSite, latency] = [links.table.numbers("site"), links.table.numbers("latency_ms")];
  const paths = [new Path2D(), new Path2D(), new Path2D()];
  const served = new Path2D();
  const alone = new Path2D();
  for (let user = 0; user < users.count; user++) {
    const ux = users.x[user];
    if (Number.isNaN(ux)) continue;
    const [x, y] = [toX(ux), toY(users.y[user])];
    if (x < -20 || y < -20 || x > width + 20 || y > height + 20) continue;
    const row = links.rowOf(user);
    const site = row < 0 ? -1 : linkSite[row];
    (site < 0 ? alone : served).rect(x - 1.5, y - 1.5, 3, 3);
    if (site < 0 || site >= sites.rows) continue;
    const path = paths[latency[row] < LATENCIES[0] ? 0 : latency[row] < LATENCIES[1] ? 1 : 2];
    path.moveTo(x, y);
    path.lineTo(toX(siteX[site]), toY(siteY[site]));
  }
  context.lineWidth = 0.7;
  context.globalAlpha = 0.45;
  [theme.accent, theme.second, theme.warn].forEach((colour, index) => {
    context.strokeStyle = colour;
    context.stroke(paths[index]);
  });
  context.globalAlpha = 1;
  context.fillStyle = theme.ink;
  context.fill(served);
  context.fillStyle = theme.warn;
  context.fill(alone);
  drawSites(context, track, time, theme, drawn, toX, toY);
}

function drawSites(
  context: CanvasRenderingContext2D, track: Track, time: number, theme: Theme, drawn: Drawn,
  toX: (x: number) => number, toY: (y: number) => number,
): void {
  const sites = track.table("sites");
  const [xs, ys, zones] = [sites.numbers("x"), sites.numbers("y"), sites.numbers("zone")];
  const capacities = ["cpu_cores", "memory_gb", "gpus"].map((name) => sites.numbers(name));
  const states = track.latest("site_states");
  states.seek(time);
  const on = states.table.numbers("on");
  const used = ["cpu_cores", "memory_gb", "gpus"].map((name) => states.table.numbers(name));
  const counts = ["pulling", "starting", "warm", "busy"].map((name) => states.table.numbers(name));
  const signals = track.latest("signals");
  signals.seek(time);
  const grams = signals.table.numbers("grams_per_kwh");
  const isLarge = sites.rows <= 40 || drawn.view.scale > 0.05;
  for (let site = 0; site < sites.rows; site++) {
    const [x, y] = [toX(xs[site]), toY(ys[site])];
    if (x < -40 || y < -40 || x > drawn.width + 40 || y > drawn.height + 40) continue;
    const row = states.rowOf(site);
    const signal = signals.rowOf(zones[site]);
    const isOn = row >= 0 && on[row] > 0;
    context.beginPath();
    context.arc(x, y, SITE_RADIUS, 0, 2 * Math.PI);
    context.fillStyle = isOn ? carbonColour(signal < 0 ? NaN : grams[signal], drawn.mostGrams) : theme.paper;
    context.fill();
    context.strokeStyle = site === drawn.selected ? theme.accent : theme.ink;
    context.lineWidth = site === drawn.selected ? 3 : 1;
    context.stroke();
    if (sites.rows <= MOST_NAMES && drawn.width > 480) drawName(context, sites.text("name", site), x, y - SITE_RADIUS - 5, theme);
    if (!isOn) continue;
    // Three bars at the right: CPU, memory, GPU. Below them the containers by state, one dot for each of the first eight.
    for (let resource = 0; resource < 3; resource++) {
      const all = capacities[resource][site];
      if (!(all > 0)) continue;
      const level = BAR.height * Math.min(used[resource][row] / all, 1);
      const left = x + SITE_RADIUS + 3 + BAR.distance * resource;
      context.fillStyle = theme.line;
      context.fillRect(left, y - BAR.height / 2, BAR.width, BAR.height);
      context.fillStyle = theme.states[BUSY];
      context.fillRect(left, y + BAR.height / 2 - level, BAR.width, level);
    }
    if (isLarge) {
      let place = 0;
      for (let state = 3; state >= 0 && place < DOT.most; state--) {
        context.fillStyle = theme.containers[state + 1];
        for (let container = 0; container < counts[state][row] && place < DOT.most; container++, place++) {
          context.fillRect(x - SITE_RADIUS + DOT.distance * place, y + SITE_RADIUS + 4, DOT.size, DOT.size);
        }
      }
    }
  }
}

/** A name that stays readable over roads and links. */
function drawName(context: CanvasRenderingContext2D, name: string, x: number, y: number, theme: Theme): void {
  context.font = "11px system-ui, sans-serif";
  context.textAlign = "center";
  context.lineWidth = 3;
  context.strokeStyle = theme.paper;
  context.strokeText(name, x, y);
  context.fillStyle = theme.faint;
  context.fillText(name, x, y);
  context.textAlign = "start";
}

export function siteAt(track: Track, view: MapView, width: number, height: number, x: number, y: number): number {
  const sites = track.table("sites");
  const [xs, ys] = [sites.numbers("x"), sites.numbers("y")];
  let best = -1;
  let nearest = (SITE_RADIUS + 6) ** 2;
  for (let site = 0; site < sites.rows; site++) {
    const distance = (width / 2 + (xs[site] - view.x) * view.scale - x) ** 2 + (height / 2 - (ys[site] - view.y) * view.scale - y) ** 2;
    if (distance < nearest) [best, nearest] = [site, distance];
  }
  return best;
}
