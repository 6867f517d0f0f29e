/** A figure of rows in time: their names at the left, times below, and the moment as a line. */

import { tickText, ticks } from "./format";
import type { Recording } from "./recording";
import type { Theme } from "./theme";

export interface Viewport {
  from: number;
  to: number;
  /** First row that is shown, and how many: not whole. */
  top: number;
  rows: number;
}

/** What is drawn inside has this size, without names and times. */
export interface Inside {
  width: number;
  height: number;
  /** Pixels for a row, and for a second. */
  row: number;
  scale: number;
}

/** Of what is shown, how much lies after the moment. */
const AHEAD = 0.05;

/** From when to when a figure shows a moment: at most so many seconds, and nothing from before the recording began. */
export function shownTimes({ start, end }: Pick<Recording, "start" | "end">, time: number, seconds: number): Pick<Viewport, "from" | "to"> {
  const from = Math.max(time - (1 - AHEAD) * seconds, start);
  const after = AHEAD * Math.max(time - from, 60);
  return { from, to: Math.max(time + after, Math.min(from + seconds, end)) };
}

/** How much of that shows all of a recording. */
export function wholeSeconds({ start, end }: Pick<Recording, "start" | "end">): number {
  return (end - start) / (1 - AHEAD);
}

const GUTTER = 72;
const AXIS = 18;
const LABEL_DISTANCE = 13;

export function drawTimeline(
  context: CanvasRenderingContext2D, width: number, height: number, view: Viewport, name: (row: number) => string,
  time: number, startTime: string | null, theme: Theme, content: (inside: Inside) => void,
): void {
  const inside = { width: width - GUTTER, height: height - AXIS, row: (height - AXIS) / view.rows, scale: (width - GUTTER) / (view.to - view.from) };
  context.clearRect(0, 0, width, height);
  drawNames(context, inside, view, name, theme);
  context.save();
  context.translate(GUTTER, 0);
  drawTimes(context, inside, view, startTime, theme);
  context.beginPath();
  context.rect(0, 0, inside.width, inside.height);
  context.clip();
  content(inside);
  context.fillStyle = theme.accent;
  context.fillRect((time - view.from) * inside.scale - 0.75, 0, 1.5, inside.height);
  context.restore();
}

/** Names of as many rows as have room. */
function drawNames(context: CanvasRenderingContext2D, { height, row }: Inside, view: Viewport, name: (row: number) => string, theme: Theme): void {
  const every = Math.max(1, Math.ceil(LABEL_DISTANCE / row));
  context.font = "11px system-ui, sans-serif";
  context.fillStyle = theme.faint;
  context.textBaseline = "middle";
  for (let place = Math.ceil(view.top / every) * every; place < view.top + view.rows; place += every) {
    const y = (place - view.top + 0.5) * row;
    if (y > 5 && y < height - 5) context.fillText(name(place), 0, y, GUTTER - 6);
  }
  context.textBaseline = "alphabetic";
}

/** Lines at round times, with the times below. */
function drawTimes(context: CanvasRenderingContext2D, { width, height, scale }: Inside, view: Viewport, startTime: string | null, theme: Theme): void {
  context.textAlign = "center";
  for (const at of ticks(view.from, view.to, Math.max(2, Math.floor(width / 80)), startTime)) {
    const x = (at - view.from) * scale;
    context.fillStyle = theme.line;
    context.fillRect(x, 0, 0.5, height);
    context.fillStyle = theme.faint;
    if (x > 16 && x < width - 16) context.fillText(tickText(at, startTime), x, height + AXIS - 4);
  }
  context.textAlign = "start";
}
