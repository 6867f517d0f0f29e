/** What a page that follows for long lets go of: rows that are over, unless they say what still holds. */

import { CANCEL, END, GONE, SUBJECTS, type Recording, type Track } from "./recording";
import type { Table } from "./table";

/** Each time that rows are let go, as much more than what is kept has come. */
const SHARE = 1 / 8;

/** What a row of a table is about; the last row of each before a moment holds at it. Empty: all rows are about one. */
const ABOUT: Record<string, readonly string[]> = {
  ...Object.fromEntries(Object.entries(SUBJECTS).map(([table, subject]) => [table, [subject]])),
  samples: [],
  decisions: ["pool"],
  reasons: ["subject", "id", "rule"],
};

/** Tables of names, and those whose rows say that a name is still in use. */
const NAMES = [["nodes", "node", "node_states"], ["job_names", "job", "jobs"]] as const;

/** Keep what happened in the last seconds of a recording. */
export function forget(recording: Recording, keepSeconds: number): void {
  const cut = recording.end - keepSeconds;
  if (cut - recording.start < SHARE * keepSeconds) return;
  const tracks = [recording.shared, ...recording.tracks];
  for (const track of tracks) {
    for (const name of Object.keys(ABOUT)) if (track.has(name)) track.replace(name, since(track.table(name), name, cut));
  }
  for (const [names, id, rows] of NAMES) {
    const used = new Set(recording.tracks.flatMap((track) => [...column(track.table(rows), id)]));
    for (const track of tracks) if (track.has(names)) keepUsed(track, names, id, used);
  }
  recording.since = cut;
  recording.version++;
}

function column(table: Table, name: string) {
  return table.numbers(name).subarray(0, table.rows);
}

function keepUsed(track: Track, name: string, id: string, used: ReadonlySet<number>): void {
  const ids = column(track.table(name), id);
  track.replace(name, track.table(name).at([...ids.keys()].filter((row) => used.has(ids[row]))));
}

function since(table: Table, name: string, cut: number): Table {
  const first = table.rowAt(cut) + 1;
  const before = name === "jobs" ? ofOpenJobs(table, first) : lastOfEach(table, name, first);
  return table.at([...before, ...Array.from({ length: table.rows - first }, (_, index) => first + index)]);
}

/** The last row of each subject before a row, unless it says that there is nothing more to say of it. */
function lastOfEach(table: Table, name: string, first: number): number[] {
  const last = new Map<string, number>();
  for (let row = 0; row < first; row++) last.set(subjectOf(table, name, row), row);
  return [...last.values()].filter((row) => !isOver(table, name, row)).sort((a, b) => a - b);
}

function subjectOf(table: Table, name: string, row: number): string {
  return ABOUT[name].map((each) => table.text(each, row) || table.numbers(each)[row]).join("\n");
}

function isOver(table: Table, name: string, row: number): boolean {
  return (name === "node_states" && table.numbers("state")[row] === GONE) || (name === "reasons" && table.text("text", row) === "");
}

/** All rows of the jobs that go on: each row is of one node, and a bar begins where the job began. */
function ofOpenJobs(table: Table, first: number): number[] {
  const [jobs, events] = [table.numbers("job"), table.numbers("event")];
  const open = new Set<number>();
  for (let row = 0; row < first; row++) {
    if (events[row] === END || events[row] === CANCEL) open.delete(jobs[row]);
    else open.add(jobs[row]);
  }
  return Array.from({ length: first }, (_, row) => row).filter((row) => open.has(jobs[row]));
}
