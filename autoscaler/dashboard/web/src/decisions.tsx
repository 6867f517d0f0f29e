import type { Clock } from "./clock";
import { duration, moment, number } from "./format";
import { PREEMPT, SUBMIT, SUSPEND, type Recording, type Track } from "./recording";
import { jobName, reasonsOf } from "./why";

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
  const where = (pool: number) => (pool < 0 ? "" : names !== null ? names.text("name", pool) : (head.pools[pool]?.name ?? ""));
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
                <strong>{where(table.numbers("pool")[row])}{before !== target && ` ${before} → ${target}`}</strong>{" "}
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
  const view = track.latest("jobs");
  view.seek(time);
  const jobs = view.table;
  const [times, events, gpus] = ["time_seconds", "event", "gpus"].map((name) => jobs.numbers(name));
  const waiting: number[] = [];
  for (let job = 0; job < view.subjects; job++) {
    const row = view.rowOf(job);
    if (row >= 0 && (events[row] === SUBMIT || events[row] === PREEMPT || events[row] === SUSPEND)) waiting.push(row);
  }
  waiting.sort((a, b) => times[a] - times[b]);
  const number_ = jobs.numbers("job");
  return (
    <div>
      <h3>Queue ({waiting.length})</h3>
      {waiting.length === 0 && <p class="empty">No job waits.</p>}
      <ul class="queue">
        {waiting.slice(0, SHOWN).map((row) => (
          <li key={row}>
            <strong>{jobName(track, number_[row])}</strong> {number(gpus[row], 2)} GPUs, for {duration(time - times[row])}
            {reasonsOf(track, "job", number_[row], time).map((text) => <span key={text} class="reason"> {text}</span>)}
          </li>
        ))}
      </ul>
      {waiting.length > SHOWN && <p class="empty">and {waiting.length - SHOWN} more</p>}
    </div>
  );
}
