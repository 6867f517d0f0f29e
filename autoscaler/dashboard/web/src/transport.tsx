import { SPEEDS, type Clock } from "./clock";
import { duration, moment } from "./format";
import type { Recording, Track } from "./recording";

/** The time of the decision before or after a moment, of any of these policies; the moment itself where there is none. */
export function nextDecision(tracks: Track[], time: number, direction: 1 | -1): number {
  let best = NaN;
  for (const track of tracks) {
    const table = track.table("decisions");
    const times = table.numbers("time_seconds");
    let row = table.rowAt(time);
    if (direction > 0) row += 1;
    else while (row >= 0 && times[row] >= time) row -= 1;
    if (row < 0 || row >= table.rows) continue;
    if (Number.isNaN(best) || direction * times[row] < direction * best) best = times[row];
  }
  return Number.isNaN(best) ? time : best;
}

function speedText(speed: number): string {
  return speed === 1 ? "real time" : `${duration(speed).replace(/ 0 (s|min|h)$/, "")} a second`;
}

export function Transport({ clock, recording, tracks, onChange }: {
  clock: Clock; recording: Recording; tracks: Track[]; onChange: () => void;
}) {
  const { start, end } = recording;
  const head = recording.head!;
  const act = (action: () => void) => () => {
    action();
    onChange();
  };
  const shown = moment(clock.time, head.start_time);
  return (
    <div class="transport" role="group" aria-label="time">
      <button type="button" onClick={act(() => clock.toggle())}>{clock.playing ? "Pause" : "Play"}</button>
      <button type="button" aria-label="decision before" title="decision before ( , )" onClick={act(() => clock.seek(nextDecision(tracks, clock.time, -1)))}>‹</button>
      <button type="button" aria-label="next decision" title="next decision ( . )" onClick={act(() => clock.seek(nextDecision(tracks, clock.time, 1)))}>›</button>
      <label>
        <span class="hidden">speed</span>
        <select value={clock.speed} onChange={(event) => act(() => { clock.speed = Number(event.currentTarget.value); })()}>
          {SPEEDS.map((speed) => <option key={speed} value={speed}>{speedText(speed)}</option>)}
        </select>
      </label>
      <input
        type="range" aria-label="moment" aria-valuetext={shown} min={start} max={Math.max(end, start + 1)} step="any" value={clock.time}
        onInput={(event) => act(() => clock.seek(Number(event.currentTarget.value)))()}
      />
      <time>{shown}</time>
      {!head.finished && (
        <button type="button" aria-pressed={clock.following} onClick={act(() => clock.follow())}>Follow</button>
      )}
    </div>
  );
}
