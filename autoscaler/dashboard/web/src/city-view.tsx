import { useMemo, useRef, useState } from "preact/hooks";
import { sized, useCanvas, type Animation } from "./animation";
import { drawCity, drawRoads, fit, siteAt, Users, type MapView } from "./city";
import type { Clock } from "./clock";
import { moment, number } from "./format";
import { containersOn } from "./functions";
import { onKeys, useWidth } from "./hooks";
import { CONTAINER_STATES, type Recording, type Track } from "./recording";
import { carbonColour, theme } from "./theme";
import { decisionsOf, reasonsOf } from "./why";

export function CityView({ recording, track, clock, animation }: {
  recording: Recording; track: Track; clock: Clock; animation: Animation;
}) {
  const [selected, setSelected] = useState(-1);
  const [ref, width] = useWidth<HTMLDivElement>();
  const canvas = useRef<HTMLCanvasElement>(null);
  const height = Math.round(Math.max(260, Math.min(560, width * 0.7)));
  const [moved, setMoved] = useState<MapView | null>(null);
  const rows = track.table("roads").rows + track.table("sites").rows;
  const fitted = useMemo(() => fit(track, Math.max(width, 1), height), [track, width, rows]);
  const view = moved ?? fitted;
  const users = useMemo(() => new Users(), [track]);
  users.update(track, clock.time);
  const roads = useMemo(() => {
    const picture = document.createElement("canvas");
    if (width > 0) drawRoads(sized(picture, width, height), track, view, width, height, theme());
    return picture;
  }, [track, width, rows, view.x, view.y, view.scale, theme().line]);
  const mostGrams = useMemo(() => {
    const signals = track.table("signals");
    return Float64Array.from(signals.numbers("grams_per_kwh").subarray(0, signals.rows)).reduce((most, value) => (value > most ? value : most), 0);
  }, [track, track.table("signals").rows]);
  useCanvas(animation, canvas, width, height, (context) => {
    drawCity(context, roads, track, users, clock.time, theme(), { view, width, height, selected, mostGrams });
  });
  const sites = track.table("sites");
  const choose = (by: number) => () => setSelected((Math.max(selected, by < 0 ? 0 : -1) + by + sites.rows) % Math.max(sites.rows, 1));
  const zoom = (factor: number) => setMoved({ ...view, scale: view.scale * factor });
  const pan = (x: number, y: number) => setMoved({ ...view, x: view.x + (x * width) / view.scale, y: view.y + (y * height) / view.scale });
  const drag = useRef<{ x: number; y: number; view: MapView } | null>(null);
  const onKey = onKeys({
    "+": () => zoom(1.4), "-": () => zoom(1 / 1.4), "0": () => setMoved(null),
    ArrowLeft: () => pan(-0.2, 0), ArrowRight: () => pan(0.2, 0), ArrowUp: () => pan(0, 0.2), ArrowDown: () => pan(0, -0.2),
    n: choose(1), p: choose(-1),
  });
  return (
    <div ref={ref}>
      <ul class="legend">
        {[0, 0.5, 1].map((part) => <li key={part}><span class="key disc" style={{ background: carbonColour(part, 1) }} aria-hidden="true" />{number(part * mostGrams, 1)} g/kWh</li>)}
        <li><span class="key fast" aria-hidden="true" />under 20 ms</li>
        <li><span class="key medium" aria-hidden="true" />under 50 ms</li>
        <li><span class="key slow" aria-hidden="true" />slower, or not served</li>
        <li><span class="key bar" aria-hidden="true" />CPU, memory, GPUs in use</li>
        {CONTAINER_STATES.slice(1).map((state) => <li key={state}><span class={`key dot ${state}`} aria-hidden="true" />{state}</li>)}
      </ul>
      <div class="map">
        <canvas
          ref={canvas} tabIndex={0} role="application" style={{ width: `${width}px`, height: `${height}px` }}
          aria-label={`map of ${sites.rows} sites and ${users.count} users. Plus, minus and arrows move the map, n and p choose a site.`}
          onKeyDown={onKey}
          onWheel={(event) => { if (!event.ctrlKey) return; event.preventDefault(); zoom(event.deltaY > 0 ? 0.8 : 1.25); }}
          onPointerDown={(event) => { drag.current = { x: event.clientX, y: event.clientY, view }; event.currentTarget.setPointerCapture(event.pointerId); }}
          onPointerMove={(event) => {
            const from = drag.current;
            if (from === null || Math.hypot(event.clientX - from.x, event.clientY - from.y) < 4) return;
            setMoved({ ...from.view, x: from.view.x - (event.clientX - from.x) / view.scale, y: from.view.y + (event.clientY - from.y) / view.scale });
          }}
          onPointerUp={(event) => {
            const from = drag.current;
            drag.current = null;
            if (from === null || Math.hypot(event.clientX - from.x, event.clientY - from.y) >= 4) return;
            const box = canvas.current!.getBoundingClientRect();
            setSelected(siteAt(track, view, width, height, event.clientX - box.left, event.clientY - box.top));
          }}
        />
        {recording.head!.attribution.length > 0 && <p class="attribution">{recording.head!.attribution.join(" · ")}</p>}
      </div>
      <div class="buttons">
        <button type="button" onClick={() => zoom(1.4)}>Zoom in</button>
        <button type="button" onClick={() => zoom(1 / 1.4)}>Zoom out</button>
        <button type="button" onClick={() => setMoved(null)}>Whole city</button>
        <label>
          site{" "}
          <select value={selected} onChange={(event) => setSelected(Number(event.currentTarget.value))}>
            <option value={-1}>none</option>
            {Array.from({ length: sites.rows }, (_, site) => <option key={site} value={site}>{sites.text("name", site)}</option>)}
          </select>
        </label>
      </div>
      <div aria-live="polite">{selected >= 0 && selected < sites.rows && <Site recording={recording} track={track} site={selected} time={clock.time} />}</div>
    </div>
  );
}

