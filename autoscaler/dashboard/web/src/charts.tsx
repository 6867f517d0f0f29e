import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import { useDraw, type Animation } from "./animation";
import type { Clock } from "./clock";
import { moment, number, tickText, ticks } from "./format";
import { useWidth } from "./hooks";
import type { Recording, Track } from "./recording";
import { lastAtMost } from "./search";
import type { Table } from "./table";
import { onThemeChange, theme } from "./theme";

interface Series {
  label: string;
  x: ArrayLike<number>;
  y: ArrayLike<number | null>;
  /** Points that came so far, also those that are here no longer. */
  came: number;
}

const HEIGHT = 140;
const REDRAW_MS = 1000;

interface XAxis {
  /** A value in words, and at a mark of the axis. */
  text: (x: number) => string;
  mark: (x: number) => string;
  /** Where the marks are; undefined: at round numbers. */
  marks?: (from: number, to: number, most: number) => number[];
}

/** One figure with a line for each series; the playhead is an element above it, so that it costs nothing to move. */
export function Chart({ title, series, axis, cursor, animation }: {
  title: string; series: Series[]; axis: XAxis; cursor?: () => number; animation?: Animation;
}) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  const head = useRef<HTMLDivElement>(null);
  const drawn = useRef({ rows: -1, at: 0 });
  const rows = series.reduce((sum, each) => sum + each.came, 0);
  const names = series.map((each) => each.label).join("\n");
  const fill = () => {
    drawn.current = { rows, at: performance.now() };
    plot.current?.setData(joined(series));
  };
  useEffect(() => {
    if (width === 0) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(title, series, width, axis), joined(series), ref.current!);
      drawn.current = { rows, at: performance.now() };
    };
    make();
    const forget = onThemeChange(make);
    return () => {
      forget();
      plot.current?.destroy();
      plot.current = null;
    };
  }, [width, names, title]);
  useEffect(() => {
    if (rows !== drawn.current.rows && performance.now() - drawn.current.at >= REDRAW_MS) fill();
    // The legend has the values at the playhead, unless the pointer says otherwise.
    const own = plot.current;
    if (own === null || cursor === undefined || series.length < 2 || (own.cursor.left ?? -1) >= 0) return;
    const at = Math.max(lastAtMost(own.data[0], cursor()), 0);
    own.setLegend({ idxs: own.data.map((values) => known(values, at)) }, false);
  });
  const place = () => {
    if (cursor === undefined || plot.current === null || head.current === null) return;
    const { over } = plot.current;
    const left = Math.min(Math.max(plot.current.valToPos(cursor(), "x"), 0), over.offsetWidth); // what is drawn may be older
    head.current.style.transform = `translateX(${left + over.offsetLeft}px)`;
  };
  if (animation !== undefined) useDraw(animation, place);
  return (
    <figure>
      <figcaption>{title}</figcaption>
      <div ref={ref} class="plot">{cursor !== undefined && <div ref={head} class="playhead" />}</div>
    </figure>
  );
}

function joined(series: Series[]): uPlot.AlignedData {
  if (series.length === 1) return [series[0].x, series[0].y] as unknown as uPlot.AlignedData;
  return uPlot.join(series.map(({ x, y }) => [x, y] as unknown as uPlot.AlignedData)) as uPlot.AlignedData;
}

/** The last place up to this one that has a value: policies are sampled at moments of their own. */
function known(values: ArrayLike<number | null | undefined>, at: number): number {
  while (at > 0 && values[at] == null) at--;
  return at;
}

function options(title: string, series: Series[], width: number, x: XAxis): uPlot.Options {
  const own = theme();
  const colours = [own.accent, own.second, own.warn, own.faint];
  const axis = { stroke: own.ink, grid: { stroke: own.line, width: 0.5 }, ticks: { stroke: own.line, width: 0.5 }, font: "11px system-ui, sans-serif" };
  return {
    width, height: HEIGHT, title: "", legend: { show: series.length > 1 }, cursor: { drag: { x: false, y: false } },
    padding: [8, 28, 0, 0],
    scales: { x: { time: false } },
    axes: [
      {
        ...axis, size: 24, gap: 4, space: 90, values: (_, splits) => splits.map((each) => (each === null ? "" : x.mark(each))),
        ...(x.marks === undefined ? {} : { splits: (_: uPlot, __: number, from: number, to: number) => x.marks!(from, to, Math.max(2, Math.floor(width / 90))) }),
      },
      { ...axis, size: 52, gap: 4, space: 26, values: (_, splits) => splits.map((each) => (each === null ? "" : plain(each))) },
    ],
    series: [
      { label: "time", value: (_, at) => (at === null ? "–" : x.text(at)) },
      ...series.map(({ label }, index) => ({
        label: label || title, stroke: colours[index % colours.length], width: 1.3, spanGaps: true, points: { show: false },
        value: (_: uPlot, y: number | null) => (y === null ? "–" : number(y)),
      })),
    ],
  };
}

