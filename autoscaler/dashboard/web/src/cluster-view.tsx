import { useMemo, useRef, useState } from "preact/hooks";
import { useCanvas, type Animation } from "./animation";
import { Bars } from "./bars";
import type { Clock } from "./clock";
import { drawGantt, drawNodes, layoutNodes, nodeAt, type Rows } from "./draw";
import { counted, moment } from "./format";
import { FunctionsInTime } from "./functions-view";
import { onKeys, useWidth, useZoom } from "./hooks";
import { NODE_STATES, OFF, type Recording, type Track } from "./recording";
import { isDark, theme } from "./theme";
import { shownTimes, wholeSeconds, type Viewport } from "./timeline";
import { nodeFacts } from "./why";

const GANTT_HEIGHT = 240;
const GANTT_SECONDS = 12 * 3600;
const ALWAYS: ReadonlySet<string> = new Set(["off", "booting", "idle", "busy"]);

export function ClusterView({ recording, track, clock, animation }: {
  recording: Recording; track: Track; clock: Clock; animation: Animation;
}) {
  const [selected, setSelected] = useState(-1);
  const [ref, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const head = recording.head!;
  const nodes = track.table("nodes");
  const layout = useMemo(() => layoutNodes(track, head, Math.max(width, 1)), [track, width, nodes, nodes.rows]);
  const jobs = track.table("jobs");
  const bars = useMemo(() => new Bars(jobs), [jobs]);
  bars.update();
  useCanvas(animation, canvas, width, layout.height, (context) => {
    bars.update();
    drawNodes(context, layout, track, clock.time, theme(), selected);
  });
  const pick = (event: MouseEvent) => {
    const box = canvas.current!.getBoundingClientRect();
    setSelected(nodeAt(layout, event.clientX - box.left, event.clientY - box.top));
  };
  const step = (by: number) => () => {
    const at = layout.node.indexOf(selected);
    setSelected(layout.node[Math.min(Math.max(at < 0 ? 0 : at + by, 0), layout.node.length - 1)] ?? -1);
  };
  const across = Math.max(1, Math.floor(width / layout.cell));
  const onKey = onKeys({ ArrowLeft: step(-1), ArrowRight: step(1), ArrowUp: step(-across), ArrowDown: step(across) });
  const counts = countStates(track, clock.time);
  const facts = selected < 0 ? null : nodeFacts(head, track, bars, selected, clock.time);
  return (
    <div ref={ref}>
      <ul class="legend">
        {NODE_STATES.map((state, index) => (counts[index] > 0 || ALWAYS.has(state)) && (
          <li key={state}><span class={`key ${state}`} aria-hidden="true" />{counts[index]} {state}</li>
        ))}
      </ul>
      <canvas
        ref={canvas} tabIndex={0} role="application" style={{ width: `${width}px`, height: `${layout.height}px` }}
        aria-label={`nodes of ${track.head.title || track.head.name}: ${summary(counts)}. Arrow keys choose a node.`}
        onClick={pick} onKeyDown={onKey}
      />
      <div aria-live="polite">
        {facts !== null && (
          <div class="panel">
            <h3>{facts.name}: {facts.state}</h3>
            {facts.sentences.map((text) => <p key={text}>{text}</p>)}
            <details>
              <summary>History</summary>
              <ul>{facts.history.map(({ time, state, gpus }, index) => <li key={index}>{moment(time, head.start_time)} {state}{gpus > 0 && head.kind === "cluster" && `, ${counted(gpus, "GPU")} in use`}</li>)}</ul>
            </details>
            <button type="button" onClick={() => setSelected(-1)}>Close</button>
          </div>
        )}
      </div>
      {head.kind === "functions"
        ? <FunctionsInTime recording={recording} track={track} clock={clock} animation={animation} width={width} />
        : <Gantt recording={recording} track={track} bars={bars} clock={clock} animation={animation} width={width} />}
    </div>
  );
}

/** How many nodes are in each state. */
function countStates(track: Track, time: number): number[] {
  const view = track.latest("node_states");
  view.seek(time);
  const states = view.table.numbers("state");
  const counts = NODE_STATES.map(() => 0);
  for (let node = 0; node < view.subjects; node++) if (view.rowOf(node) >= 0) counts[states[view.rowOf(node)]]++;
  counts[OFF] += Math.max(0, track.table("nodes").rows - counts.reduce((sum, count) => sum + count, 0));
  return counts;
}

/** The same in words, for readers of screens. */
function summary(counts: number[]): string {
  return NODE_STATES.flatMap((state, index) => (counts[index] > 0 && state !== "off" ? [`${counts[index]} ${state}`] : [])).join(", ") || "all off";
}

function Gantt({ recording, track, bars, clock, animation, width }: {
  recording: Recording; track: Track; bars: Bars; clock: Clock; animation: Animation; width: number;
}) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const nodes = track.table("nodes");
  const pools = recording.head!.pools;
  const rows = useMemo<Rows>(() => {
    const numbers = nodes.numbers("node");
    const most = nodes.rows === 0 ? 0 : Math.max(...numbers.subarray(0, nodes.rows)) + 1;
    const places = new Int32Array(most);
    const sizes = new Float32Array(most).fill(1);
    for (let row = 0; row < nodes.rows; row++) {
      places[numbers[row]] = row;
      sizes[numbers[row]] = pools[nodes.numbers("pool")[row]]?.gpus_per_node ?? 1;
    }
    return { place: places, gpus: sizes, name: (place) => nodes.text("name", place) };
  }, [nodes, nodes.rows]);
  const [seconds, zoom] = useZoom(GANTT_SECONDS, wholeSeconds(recording));
  const [shown, setShown] = useState(40);
  const [top, setTop] = useState(0);
  const [behind, setBehind] = useState(0);
  const most = Math.max(1, nodes.rows);
  const count = Math.min(shown, most);
  const view = (): Viewport => ({ ...shownTimes(recording, clock.time - behind, seconds), top: Math.min(top, Math.max(0, most - count)), rows: count });
  useCanvas(animation, canvas, width, GANTT_HEIGHT, (context) => {
    drawGantt(context, width, GANTT_HEIGHT, bars, view(), rows, clock.time, recording.head!.start_time, theme(), isDark());
  });
  const scroll = (by: number) => setTop(Math.min(Math.max(top + by, 0), Math.max(0, most - count)));
  const back = (by: number) => setBehind(Math.max(0, Math.min(behind + by, clock.time - recording.start - seconds / 2)));
  const onKey = onKeys({
    "+": () => zoom(0.5), "-": () => zoom(2), ArrowUp: () => scroll(-count / 4), ArrowDown: () => scroll(count / 4),
    ArrowLeft: () => back(seconds / 4), ArrowRight: () => back(-seconds / 4),
    PageUp: () => setShown(Math.max(4, count / 2)), PageDown: () => setShown(Math.min(most, count * 2)),
  });
  const onWheel = (event: WheelEvent) => {
    if (!event.ctrlKey && !event.shiftKey) return;
    event.preventDefault();
    if (event.ctrlKey) zoom(event.deltaY > 0 ? 1.25 : 0.8);
    else scroll((event.deltaY / GANTT_HEIGHT) * count);
  };
  return (
    <div class="gantt">
      <h3>Jobs on nodes</h3>
      <canvas
        ref={canvas} tabIndex={0} role="application" style={{ width: `${width}px`, height: `${GANTT_HEIGHT}px` }} onKeyDown={onKey} onWheel={onWheel}
        aria-label={`jobs as bars over ${count} of ${most} nodes. Plus and minus zoom in time, page up and down in nodes, arrows scroll.`}
      />
      <div class="buttons">
        <button type="button" onClick={() => zoom(0.5)}>Zoom in</button>
        <button type="button" onClick={() => zoom(2)}>Zoom out</button>
        <button type="button" onClick={() => back(seconds / 4)}>Earlier</button>
        <button type="button" disabled={behind === 0} onClick={() => back(-seconds / 4)}>Later</button>
        {most > count && <button type="button" onClick={() => scroll(-count / 2)}>Up</button>}
        {most > count && <button type="button" onClick={() => scroll(count / 2)}>Down</button>}
      </div>
    </div>
  );
}
