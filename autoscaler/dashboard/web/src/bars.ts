/** Jobs as bars over nodes in time: made of their events, row by row as these come. */

import { CANCEL, END, PREEMPT, RESIZE, RESUME, START, SUSPEND } from "./recording";
import type { Table } from "./table";

/** Bars in order of their start. `lane` is the first GPU of the node that the job is drawn on. */
export class Bars {
  count = 0;
  job = new Int32Array(256);
  node = new Int32Array(256);
  start = new Float64Array(256);
  /** Infinity while the job runs. */
  end = new Float64Array(256);
  gpus = new Float32Array(256);
  lane = new Float32Array(256);
  /** The longest bar that has ended, so that a search knows how far back to look. */
  longest = 0;

  private read = 0;
  private readonly open = new Map<number, Map<number, number>>();
  private readonly onNode = new Map<number, Set<number>>();

  constructor(readonly table: Table) {}

  /** Read the events that came. */
  update(): void {
    const { table } = this;
    const times = table.numbers("time_seconds");
    const jobs = table.numbers("job");
    const events = table.numbers("event");
    const nodes = table.numbers("node");
    const gpus = table.numbers("gpus");
    for (; this.read < table.rows; this.read++) {
      const row = this.read;
      const [time, job, event, node] = [times[row], jobs[row], events[row], nodes[row]];
      if (event === START || event === RESUME) this.begin(time, job, node, gpus[row]);
      else if (event === RESIZE) this.resize(time, job, node, gpus[row]);
      else if (event === END || event === PREEMPT || event === SUSPEND || event === CANCEL) this.finish(time, job, node);
    }
  }

  /** Bars that are on screen between two moments: the first of them, and the one behind the last. */
  range(from: number, to: number): [number, number] {
    return [Math.min(this.find(from - this.longest), this.oldestOpen()), this.find(to)];
  }

  /** The bars of a node that run at a moment. */
  running(node: number, time: number): number[] {
    const [first, last] = this.range(time, time + 1e-9);
    const found: number[] = [];
    for (let bar = first; bar < last; bar++) {
      if (this.node[bar] === node && this.start[bar] <= time && this.end[bar] > time) found.push(bar);
    }
    return found;
  }

  /** The first bar of a job that still runs at the end of what is known. */
  private oldestOpen(): number {
    let oldest = this.count;
    for (const bars of this.open.values()) for (const bar of bars.values()) oldest = Math.min(oldest, bar);
    return oldest;
  }

  private find(time: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.start[middle] < time) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private begin(time: number, job: number, node: number, gpus: number): void {
    this.finish(time, job, node);
    if (gpus <= 0 || node < 0) return;
    const bar = this.count++;
    if (bar >= this.job.length) this.grow();
    this.job[bar] = job;
    this.node[bar] = node;
    this.start[bar] = time;
    this.end[bar] = Infinity;
    this.gpus[bar] = gpus;
    let open = this.onNode.get(node);
    if (open === undefined) this.onNode.set(node, (open = new Set()));
    this.lane[bar] = this.freeLane(open, gpus);
    open.add(bar);
    let parts = this.open.get(job);
    if (parts === undefined) this.open.set(job, (parts = new Map()));
    parts.set(node, bar);
  }

  private resize(time: number, job: number, node: number, gpus: number): void {
    this.finish(time, job, node);
    this.begin(time, job, node, gpus);
  }

  /** End the part of a job on a node, or all of them where it names none. */
  private finish(time: number, job: number, node: number): void {
    const parts = this.open.get(job);
    if (parts === undefined) return;
    for (const [place, bar] of node < 0 ? [...parts] : [[node, parts.get(node)] as const]) {
      if (bar === undefined) continue;
      this.end[bar] = time;
      this.longest = Math.max(this.longest, time - this.start[bar]);
      this.onNode.get(place)?.delete(bar);
      parts.delete(place);
    }
    if (parts.size === 0) this.open.delete(job);
  }

  /** The lowest place on a node where a part fits beside those that run. */
  private freeLane(open: Set<number>, gpus: number): number {
    const taken = [...open].map((bar) => [this.lane[bar], this.lane[bar] + this.gpus[bar]]).sort((a, b) => a[0] - b[0]);
    let lane = 0;
    for (const [from, to] of taken) {
      if (from - lane >= gpus - 1e-6) break;
      lane = Math.max(lane, to);
    }
    return lane;
  }

  private grow(): void {
    const size = 2 * this.job.length;
    const int = (old: Int32Array) => { const next = new Int32Array(size); next.set(old); return next; };
    const float = (old: Float32Array) => { const next = new Float32Array(size); next.set(old); return next; };
    const double = (old: Float64Array) => { const next = new Float64Array(size); next.set(old); return next; };
    [this.job, this.node] = [int(this.job), int(this.node)];
    [this.gpus, this.lane] = [float(this.gpus), float(this.lane)];
    [this.start, this.end] = [double(this.start), double(this.end)];
  }
}
