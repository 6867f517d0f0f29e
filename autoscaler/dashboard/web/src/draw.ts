/** What the canvases show: pure functions of rows and a moment. `envs/recording/pictures.py` draws by the same rules. */

import type { Bars } from "./bars";
import { BOOTING, BUSY, DRAINING, FAILED, GONE, IDLE, OFF, SUSPENDED, type Head, type Track } from "./recording";
import { jobColour, type Theme } from "./theme";
import { drawTimeline, type Inside, type Viewport } from "./timeline";

export interface Layout {
  width: number;
  height: number;
  cell: number;
  /** Place of each node, by its row in the table of nodes. */
  x: Float32Array;
  y: Float32Array;
  node: Int32Array;
  gpus: Float32Array;
  labels: { text: string; y: number }[];
}

const LABEL = 18;
const LARGEST = 26;
const SMALLEST = 6;
const MOST_AREA = 420;

/** Where cells of nodes go: pool by pool, line by line, as large as fits. */
export function layoutNodes(track: Track, { pools, kind }: Pick<Head, "pools" | "kind">, width: number): Layout {
  const nodes = track.table("nodes");
  const count = nodes.rows;
  const pool = nodes.numbers("pool");
  const members: number[][] = pools.map(() => []);
  for (let row = 0; row < count; row++) members[pool[row]]?.push(row);
  const area = Math.max(60, MOST_AREA - LABEL * pools.length);
  const fitting = Math.sqrt((width * area) / Math.max(count, 1));
  const cell = Math.max(SMALLEST, Math.min(LARGEST, Math.floor(fitting)));
  const across = Math.max(1, Math.floor(width / cell));
  const layout: Layout = {
    width, height: 0, cell,
    x: new Float32Array(count), y: new Float32Array(count),
    node: Int32Array.from(nodes.numbers("node").subarray(0, count)),
    gpus: new Float32Array(count), labels: [],
  };
  let top = 0;
  pools.forEach((own, index) => {
    const model = own.gpu_model ? `, ${own.gpu_model}` : "";
    const size = kind === "functions" ? ", filled by the memory that containers hold" : ` of ${own.gpus_per_node} GPUs${model}`;
    layout.labels.push({ text: `${own.name}: ${members[index].length} nodes${size}`, y: top + 13 });
    top += LABEL;
    members[index].forEach((row, place) => {
      layout.x[row] = (place % across) * cell;
      layout.y[row] = top + Math.floor(place / across) * cell;
      layout.gpus[row] = own.gpus_per_node;
    });
    top += Math.ceil(members[index].length / across) * cell + 6;
  });
  layout.height = Math.max(top, 40);
  return layout;
}

/** What a canvas shows: only cells that changed since are drawn again. */
interface Shown {
  context: CanvasRenderingContext2D;
  theme: Theme;
  size: number;
  selected: number;
  rows: Int32Array;
}

const shown = new WeakMap<Layout, Shown>();

/** Nodes as cells: colour and mark say the state, the filled part how many of the GPUs work. */
export function drawNodes(
  context: CanvasRenderingContext2D, layout: Layout, track: Track, time: number, theme: Theme, selected: number,
): void {
  const view = track.latest("node_states");
  view.seek(time);
  const { cell, x, y, node } = layout;
  const size = cell - (cell > 8 ? 2 : 1);
  const changed: number[] = [];
  let last = shown.get(layout);
  if (last?.context !== context || last.theme !== theme || last.size !== context.canvas.width || last.selected !== selected) {
    context.clearRect(0, 0, layout.width, layout.height);
    context.fillStyle = theme.ink;
    context.font = "12px system-ui, sans-serif";
    for (const label of layout.labels) context.fillText(label.text, 0, label.y);
    last = { context, theme, size: context.canvas.width, selected, rows: new Int32Array(node.length).fill(-2) };
    shown.set(layout, last);
  }
  for (let row = 0; row < node.length; row++) {
    const latest = view.rowOf(node[row]);
    if (latest === last.rows[row]) continue;
    if (last.rows[row] !== -2) context.clearRect(x[row], y[row], size, size);
    last.rows[row] = latest;
    changed.push(row);
  }
  if (changed.length > 0) drawCells(context, layout, changed, last.rows, track, theme, size);
  const at = node.indexOf(selected);
  if (at >= 0) {
    for (const [colour, inset] of [[theme.ink, 1], [theme.paper, 2.5]] as const) {
      context.strokeStyle = colour;
      context.lineWidth = inset === 1 ? 2 : 1;
      context.strokeRect(x[at] + inset, y[at] + inset, size - 2 * inset, size - 2 * inset);
    }
  }
}

