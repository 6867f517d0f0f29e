import { duration, number, share } from "./format";
import type { Recording, Track } from "./recording";

interface Total {
  name: string;
  column: string;
  unit: string;
  text: (value: number) => string;
}

const TOTALS: Total[] = [
  { name: "energy", column: "kwh", unit: "kWh", text: number },
  { name: "carbon", column: "grams", unit: "kgCO₂e", text: (grams) => number(grams / 1000) },
  { name: "cost", column: "usd", unit: "USD", text: number },
  { name: "waited", column: "waited_gpu_hours", unit: "GPU-h", text: number },
];

/** Sums up to a moment, and beside them how much more or less than those of the reference they are. */
export function Totals({ recording, track, time }: { recording: Recording; track: Track; time: number }) {
  const samples = track.table("samples");
  if (samples.rows === 0) return null;
  const reference = recording.reference;
  const row = samples.rowAt(time);
  const last = (name: string) => (row < 0 ? NaN : samples.numbers(name)[row]);
  return (
    <dl class="totals">
      {TOTALS.map(({ name, column, unit, text }) => {
        const own = samples.between(column, time);
        const other = reference?.table("samples").between(column, time);
        const against = reference === null || reference === track || !other ? "" : share(own / other - 1);
        return (
          <div key={name}>
            <dt>{name}</dt>
            <dd>{text(own)} <span class="unit">{unit}</span> {against !== "" && <span class={/[1-9]/.test(against) ? (own > other! ? "worse" : "better") : "unit"}>{against}</span>}</dd>
          </div>
        );
      })}
      <div><dt>mean wait</dt><dd>{duration(last("mean_wait_seconds"))}</dd></div>
      <div><dt>power</dt><dd>{number(last("watts") / 1000)} <span class="unit">kW</span></dd></div>
      <div><dt>waiting</dt><dd>{number(last("waiting"), 1)} <span class="unit">for {number(last("waiting_gpus"), 2)} GPUs</span></dd></div>
      <div><dt>running</dt><dd>{number(last("running"), 1)} <span class="unit">on {number(last("used_gpus"), 2)} GPUs</span></dd></div>
    </dl>
  );
}