const SHOWN = 6;
const COUNTS = ["pulling", "starting", "warm", "busy", "queue"] as const;

/** What a site has and does: its resources, its containers by state, its history and its decisions. */
function Site({ recording, track, site, time }: { recording: Recording; track: Track; site: number; time: number }) {
  const head = recording.head!;
  const sites = track.table("sites");
  const states = track.latest("site_states");
  states.seek(time);
  const row = states.rowOf(site);
  const value = (name: string, at = row) => (at < 0 ? 0 : states.table.numbers(name)[at]);
  const history: number[] = [];
  for (let each = row; each >= 0 && history.length < 12; each = states.before(each)) history.push(each);
  const decisions = track.table("decisions");
  const decided = decisionsOf(track, site, time, SHOWN);
  const containers = containersOn(track, site, time, head.services);
  return (
    <div class="panel">
      <h3>{sites.text("name", site)}: {value("on") > 0 ? "on" : "off"}</h3>
      <dl class="totals">
        {(["cpu_cores", "memory_gb", "gpus"] as const).map((name, index) => (
          <div key={name}>
            <dt>{["CPU", "memory", "GPU"][index]}</dt>
            <dd><meter min={0} max={Math.max(sites.numbers(name)[site], 1e-6)} value={value(name)} aria-label={["CPU", "memory", "GPU"][index]} /> {number(value(name), 2)} of {number(sites.numbers(name)[site], 2)} <span class="unit">{["cores", "GB", "GPUs"][index]}</span></dd>
          </div>
        ))}
        <div><dt>power</dt><dd>{number(value("watts"))} <span class="unit">W</span></dd></div>
        {COUNTS.map((name) => <div key={name}><dt>{name}</dt><dd>{value(name)}</dd></div>)}
      </dl>
      {reasonsOf(track, "site", site, time).map((text) => <p key={text}>{text}</p>)}
      {containers.length > 0 && <p>{containers.join(", ")}</p>}
      <details open={decided.length > 0}>
        <summary>Decisions</summary>
        {decided.length === 0 && <p class="empty">None about this site so far.</p>}
        <ul>{decided.map((at) => <li key={at}>{moment(decisions.numbers("time_seconds")[at], head.start_time)} {decisions.text("reason", at)}</li>)}</ul>
      </details>
      <details>
        <summary>History</summary>
        <ul>{history.map((at) => <li key={at}>{moment(states.table.numbers("time_seconds")[at], head.start_time)}: {number(value("cpu_cores", at), 2)} cores, {value("busy", at)} busy, {value("warm", at)} warm, {value("starting", at)} starting, {value("pulling", at)} pulling</li>)}</ul>
      </details>
    </div>
  );
}
