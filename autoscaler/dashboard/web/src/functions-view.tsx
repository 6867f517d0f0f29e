import { useMemo, useRef, useState } from "preact/hooks";
import { useCanvas, type Animation } from "./animation";
import type { Clock } from "./clock";
import { drawFunctions, Functions } from "./functions";
import { onKeys, useZoom } from "./hooks";
import { CONTAINER_STATES, type Recording, type Track } from "./recording";
import { theme } from "./theme";
import { shownTimes, wholeSeconds } from "./timeline";

const HEIGHT = 300;
const SECONDS = 6 * 3600;
const SHOWN = 12;

/** Functions in time by the states of their containers, those with the most containers first. */
export function FunctionsInTime({ recording, track, clock, animation, width }: {
  recording: Recording; track: Track; clock: Clock; animation: Animation; width: number;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const table = track.table("containers");
  const functions = useMemo(() => new Functions(table), [table]);
  functions.update();
  const head = recording.head!;
  const order = useMemo(() => functions.busiest(), [functions, table.rows]);
  const [seconds, zoom] = useZoom(SECONDS, wholeSeconds(recording));
  const [top, setTop] = useState(0);
  const count = Math.min(SHOWN, Math.max(order.length, 1));
  const first = Math.min(top, Math.max(0, order.length - count));
  useCanvas(animation, canvas, width, HEIGHT, (context) => {
    const view = { ...shownTimes(recording, clock.time, seconds), top: first, rows: count };
    drawFunctions(context, width, HEIGHT, functions, order, head.services, view, clock.time, head.start_time, theme());
  });
  const scroll = (by: number) => setTop(Math.min(Math.max(first + by, 0), Math.max(0, order.length - count)));
  const onKey = onKeys({ "+": () => zoom(0.5), "-": () => zoom(2), ArrowUp: () => scroll(-4), ArrowDown: () => scroll(4) });
  const totals = order.reduce((sums, service) => functions.at(service, clock.time).map((value, state) => value + sums[state]), CONTAINER_STATES.map(() => 0));
  return (
    <div>
      <h3>Functions in time</h3>
      <ul class="legend">
        {CONTAINER_STATES.slice(1).map((state, index) => <li key={state}><span class={`key ${state}`} aria-hidden="true" />{totals[index + 1]} {state}</li>)}
      </ul>
      {order.length === 0 && <p class="empty">No container has started yet.</p>}
      <canvas
        ref={canvas} tabIndex={0} role="application" style={{ width: `${width}px`, height: `${HEIGHT}px` }} onKeyDown={onKey}
        aria-label={`${count} of ${order.length} functions in time, by the states of their containers. Plus and minus zoom, up and down scroll.`}
      />
      <div class="buttons">
        <button type="button" onClick={() => zoom(0.5)}>Zoom in</button>
        <button type="button" onClick={() => zoom(2)}>Zoom out</button>
        {order.length > count && <button type="button" onClick={() => scroll(-count)}>Up</button>}
        {order.length > count && <button type="button" onClick={() => scroll(count)}>Down</button>}
      </div>
    </div>
  );
}
