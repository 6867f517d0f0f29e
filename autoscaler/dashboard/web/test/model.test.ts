import { describe, expect, it } from "vitest";
import { Bars } from "../src/bars";
import { scaled } from "../src/charts";
import { fit, Users } from "../src/city";
import { Clock } from "../src/clock";
import { counted, duration, moment, number, share, tickText, ticks } from "../src/format";
import { decodeFrame } from "../src/frame";
import { END, Recording, RESIZE, START, SUBMIT, type Head } from "../src/recording";
import { shownTimes, wholeSeconds } from "../src/timeline";
import { nextDecision } from "../src/transport";
import { nodeFacts, reasonsOf } from "../src/why";
import { encodeFrame } from "./encode";

const HEAD: Head = {
  kind: "cluster", title: "t", tracks: [{ name: "a", title: "", reference: true }, { name: "b", title: "B", reference: false }],
  start_seconds: 0, end_seconds: null, finished: false, start_time: null, source: {}, zones: [], services: [], map: {}, attribution: [],
  pools: [{ name: "gpu", gpu_model: "", gpus_per_node: 8, min_nodes: 2, max_nodes: 4, boot_seconds: 300, zone: 0 }],
};

function recording(tables: Record<string, Record<string, number[] | string[]>>, track = "a"): Recording {
  const found = new Recording();
  found.setHead(HEAD);
  for (const [name, columns] of Object.entries(tables)) found.append(decodeFrame(encodeFrame(name === "nodes" ? "" : track, name, columns)));
  return found;
}

describe("bars of jobs", () => {
  const jobs = {
    time_seconds: [0, 0, 0, 5, 6, 10, 12], job: [1, 1, 1, 2, 1, 1, 2], event: [SUBMIT, START, START, START, RESIZE, END, END],
    node: [-1, 0, 1, 0, 0, 0, 0], gpus: [8, 4, 4, 4, 2, 2, 4],
  };

  it("begin and end with the parts of jobs, each on GPUs of its own", () => {
    const bars = new Bars(recording({ jobs }).tracks[0].table("jobs"));
    bars.update();
    const rows = Array.from({ length: bars.count }, (_, bar) => [bars.job[bar], bars.node[bar], bars.start[bar], bars.end[bar], bars.gpus[bar], bars.lane[bar]]);
    expect(rows).toEqual([[1, 0, 0, 6, 4, 0], [1, 1, 0, Infinity, 4, 0], [2, 0, 5, 12, 4, 4], [1, 0, 6, 10, 2, 0]]);
    expect(bars.running(0, 7).map((bar) => bars.job[bar]).sort()).toEqual([1, 2]);
    expect(bars.running(1, 1e6)).toHaveLength(1);
  });

  it("that are on screen are found", () => {
    const bars = new Bars(recording({ jobs }).tracks[0].table("jobs"));
    bars.update();
    const [first, last] = bars.range(9, 11);
    expect(first).toBe(1);
    expect(last).toBe(4);
  });
});

describe("why a node is still here", () => {
  const nodes = { node: [0, 1], pool: [0, 0], name: ["gpu-0", "gpu-1"] };
  const states = { time_seconds: [0, 0, 50, 60], node: [0, 1, 1, 0], state: [3, 2, 2, 4], used_gpus: [8, 0, 0, 0] };
  const found = recording({
    nodes, node_states: states, jobs: { time_seconds: [0], job: [4], event: [START], node: [0], gpus: [8] },
    decisions: { time_seconds: [10], pool: [0], before: [2], target: [2], reason: ["one job waits"] },
    reasons: {
      time_seconds: [0, 20, 40], subject: ["pool", "node", "node"], id: [0, 1, 1], rule: ["setpoint", "min-nodes", "min-nodes"],
      text: ["Idle nodes go after 10 min.", "kept by min_nodes", ""],
    },
  });
  const track = found.tracks[0];
  const bars = new Bars(track.table("jobs"));
  bars.update();

  it("says what runs on it, since when it is idle, and what was decided", () => {
    expect(nodeFacts(HEAD, track, bars, 0, 30)!.sentences).toEqual(["It stays because it is busy: job 4 (8 GPUs)."]);
    const idle = nodeFacts(HEAD, track, bars, 1, 30)!;
    expect(idle.sentences[0]).toBe("kept by min_nodes");
    expect(idle.sentences.join(" ")).toContain("Idle for 30 s");
    expect(idle.sentences.join(" ")).toContain("one job waits");
    expect(idle.sentences).toContain("Idle nodes go after 10 min.");
    expect(nodeFacts(HEAD, track, bars, 1, 70)!.sentences.join(" ")).toContain("Idle for 1 min 10 s");
    expect(nodeFacts(HEAD, track, bars, 0, 61)!.state).toBe("draining");
    expect(nodeFacts(HEAD, track, bars, 9, 61)).toBeNull();
  });

  it("forgets a reason that is over", () => {
    expect(reasonsOf(track, "node", 1, 30)).toEqual(["kept by min_nodes"]);
    expect(reasonsOf(track, "node", 1, 45)).toEqual([]);
  });
});

