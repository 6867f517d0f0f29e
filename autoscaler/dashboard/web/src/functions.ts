/** Functions over time: how many containers each has in which state, made of the rows of containers as these come. */

import { CONTAINER_STATES, type Track } from "./recording";
import { lastAtMost } from "./search";
import type { Table } from "./table";
import type { Theme } from "./theme";
import { drawTimeline, type Inside, type Viewport } from "./timeline";

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
    const place = history === undefined ? -1 : lastAtMost(history.times, time);
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

/** A row for each function, as high as the most containers that it had: busy below, then warm, starting, pulling. */
export function drawFunctions(
  context: CanvasRenderingContext2D, width: number, height: number, functions: Functions, order: number[], names: string[], view: Viewport,
  time: number, startTime: string | null, theme: Theme,
): void {
  const name = (place: number) => names[order[place]] ?? "";
  drawTimeline(context, width, height, view, name, time, startTime, theme, (inside) => {
    for (let place = Math.floor(view.top); place < Math.min(view.top + view.rows, order.length); place++) {
      drawHistory(context, inside, functions.histories[order[place]], place, view, time, theme);
    }
  });
}

function drawHistory(
  context: CanvasRenderingContext2D, { row, scale }: Inside, { times, counts, most }: History, place: number, view: Viewport, time: number, theme: Theme,
): void {
  const low = (place - view.top + 1) * row - 1;
  const unit = (row - 2) / Math.max(most, 1);
  for (let at = Math.max(lastAtMost(times, view.from), 0); at < times.length && times[at] <= time; at++) {
    const from = (Math.max(times[at], view.from) - view.from) * scale;
    const to = (Math.min(times[at + 1] ?? time, time) - view.from) * scale;
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

/** What containers are on a node or site at a moment, in words. */
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