/** A number at a mark, with as many digits as it needs. */
function plain(value: number): string {
  return value !== 0 && Math.abs(value) < 1e-3 ? value.toExponential(1) : value.toLocaleString("en-US", { maximumSignificantDigits: 6 });
}

/** Many steps in few characters: 20M. */
function short(value: number): string {
  return value.toLocaleString("en-US", { notation: "compact", maximumSignificantDigits: 4 });
}

export const STEPS: XAxis = { text: plain, mark: short };

const METRICS: [string, string, number][] = [
  ["power, kW", "watts", 1e-3],
  ["GPUs in use", "used_gpus", 1],
  ["GPUs that waiting jobs request", "waiting_gpus", 1],
];
const REQUEST_METRICS: [string, string, number][] = [
  ["power, kW", "watts", 1e-3],
  ["requests that run", "running", 1],
  ["requests that wait for a container", "waiting", 1],
];

export function Charts({ recording, tracks, clock, animation }: {
  recording: Recording; tracks: Track[]; clock: Clock; animation: Animation;
}) {
  const head = recording.head!;
  const axis = useMemo<XAxis>(() => ({
    text: (x) => moment(x, head.start_time),
    mark: (x) => tickText(x, head.start_time),
    marks: (from, to, most) => ticks(from, to, most, head.start_time),
  }), [head.start_time]);
  const metrics = head.kind === "cluster" ? METRICS : REQUEST_METRICS;
  const signals = recording.tracks[0]?.table("signals") ?? recording.shared.table("signals");
  const hasSignal = (name: string) => signals.numbers(name).subarray(0, signals.rows).some((value: number) => value > 0);
  return (
    <div class="charts">
      {tracks.some((track) => track.table("samples").rows > 0) && metrics.map(([title, column, factor]) => (
        <Samples key={column} title={title} column={column} factor={factor} tracks={tracks} axis={axis} clock={clock} animation={animation} />
      ))}
      {hasSignal("grams_per_kwh") && <Signal title="carbon intensity, gCO₂e/kWh" column="grams_per_kwh" recording={recording} signals={signals} axis={axis} clock={clock} animation={animation} />}
      {hasSignal("usd_per_kwh") && <Signal title="price, USD/kWh" column="usd_per_kwh" recording={recording} signals={signals} axis={axis} clock={clock} animation={animation} />}
    </div>
  );
}

interface Shared {
  title: string;
  column: string;
  axis: XAxis;
  clock: Clock;
  animation: Animation;
}

function Samples({ tracks, column, factor, clock, ...shared }: Shared & { tracks: Track[]; factor: number }) {
  const rows = tracks.map((track) => `${track.head.name} ${track.table("samples").came}`).join();
  const series = useMemo(() => tracks.map((track) => samplesOf(track, column, factor)), [rows, column, factor]);
  return <Chart series={series} cursor={() => clock.time} {...shared} />;
}

function Signal({ recording, signals, column, clock, ...shared }: Shared & { recording: Recording; signals: Table }) {
  const series = useMemo(() => zonesOf(recording, signals, column), [signals, signals.came, column, recording.end]);
  return <Chart series={series} cursor={() => clock.time} {...shared} />;
}

function samplesOf(track: Track, column: string, factor: number): Series {
  const samples = track.table("samples");
  const values = samples.numbers(column).subarray(0, samples.rows);
  const x = samples.numbers("time_seconds").subarray(0, samples.rows);
  return { label: track.head.title || track.head.name, x, y: scaled(values, factor), came: samples.came };
}

/** Values in another unit; what is not known is a gap, for a single NaN would leave the figure empty. */
export function scaled(values: ArrayLike<number>, factor: number): (number | null)[] {
  return Array.from(values, (value) => (Number.isFinite(value) ? value * factor : null));
}

/** A line with steps for each of the first four zones. */
function zonesOf(recording: Recording, signals: Table, column: string): Series[] {
  const [times, zones, values] = [signals.numbers("time_seconds"), signals.numbers("zone"), signals.numbers(column)];
  return recording.head!.zones.slice(0, 4).map((label, zone) => {
    const [x, y]: [number[], number[]] = [[], []];
    for (let row = 0; row < signals.rows; row++) {
      if (zones[row] !== zone) continue;
      if (y.length > 0) {
        x.push(times[row]);
        y.push(y[y.length - 1]);
      }
      x.push(times[row]);
      y.push(values[row]);
    }
    if (y.length > 0 && recording.end > x[x.length - 1]) {
      x.push(recording.end);
      y.push(y[y.length - 1]);
    }
    return { label, x, y, came: signals.came };
  });
}