function drawCells(
  context: CanvasRenderingContext2D, layout: Layout, cells: number[], latest: Int32Array, track: Track, theme: Theme, size: number,
): void {
  const table = track.latest("node_states").table;
  const [states, used] = [table.numbers("state"), table.numbers("used_gpus")];
  const { x, y, gpus } = layout;
  const paths = theme.states.map(() => new Path2D());
  const levels = new Path2D();
  const marks = new Path2D();
  for (const row of cells) {
    const state = latest[row] < 0 ? OFF : states[latest[row]];
    const inset = state === OFF || state === SUSPENDED ? 0.5 : 0;
    paths[state].rect(x[row] + inset, y[row] + inset, size - 2 * inset, size - 2 * inset);
    if (state === BUSY) {
      const level = Math.round((size * Math.min(used[latest[row]] / gpus[row], 1)) * 2) / 2;
      levels.rect(x[row], y[row] + size - level, size, level);
    } else if (state === BOOTING) {
      marks.rect(x[row] + size / 3, y[row] + size / 3, size / 3, size / 3);
    } else if (state === DRAINING || state === FAILED || state === GONE) {
      marks.rect(x[row], y[row] + size / 2 - 0.75, size, 1.5);
      if (state !== DRAINING) marks.rect(x[row] + size / 2 - 0.75, y[row], 1.5, size);
    }
  }
  paths.forEach((path, state) => {
    if (state === OFF || state === SUSPENDED) {
      context.strokeStyle = theme.states[state];
      context.lineWidth = 1;
      context.stroke(path);
    } else {
      context.fillStyle = state === BUSY ? theme.states[IDLE] : theme.states[state];
      context.fill(path);
    }
  });
  context.fillStyle = theme.states[BUSY];
  context.fill(levels);
  context.fillStyle = theme.ink;
  context.fill(marks);
}

export function nodeAt(layout: Layout, x: number, y: number): number {
  for (let row = 0; row < layout.node.length; row++) {
    const [dx, dy] = [x - layout.x[row], y - layout.y[row]];
    if (dx >= 0 && dx < layout.cell && dy >= 0 && dy < layout.cell) return layout.node[row];
  }
  return -1;
}

/** Nodes of a Gantt: the place of each, its GPUs, and the name at each place. */
export interface Rows {
  place: Int32Array;
  gpus: Float32Array;
  name: (place: number) => string;
}

/** Jobs as bars over nodes in time. */
export function drawGantt(
  context: CanvasRenderingContext2D, width: number, height: number, bars: Bars, view: Viewport, rows: Rows,
  time: number, startTime: string | null, theme: Theme, isDark: boolean,
): void {
  drawTimeline(context, width, height, view, rows.name, time, startTime, theme, (inside) => drawBars(context, inside, bars, view, rows, time, theme, isDark));
}

function drawBars(
  context: CanvasRenderingContext2D, { width, row, scale }: Inside, bars: Bars, view: Viewport, rows: Rows, time: number,
  theme: Theme, isDark: boolean,
): void {
  const { place: order, gpus } = rows;
  const [first, last] = bars.range(view.from, view.to);
  for (let bar = first; bar < last; bar++) {
    const start = bars.start[bar];
    if (start > time) break;
    const end = Math.min(bars.end[bar], time);
    if (end < view.from) continue;
    const place = order[bars.node[bar]] - view.top;
    if (place < -1 || place > view.rows) continue;
    const lane = row / gpus[bars.node[bar]];
    const x = Math.max(0, (start - view.from) * scale);
    const w = Math.max(0.5, Math.min(width, (end - view.from) * scale) - x);
    const h = Math.max(0.5, lane * bars.gpus[bar]);
    context.fillStyle = jobColour(bars.job[bar], isDark);
    context.fillRect(x, place * row + lane * bars.lane[bar], w, h > 3 ? h - 0.5 : h);
  }
  context.fillStyle = theme.line;
  if (row > 6) for (let line = Math.ceil(view.top); line < view.top + view.rows; line++) context.fillRect(0, (line - view.top) * row, width, 0.5);
}
