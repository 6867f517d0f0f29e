/** Functions over time: how many containers each has in which state, made of the rows of containers as these come. */

import { AXIS, drawGrid, GUTTER, type Rows, type Viewport } from "./draw";
import { CONTAINER_STATES, type Track } from "./recording";
import type { Table } from "./table";
import type { Theme } from "./theme";

const STATES = CONTAINER_STATES.length;

/** Counts of one function: a row of `counts` for each of `times`; the first state is "gone". */
export interface History {
  times: number[];
  counts: number[][];
  /** The most containers at once. */
  most: number;
}

export class Functions {
  readonly histories: History[] = [];
  private read = 0;
  private readonly state = new Map<number, number>();

  constructor(readonly table: Table) {}

  /** Read the rows that came. */
  update(): void {
    const [times, containers, services, states] = ["time_seconds", "container", "service", "state"].map((name) => this.table.numbers(name));
    for (; this.read < this.table.rows; this.read++) {
      const row = this.read;
      const before = this.state.get(containers[row]) ?? 0;
      if (states[row] === 0) this.state.delete(containers[row]);
      else this.state.set(containers[row], states[row]);
      this.change(services[row], times[row], before, states[row]);
    }
  }

  /** Containers of a function by state at a moment. */
  at(service: number, time: number): number[] {
    const history = this.histories[service];
    const place = history === undefined ? -1 : placeAt(history.times, time);
    return place < 0 ? Array<number>(STATES).fill(0) : history.counts[place];
  }

  /** Functions in the order of how many containers they ever had at once; those without any are left out. */
  busiest(): number[] {
    return [...this.histories.keys()].filter((service) => this.histories[service] !== undefined).sort((a, b) => this.histories[b].most - this.histories[a].most || a - b);
  }

  private change(service: number, time: number, before: number, after: number): void {
    let history = this.histories[service];
    if (history === undefined) this.histories[service] = history = { times: [], counts: [], most: 0 };
    const last = history.times.length - 1;
    let counts: number[];
    if (last >= 0 && history.times[last] === time) counts = history.counts[last];
    else {
      counts = last < 0 ? Array<number>(STATES).fill(0) : history.counts[last].slice();
      history.times.push(time);
      history.counts.push(counts);
    }
    if (before > 0) counts[before]--;
    if (after > 0) counts[after]++;
    history.most = Math.max(history.most, counts.reduce((sum, count) => sum + count, 0));
  }
}

/** The last place whose time is at most this; -1: none. */
function placeAt(times: number[], time: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (times[middle] <= time) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** A row for each function, as high as the most containers that it had: busy below, then warm, starting, pulling. */
export function drawFunctions(
  context: CanvasRenderingContext2D, width: number, height: number, functions: Functions, order: number[], view: Viewport, rows: Rows,
  time: number, startTime: string | null, theme: Theme,
): void {
  context.clearRect(0, 0, width, height);
  drawGrid(context, width, height, view, rows, startTime, theme);
  context.save();
  context.beginPath();
  context.rect(GUTTER, 0, width - GUTTER, height - AXIS);
  context.clip();
  const row = (height - AXIS) / view.nodes;
  const scale = (width - GUTTER) / (view.to - view.from);
  for (let place = Math.floor(view.top); place < Math.min(view.top + view.nodes, order.length); place++) {
    const { times, counts, most } = functions.histories[order[place]];
    const low = (place - view.top + 1) * row - 1;
    const unit = (row - 2) / Math.max(most, 1);
    for (let at = Math.max(placeAt(times, view.from), 0); at < times.length && times[at] <= time; at++) {
      const from = GUTTER + (Math.max(times[at], view.from) - view.from) * scale;
      const to = GUTTER + (Math.min(times[at + 1] ?? time, time) - view.from) * scale;
      let stacked = 0;
      for (let state = STATES - 1; state > 0; state--) {
        const count = counts[at][state];
        if (count === 0) continue;
        context.fillStyle = theme.containers[state];
        context.fillRect(from, low - (stacked + count) * unit, Math.max(to - from, 0.5), count * unit);
        stacked += count;
      }
    }
  }
  context.fillStyle = theme.accent;
  context.fillRect(GUTTER + (time - view.from) * scale - 0.75, 0, 1.5, height - AXIS);
  context.restore();
}

/** What containers are on a node at a moment, in words. */
export function containersOn(track: Track, node: number, time: number, names: string[]): string[] {
  const view = track.latest("containers");
  view.seek(time);
  const [sites, services, states] = ["site", "service", "state"].map((name) => view.table.numbers(name));
  const found = new Map<string, number>();
  for (let container = 0; container < view.subjects; container++) {
    const row = view.rowOf(container);
    if (row < 0 || sites[row] !== node || states[row] === 0) continue;
    const text = `${names[services[row]] ?? "container"} ${CONTAINER_STATES[states[row]]}`;
    found.set(text, (found.get(text) ?? 0) + 1);
  }
  return [...found].sort((a, b) => b[1] - a[1]).map(([text, count]) => `${count} × ${text}`);
}
