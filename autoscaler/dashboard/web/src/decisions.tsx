import type { Clock } from "./clock";
import { counted, duration, moment } from "./format";
import type { Recording, Track } from "./recording";
import { jobName, reasonsOf, waitingRows } from "./why";

const SHOWN = 8;

/** The last decisions up to a moment, newest first, with their reasons, and the jobs that wait longest. */
export function Decisions({ recording, track, clock, onSeek }: {
  recording: Recording; track: Track; clock: Clock; onSeek: () => void;
}) {
  const head = recording.head!;
  const table = track.table("decisions");
  const times = table.numbers("time_seconds");
  const last = table.rowAt(clock.time);
  const rows = Array.from({ length: Math.min(SHOWN, last + 1) }, (_, index) => last - index);
  const names = head.kind === "city" ? track.table("sites") : null;
  const aim = (target: number) => (names === null ? `${target}` : (names.text("name", target) || "none"));
  const where = (pool: number) => (pool < 0 ? "" : names !== null ? `zone of ${names.text("name", pool)}:` : (head.pools[pool]?.name ?? ""));
  return (
    <div class="lists">
      <div>
        <h3>Decisions</h3>
        {rows.length === 0 && <p class="empty">None so far.</p>}
        <ul class="decisions">
          {rows.map((row) => {
            const [before, target] = [table.numbers("before")[row], table.numbers("target")[row]];
            return (
              <li key={row}>
                <button type="button" class="plain" onClick={() => { clock.seek(times[row]); onSeek(); }}>{moment(times[row], head.start_time)}</button>{" "}
                <strong>{where(table.numbers("pool")[row])}{before !== target && ` ${aim(before)} → ${aim(target)}`}</strong>{" "}
                {table.text("reason", row)}
              </li>
            );
          })}
        </ul>
      </div>
      {head.kind === "cluster" && <Queue track={track} time={clock.time} />}
    </div>
  );
}

function Queue({ track, time }: { track: Track; time: number }) {
  const waiting = waitingRows(track, time);
  const [times, gpus, jobs] = ["time_seconds", "gpus", "job"].map((name) => track.table("jobs").numbers(name));
  return (
    <div>
      <h3>Queue ({waiting.length})</h3>
      {waiting.length === 0 && <p class="empty">No job waits.</p>}
      <ul class="queue">
        {waiting.slice(0, SHOWN).map((row) => (
          <li key={row}>
            <strong>{jobName(track, jobs[row])}</strong> requests {counted(gpus[row], "GPU")}, waits for {duration(time - times[row])}
            {reasonsOf(track, "job", jobs[row], time).map((text) => <span key={text} class="reason">{text}</span>)}
          </li>
        ))}
      </ul>
      {waiting.length > SHOWN && <p class="empty">and {waiting.length - SHOWN} more</p>}
    </div>
  );
}
