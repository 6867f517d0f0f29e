import { describe, expect, it } from "vitest";
import { Bars } from "../src/bars";
import { forget } from "../src/forget";
import { decodeFrame } from "../src/frame";
import { Recording, type Head } from "../src/recording";
import { jobName, nodeFacts, reasonsOf, waitingRows } from "../src/why";
import { encodeFrame } from "./encode";

const HEAD = {
  kind: "cluster", tracks: [{ name: "live", title: "", reference: false }], start_seconds: 0, end_seconds: null, finished: false,
  zones: [], pools: [{ name: "gpu", gpus_per_node: 8, min_nodes: 0, max_nodes: 4 }], services: [], map: {}, attribution: [],
} as unknown as Head;

function followed(): Recording {
  const found = new Recording();
  found.setHead(HEAD);
  const add = (track: string, table: string, columns: Record<string, number[] | string[]>) => found.append(decodeFrame(encodeFrame(track, table, columns)));
  add("", "nodes", { node: [0, 1, 2], pool: [0, 0, 0], name: ["stays", "goes", "comes"] });
  add("", "job_names", { job: [0, 1, 2, 3], name: ["over", "long", "waits", "gang"] });
  add("live", "node_states", { time_seconds: [0, 0, 5, 95], node: [0, 1, 1, 2], state: [3, 3, 6, 2], used_gpus: [8, 8, 0, 0] });
  add("live", "jobs", {
    time_seconds: [0, 1, 2, 3, 3, 4, 50], job: [0, 0, 1, 3, 3, 2, 0], event: [0, 1, 1, 1, 1, 0, 2], node: [-1, 1, 0, 0, 1, -1, 1], gpus: [1, 1, 4, 2, 2, 8, 1],
  });
  add("live", "samples", { time_seconds: [0, 50, 100], kwh: [0, 5, 10] });
  add("live", "decisions", { time_seconds: [0, 10], pool: [0, 0], before: [0, 1], target: [1, 2], reason: ["first", "second"] });
  add("live", "reasons", {
    time_seconds: [0, 0, 10], subject: ["node", "job", "node"], id: [0, 2, 0], rule: ["least", "quota", "least"], text: ["kept", "too many", ""],
  });
  return found;
}

describe("what is let go of", () => {
  it("is what is over; what holds still is known as before", () => {
    const found = followed();
    const whole = followed();
    forget(found, 20);
    const [track, before] = [found.tracks[0], whole.tracks[0]];
    expect([found.start, found.end]).toEqual([80, 100]);
    const rows = (name: string) => track.table(name).rows;
    expect(["nodes", "job_names", "node_states", "jobs", "samples", "decisions", "reasons"].map(rows)).toEqual([2, 3, 2, 4, 2, 1, 1]);
    expect(waitingRows(track, 100).map((row) => track.table("jobs").numbers("job")[row])).toEqual([2]);
    expect(reasonsOf(track, "job", 2, 100)).toEqual(reasonsOf(before, "job", 2, 100));
    expect(track.table("samples").between("kwh", 90)).toBe(9);
    expect([1, 2, 3].map((job) => jobName(track, job))).toEqual(["long", "waits", "gang"]);
    const [bars, all] = [new Bars(track.table("jobs")), new Bars(before.table("jobs"))];
    bars.update();
    all.update();
    const facts = (each: typeof track, of: Bars) => [0, 2].map((node) => nodeFacts(HEAD, each, of, node, 100));
    expect(facts(track, bars)).toEqual(facts(before, all));
    expect(nodeFacts(HEAD, track, bars, 1, 100)).toBeNull();
  });

  it("is nothing while little more than what is kept is there, and goes on as rows come", () => {
    const found = followed();
    forget(found, 95);
    expect([found.start, found.tracks[0].table("decisions").rows]).toEqual([0, 2]);
    forget(found, 20);
    const came = found.tracks[0].table("samples").came;
    found.append(decodeFrame(encodeFrame("live", "samples", { time_seconds: [200], kwh: [30] })));
    forget(found, 20);
    const samples = found.tracks[0].table("samples");
    expect([found.start, samples.came - came, ...samples.numbers("kwh").subarray(0, samples.rows)]).toEqual([180, 1, 10, 30]);
  });
});
