import { counted, duration, number, share } from "./format";
import type { Head, Recording, Track } from "./recording";
import { waitingRows } from "./why";

interface Total {
  name: string;
  column: string;
  unit: string;
  text: (value: number) => string;
}

/** Sums since the start; the last ones are counts at a moment, which rise in steps. */
function totalsOf(kind: Head["kind"]): Total[] {
  const isCluster = kind === "cluster";
  return [
    { name: "energy", column: "kwh", unit: "kWh", text: number },
    { name: "carbon", column: "grams", unit: "kgCO₂e", text: (grams) => number(grams / 1000) },
    { name: "cost", column: "usd", unit: "USD", text: number },
    { name: "waited", column: "waited_gpu_hours", unit: isCluster ? "GPU-h" : "request-h", text: number },
    { name: isCluster ? "missed deadlines" : "late answers", column: "slo_missed", unit: isCluster ? "jobs" : "", text: whole },
  ];
}

const named = (count: number, name: string) => (count === 1 ? name : `${name}s`);
const whole = (count: number) => (Number.isFinite(count) ? Math.floor(count).toLocaleString("en-US") : "–");

/** Whether any policy has something there: a recording without carbon says nothing by a row of zeros. */
function isShown(recording: Recording, column: string): boolean {
  return recording.tracks.some((track) => {
    const samples = track.table("samples");
    return samples.rows > 0 && samples.numbers(column)[samples.rows - 1] > 0;
  });
}

/** Sums up to a moment, below them how much more or less than those of the reference they are, and what is now. */
export function Totals({ recording, track, time }: { recording: Recording; track: Track; time: number }) {
  const samples = track.table("samples");
  if (samples.rows === 0) return <p class="empty">No totals are recorded of this policy, or not yet.</p>;
  const reference = recording.reference;
  const compared = reference !== null && recording.tracks.length > 1;
  const row = samples.rowAt(time);
  const last = (name: string) => (row < 0 ? NaN : samples.numbers(name)[row]);
  const isCluster = recording.head!.kind === "cluster";
  // Samples are minutes apart; the jobs themselves say how many wait at this very moment.
  const waiting = isCluster && track.has("jobs") ? waitingRows(track, time).length : last("waiting");
  const shown = totalsOf(recording.head!.kind).filter(({ column }) => column === "kwh" || isShown(recording, column));
  return (
    <dl class="totals">
      {shown.map(({ name, column, unit, text }) => {
        const own = samples.between(column, time);
        const other = reference?.table("samples").between(column, time);
        const against = reference === null || reference === track || !other ? "" : share(own / other - 1);
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text(own)} <span class="unit">{unit}</span></dd>
            {compared && <dd class={/[1-9]/.test(against) ? (own > other! ? "worse" : "better") : "unit"}>{against || (reference === track ? "reference" : "\u00a0")}</dd>}
          </div>
        );
      })}
      <div><dt>mean wait</dt><dd>{duration(last("mean_wait_seconds"))}</dd></div>
      <div><dt>power now</dt><dd>{number(last("watts") / 1000)} <span class="unit">kW</span></dd></div>
      <div><dt>waiting now</dt><dd>{whole(waiting)} <span class="unit">{named(waiting, isCluster ? "job" : "request")}</span></dd></div>
      <div><dt>running now</dt><dd>{whole(last("running"))} <span class="unit">{isCluster ? `on ${counted(last("used_gpus"), "GPU")}` : named(last("running"), "request")}</span></dd></div>
    </dl>
  );
}
