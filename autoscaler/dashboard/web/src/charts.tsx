import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import { useDraw, type Animation } from "./animation";
import type { Clock } from "./clock";
import { moment } from "./format";
import { useWidth } from "./hooks";
import type { Recording, Track } from "./recording";
import { onThemeChange, theme } from "./theme";

interface Series {
  label: string;
  x: ArrayLike<number>;
  y: ArrayLike<number>;
}

const HEIGHT = 130;
const REDRAW_MS = 1000;

/** One figure with a line for each series; the playhead is an element above it, so that it costs nothing to move. */
export function Chart({ title, series, cursor, xText, animation }: {
  title: string; series: Series[]; cursor?: () => number; xText: (x: number) => string; animation?: Animation;
}) {
  const [ref, width] = useWidth<HTMLDivElement>();
  const plot = useRef<uPlot | null>(null);
  const head = useRef<HTMLDivElement>(null);
  const drawn = useRef({ rows: -1, at: 0 });
  const rows = series.reduce((sum, each) => sum + each.x.length, 0);
  const names = series.map((each) => each.label).join("\n");
  const fill = () => {
    drawn.current = { rows, at: performance.now() };
    plot.current?.setData(joined(series));
  };
  useEffect(() => {
    if (width === 0) return;
    const make = () => {
      plot.current?.destroy();
      plot.current = new uPlot(options(title, series, width, xText), joined(series), ref.current!);
      drawn.current = { rows, at: performance.now() };
    };
    make();
    onThemeChange(make);
    return () => {
      plot.current?.destroy();
      plot.current = null;
    };
  }, [width, names, title]);
  useEffect(() => {
    if (rows !== drawn.current.rows && performance.now() - drawn.current.at >= REDRAW_MS) fill();
  });
  const place = () => {
    if (cursor === undefined || plot.current === null || head.current === null) return;
    const left = plot.current.valToPos(cursor(), "x") + plot.current.over.offsetLeft;
    head.current.style.transform = `translateX(${left}px)`;
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

function options(title: string, series: Series[], width: number, xText: (x: number) => string): uPlot.Options {
  const own = theme();
  const colours = [own.accent, own.second, own.warn, own.faint];
  const axis = { stroke: own.ink, grid: { stroke: own.line, width: 0.5 }, ticks: { stroke: own.line, width: 0.5 }, font: "11px system-ui, sans-serif" };
  return {
    width, height: HEIGHT, title: "", legend: { show: series.length > 1 }, cursor: { drag: { x: true, y: false } },
    scales: { x: { time: false } },
    axes: [{ ...axis, values: (_, splits) => splits.map((x) => (x === null ? "" : xText(x))), space: 90 }, { ...axis, size: 48 }],
    series: [
      { label: "time", value: (_, x) => (x === null ? "–" : xText(x)) },
      ...series.map(({ label }, index) => ({ label: label || title, stroke: colours[index % colours.length], width: 1.3, spanGaps: true, points: { show: false } })),
    ],
  };
}

const METRICS: [string, string, number][] = [
  ["power, kW", "watts", 1e-3],
  ["GPUs in use", "used_gpus", 1],
  ["GPUs that waiting jobs request", "waiting_gpus", 1],
];

export function Charts({ recording, tracks, clock, animation }: {
  recording: Recording; tracks: Track[]; clock: Clock; animation: Animation;
}) {
  const head = recording.head!;
  const xText = (x: number) => moment(x, head.start_time).slice(head.start_time === null ? 0 : 5, head.start_time === null ? undefined : 16);
  const signals = recording.tracks[0]?.table("signals") ?? recording.shared.table("signals");
  const hasSignal = (name: string) => signals.numbers(name).subarray(0, signals.rows).some((value: number) => value > 0);
  return (
    <div class="charts">
      {tracks.some((track) => track.table("samples").rows > 0) && METRICS.map(([title, column, factor]) => (
        <Chart
          key={column} title={title} xText={xText} cursor={() => clock.time} animation={animation}
          series={tracks.map((track) => samplesOf(track, column, factor))}
        />
      ))}
      {hasSignal("grams_per_kwh") && <Chart title="carbon intensity, gCO₂e/kWh" xText={xText} cursor={() => clock.time} animation={animation} series={zonesOf(recording, signals, "grams_per_kwh")} />}
      {hasSignal("usd_per_kwh") && <Chart title="price, USD/kWh" xText={xText} cursor={() => clock.time} animation={animation} series={zonesOf(recording, signals, "usd_per_kwh")} />}
    </div>
  );
}

function samplesOf(track: Track, column: string, factor: number): Series {
  const samples = track.table("samples");
  const y = samples.numbers(column).subarray(0, samples.rows);
  return { label: track.head.title || track.head.name, x: samples.numbers("time_seconds").subarray(0, samples.rows), y: factor === 1 ? y : Float64Array.from(y, (value) => value * factor) };
}

/** A line with steps for each of the first four zones. */
function zonesOf(recording: Recording, signals: ReturnType<Track["table"]>, column: string): Series[] {
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
    return { label, x, y };
  });
}
