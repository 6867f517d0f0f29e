/** A recording as the page has it so far: its head, and the tables of each track. */

import type { Frame } from "./frame";
import { Latest, Table } from "./table";

export const NODE_STATES = ["off", "booting", "idle", "busy", "draining", "failed", "gone", "suspended"] as const;
export const [OFF, BOOTING, IDLE, BUSY, DRAINING, FAILED, GONE, SUSPENDED] = NODE_STATES.keys();
export const JOB_EVENTS = ["submit", "start", "end", "preempt", "suspend", "resume", "resize", "cancel"] as const;
export const [SUBMIT, START, END, PREEMPT, SUSPEND, RESUME, RESIZE, CANCEL] = JOB_EVENTS.keys();
export const CONTAINER_STATES = ["gone", "pulling", "starting", "warm", "busy"] as const;

export interface TrackHead {
  name: string;
  title: string;
  reference: boolean;
}

export interface Pool {
  name: string;
  gpu_model: string;
  gpus_per_node: number;
  min_nodes: number;
  max_nodes: number;
  boot_seconds: number;
  zone: number;
}

export interface Head {
  kind: "cluster" | "city" | "functions" | "training";
  title: string;
  tracks: TrackHead[];
  start_seconds: number;
  end_seconds: number | null;
  finished: boolean;
  start_time: string | null;
  source: Record<string, unknown>;
  zones: string[];
  pools: Pool[];
  services: string[];
  map: Record<string, number>;
  attribution: string[];
}

export const SUBJECTS: Record<string, string> = {
  node_states: "node",
  jobs: "job",
  signals: "zone",
  site_states: "site",
  containers: "container",
  users: "user",
  links: "user",
};

/** Tables whose rows tell how far a recording has come. */
const PACE = ["samples", "node_states", "site_states", "containers", "jobs", "users", "links", "decisions"];

/** What one policy did; what it lacks is shared by all. */
export class Track {
  private readonly tables = new Map<string, Table>();
  private readonly views = new Map<string, Latest>();

  constructor(
    readonly head: TrackHead,
    private readonly shared: Track | null,
  ) {}

  table(name: string): Table {
    const own = this.tables.get(name);
    if (own !== undefined) return own;
    if (this.shared !== null && this.shared.has(name)) return this.shared.table(name);
    return new Table();
  }

  has(name: string): boolean {
    return this.tables.has(name);
  }

  /** Where each subject of a table stands; one view for a track, so that two tracks may be looked at side by side. */
  latest(name: string): Latest {
    const table = this.table(name);
    let view = this.views.get(name);
    if (view === undefined || view.table !== table) {
      view = new Latest(table, SUBJECTS[name]);
      this.views.set(name, view);
    }
    return view;
  }

  /** Have another table in the place of one. */
  replace(name: string, table: Table): void {
    this.tables.set(name, table);
  }

  append(frame: Frame): void {
    let table = this.tables.get(frame.table);
    if (table === undefined) {
      table = new Table();
      this.tables.set(frame.table, table);
    }
    table.append(frame);
  }

  /** The last time of any row. */
  get lastTime(): number {
    let last = -Infinity;
    for (const name of PACE) {
      const table = this.tables.get(name);
      if (table !== undefined && table.rows > 0) last = Math.max(last, table.numbers("time_seconds")[table.rows - 1]);
    }
    return last;
  }
}

export class Recording {
  readonly shared = new Track({ name: "", title: "", reference: false }, null);
  tracks: Track[] = [];
  /** Rises with each frame, so that what was made of rows knows when it is old. */
  version = 0;
  /** What was before is forgotten, except what it still says of later. */
  since = -Infinity;
  private waiting: Frame[] = [];

  head: Head | null = null;

  setHead(head: Head): void {
    this.head = head;
    const known = new Map(this.tracks.map((track) => [track.head.name, track]));
    this.tracks = head.tracks.map((each) => known.get(each.name) ?? new Track(each, this.shared));
    const waiting = this.waiting;
    this.waiting = [];
    for (const frame of waiting) this.append(frame);
    this.version++;
  }

  append(frame: Frame): void {
    if (this.head === null) {
      this.waiting.push(frame);
      return;
    }
    const track = frame.track === "" ? this.shared : this.tracks.find((each) => each.head.name === frame.track);
    track?.append(frame);
    this.version++;
  }

  get reference(): Track | null {
    return this.tracks.find((track) => track.head.reference) ?? null;
  }

  get start(): number {
    return Math.max(this.head?.start_seconds ?? 0, this.since);
  }

  /** Where the clock ends, or has come to. */
  get end(): number {
    const known = this.head?.end_seconds;
    if (known !== null && known !== undefined) return known;
    return Math.max(this.start, this.shared.lastTime, ...this.tracks.map((track) => track.lastTime));
  }
}