describe("a recording", () => {
  it("keeps frames that come before their head, and shares what no policy owns", () => {
    const found = new Recording();
    found.append(decodeFrame(encodeFrame("", "nodes", { node: [0], pool: [0], name: ["n"] })));
    found.append(decodeFrame(encodeFrame("b", "samples", { time_seconds: [3], kwh: [1] })));
    found.setHead(HEAD);
    expect(found.tracks.map((track) => track.table("nodes").rows)).toEqual([1, 1]);
    expect(found.end).toBe(3);
    found.setHead({ ...HEAD, end_seconds: 9, finished: true });
    expect([found.end, found.tracks[1].table("samples").rows]).toEqual([9, 1]);
  });

  it("steps from decision to decision of all policies", () => {
    const found = recording({ decisions: { time_seconds: [1, 5], pool: [0, 0], before: [0, 0], target: [1, 1], reason: ["", ""] } });
    found.append(decodeFrame(encodeFrame("b", "decisions", { time_seconds: [3], pool: [0], before: [0], target: [1], reason: [""] })));
    const next = (time: number, way: 1 | -1) => nextDecision(found.tracks, time, way);
    expect([next(0, 1), next(1, 1), next(3, 1), next(5, 1)]).toEqual([1, 3, 5, 5]);
    expect([next(6, -1), next(5, -1), next(1, -1)]).toEqual([5, 3, 1]);
  });
});

describe("what a figure shows", () => {
  const span = { start: 1000, end: 9000 };

  it("begins with the recording, and has the moment at its right end later", () => {
    expect(shownTimes(span, 1000, 2000)).toEqual({ from: 1000, to: 3000 });
    expect(shownTimes(span, 8000, 2000)).toEqual({ from: 6100, to: 8100 });
  });

  it("is as long as what is there, where that is shorter", () => {
    expect(shownTimes({ start: 1000, end: 2000 }, 2000, 50_000)).toEqual({ from: 1000, to: 2050 });
    expect(shownTimes(span, span.end, wholeSeconds(span)).from).toBeCloseTo(span.start, 6);
  });

  it("has gaps where values are not known", () => {
    expect(scaled([NaN, 2, Infinity], 0.5)).toEqual([null, 1, null]);
  });
});

describe("the map", () => {
  it("has room for names, bars and containers around the outermost sites", () => {
    const sites = { site: [0, 1], name: ["a", "b"], x: [0, 1000], y: [0, 500], zone: [0, 0], cpu_cores: [1, 1], memory_gb: [1, 1], gpus: [1, 1] };
    const track = recording({ sites }).tracks[0];
    for (const [width, height] of [[360, 260], [900, 560]]) {
      const view = fit(track, width, height);
      const [left, right] = [0, 1000].map((x) => width / 2 + (x - view.x) * view.scale);
      const [low, high] = [0, 500].map((y) => height / 2 - (y - view.y) * view.scale);
      expect([left >= 23.9, width - right >= 47.9, high >= 35.9, height - low >= 27.9]).toEqual([true, true, true, true]);
    }
  });
});

describe("users", () => {
  it("move evenly between rows, and are away where a row says so", () => {
    const users = new Users();
    const track = recording({ users: { time_seconds: [0, 0, 10, 20], user: [0, 1, 0, 0], x: [0, 7, 10, NaN], y: [0, 7, 20, NaN] } }).tracks[0];
    users.update(track, 5);
    expect([users.x[0], users.y[0], users.x[1]]).toEqual([5, 10, 7]);
    users.update(track, 15);
    expect(users.x[0]).toBe(10);
    users.update(track, 25);
    expect(users.x[0]).toBeNaN();
  });
});

describe("the clock", () => {
  it("runs to the end, and begins again from the start", () => {
    const clock = new Clock();
    clock.setSpan(100, 200);
    expect(clock.time).toBe(100);
    clock.toggle();
    clock.speed = 60;
    expect(clock.advance(1)).toBe(true);
    expect(clock.time).toBe(160);
    clock.advance(1);
    expect([clock.time, clock.playing]).toEqual([200, false]);
    clock.toggle();
    expect(clock.time).toBe(100);
  });

  it("stays at an end that moves while it follows, until someone seeks", () => {
    const clock = new Clock();
    clock.setSpan(0, 10);
    clock.follow();
    clock.setSpan(0, 30);
    expect(clock.time).toBe(30);
    clock.seek(5);
    clock.setSpan(0, 40);
    expect(clock.time).toBe(5);
  });
});

describe("texts", () => {
  it("are for people", () => {
    expect([number(0), number(1234.5), number(12.345), number(1.2345), number(NaN), number(2e-5)]).toEqual(["0.00", "1,235", "12.3", "1.23", "–", "2.0e-5"]);
    expect([share(0.051), share(-0.1), share(0), share(NaN)]).toEqual(["+5.1 %", "−10.0 %", "±0.0 %", ""]);
    expect([duration(59), duration(61), duration(3700), duration(90_000)]).toEqual(["59 s", "1 min 1 s", "1 h 1 min", "1 d 1 h"]);
    expect([1, 0.25, 8, 427.52, NaN].map((value) => counted(value, "GPU"))).toEqual(["1 GPU", "0.25 GPUs", "8 GPUs", "428 GPUs", "– GPUs"]);
    expect(moment(86_461, null)).toBe("day 1 00:01:01");
    expect(moment(61, "2017-10-02T00:00:00")).toBe("2017-10-02 00:01:01");
  });
});

describe("marks of time", () => {
  it("are at round times of the wall clock, and name the day at midnight", () => {
    expect(ticks(0, 86_400, 5, null)).toEqual([0, 21_600, 43_200, 64_800, 86_400]);
    const start = "2017-09-04T10:30:00";
    const found = ticks(0, 43_200, 3, start);
    expect(found.map((at) => tickText(at, start))).toEqual(["12:00", "18:00"]);
    expect([tickText(48_600, start), tickText(86_400, null), tickText(61, null)]).toEqual(["09-05", "day 1", "00:01:01"]);
  });
});
