/** The learning curve of a run: a figure for each number, which grows while the run is trained. */

import { useEffect, useState } from "preact/hooks";
import { Chart, STEPS } from "./charts";
import { number } from "./format";
import type { Recording } from "./recording";

const FIRST = ["validation/", "train/learning_rate", "rollout/", "train/"];
const SHOWN = 8;
/** The number of which less is better, whatever was trained. */
const COST = "validation/usd";

export function Training({ recording }: { recording: Recording }) {
  const [, setVersion] = useState(0);
  const [all, setAll] = useState(false);
  useEffect(() => {
    const timer = setInterval(() => setVersion(recording.version), 500);
    return () => clearInterval(timer);
  }, [recording]);
  const curves = collect(recording);
  const names = [...curves.keys()].sort((a, b) => rank(a) - rank(b) || a.localeCompare(b));
  const shown = all ? names : names.slice(0, SHOWN);
  if (names.length === 0) return <p class="empty">The learning curve has no entry yet; it appears here as training goes on.</p>;
  return (
    <>
      <dl class="totals">
        <div><dt>steps</dt><dd>{number(Math.max(...[...curves.values()].map(({ x }) => x[x.length - 1])), 1)}</dd></div>
        {names.filter((name) => name.startsWith("validation/")).map((name) => (
          <div key={name}><dt>{name}</dt><dd>{number(curves.get(name)!.y.at(-1)!)} {name === COST && <span class="unit">best {number(Math.min(...curves.get(name)!.y))}</span>}</dd></div>
        ))}
      </dl>
      <div class="charts">
        {shown.map((name) => <Chart key={name} title={name} axis={STEPS} series={[{ label: name, ...curves.get(name)!, came: curves.get(name)!.x.length }]} />)}
      </div>
      {names.length > SHOWN && <button type="button" onClick={() => setAll(!all)}>{all ? "Show fewer" : `Show all ${names.length}`}</button>}
    </>
  );
}

function rank(name: string): number {
  const found = FIRST.findIndex((start) => name.startsWith(start));
  return found < 0 ? FIRST.length : found;
}

function collect(recording: Recording): Map<string, { x: number[]; y: number[] }> {
  const table = recording.shared.table("curve");
  const [steps, values] = [table.numbers("step"), table.numbers("value")];
  const found = new Map<string, { x: number[]; y: number[] }>();
  for (let row = 0; row < table.rows; row++) {
    const name = table.text("name", row);
    let own = found.get(name);
    if (own === undefined) found.set(name, (own = { x: [], y: [] }));
    own.x.push(steps[row]);
    own.y.push(values[row]);
  }
  return found;
}
