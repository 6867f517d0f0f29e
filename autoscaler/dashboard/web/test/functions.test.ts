import { describe, expect, it } from "vitest";
import { decodeFrame } from "../src/frame";
import { containersOn, Functions } from "../src/functions";
import { Recording, type Head } from "../src/recording";
import { encodeFrame } from "./encode";

const HEAD: Head = {
  kind: "functions", title: "t", tracks: [{ name: "a", title: "", reference: true }], start_seconds: 0, end_seconds: 20, finished: true,
  start_time: null, source: {}, zones: [], services: ["f", "g"], map: {}, attribution: [], pools: [],
};

describe("functions in time", () => {
  const found = new Recording();
  found.setHead(HEAD);
  found.append(decodeFrame(encodeFrame("a", "containers", {
    time_seconds: [0, 0, 5, 5, 10, 12], container: [0, 1, 0, 2, 1, 0], site: [0, 0, 0, 1, 0, 0], service: [0, 0, 0, 1, 0, 0], state: [1, 3, 4, 3, 0, 0],
  })));
  const track = found.tracks[0];
  const functions = new Functions(track.table("containers"));
  functions.update();

  it("count the containers of each by state", () => {
    expect([0, 5, 10, 12].map((time) => functions.at(0, time))).toEqual([[0, 1, 0, 1, 0], [0, 0, 0, 1, 1], [0, 0, 0, 0, 1], [0, 0, 0, 0, 0]]);
    expect(functions.at(1, 4)).toEqual([0, 0, 0, 0, 0]);
    expect(functions.busiest()).toEqual([0, 1]);
    expect(functions.histories[0].most).toBe(2);
  });

  it("say what is on a node", () => {
    expect(containersOn(track, 0, 6, HEAD.services)).toEqual(["1 × f busy", "1 × f warm"]);
    expect(containersOn(track, 1, 6, HEAD.services)).toEqual(["1 × g warm"]);
    expect(containersOn(track, 0, 15, HEAD.services)).toEqual([]);
  });
});
