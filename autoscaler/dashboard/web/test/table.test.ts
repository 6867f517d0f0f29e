import { describe, expect, it } from "vitest";
import { decodeFrame, type Frame } from "../src/frame";
import { Latest, Table } from "../src/table";
import { encodeFrame } from "./encode";

const frame = (columns: Record<string, number[] | string[]>): Frame => decodeFrame(encodeFrame("a", "t", columns));

describe("a table", () => {
  it("keeps numbers and text of frames that come one after the other", () => {
    const table = new Table();
    table.append(frame({ time_seconds: [0, 10], name: ["x", "y"] }));
    table.append(frame({ time_seconds: Array.from({ length: 100 }, (_, i) => 20 + i), name: Array(100).fill("y") }));
    expect(table.rows).toBe(102);
    expect(table.numbers("time_seconds")[101]).toBe(119);
    expect([0, 1, 101].map((row) => table.text("name", row))).toEqual(["x", "y", "y"]);
  });

  it("finds the row of a moment", () => {
    const table = new Table();
    table.append(frame({ time_seconds: [0, 10, 10, 20] }));
    expect([-1, 0, 9, 10, 25].map((time) => table.rowAt(time))).toEqual([-1, 0, 0, 2, 3]);
  });

  it("lets sums rise evenly between rows", () => {
    const table = new Table();
    table.append(frame({ time_seconds: [0, 10], kwh: [1, 3] }));
    expect([-5, 0, 5, 10, 99].map((time) => table.between("kwh", time))).toEqual([0, 1, 2, 3, 3]);
  });
});

describe("the latest rows", () => {
  it("are the same whichever way time runs, also while rows come", () => {
    const table = new Table();
    const view = new Latest(table, "node");
    const random = (() => { let seed = 7; return () => (seed = (seed * 16807) % 2147483647) / 2147483647; })();
    const [times, nodes]: [number[], number[]] = [[], []];
    const expected = (time: number, node: number) => {
      for (let row = times.length - 1; row >= 0; row--) if (times[row] <= time && nodes[row] === node) return row;
      return -1;
    };
    let now = 0;
    for (let part = 0; part < 8; part++) {
      const columns = { time_seconds: [] as number[], node: [] as number[] };
      for (let row = 0; row < 40; row++) {
        now += Math.floor(random() * 3);
        columns.time_seconds.push(now);
        columns.node.push(Math.floor(random() * 90));
      }
      times.push(...columns.time_seconds);
      nodes.push(...columns.node);
      table.append(frame(columns));
      for (let look = 0; look < 6; look++) {
        const time = Math.floor(random() * (now + 5)) - 1;
        view.seek(time);
        for (let node = 0; node < 90; node++) expect(view.rowOf(node)).toBe(expected(time, node));
      }
    }
  });

  it("know the rows before and after of the same subject", () => {
    const table = new Table();
    table.append(frame({ time_seconds: [0, 1, 2, 3], node: [5, 6, 5, 5] }));
    const view = new Latest(table, "node");
    view.seek(2);
    expect(view.rowOf(5)).toBe(2);
    expect([view.before(2), view.after(2), view.before(0), view.after(3)]).toEqual([0, 3, -1, -1]);
    expect(view.rowOf(999)).toBe(-1);
  });
});
