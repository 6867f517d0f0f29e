/** Why a node is as it is, in words; only what the recording says. */

import type { Bars } from "./bars";
import { counted, duration } from "./format";
import { containersOn } from "./functions";
import { BOOTING, BUSY, DRAINING, FAILED, GONE, IDLE, NODE_STATES, OFF, PREEMPT, SUBMIT, SUSPEND, SUSPENDED, type Head, type Track } from "./recording";

interface NodeFacts {
  name: string;
  state: string;
  sentences: string[];
  history: { time: number; state: string; gpus: number }[];
}

/** The last rows of decisions about a pool, or a site, newest first. */
export function decisionsOf(track: Track, pool: number, time: number, most: number): number[] {
  const table = track.table("decisions");
  const pools = table.numbers("pool");
  const found: number[] = [];
  for (let row = table.rowAt(time); row >= 0 && found.length < most; row--) if (pools[row] === pool) found.push(row);
  return found;
}

/** Reasons that hold of a subject at a moment: the last text of each rule, unless it is empty. */
export function reasonsOf(track: Track, subject: string, id: number, time: number): string[] {
  const table = track.table("reasons");
  const ids = table.numbers("id");
  const found = new Map<string, string>();
  for (let row = table.rowAt(time); row >= 0; row--) {
    if (ids[row] !== id || table.text("subject", row) !== subject) continue;
    const rule = table.text("rule", row);
    if (!found.has(rule)) found.set(rule, table.text("text", row));
  }
  return [...found.values()].filter((text) => text !== "");
}

export function jobName(track: Track, job: number): string {
  const table = track.table("job_names");
  const jobs = table.numbers("job");
  for (let row = table.rows - 1; row >= 0; row--) if (jobs[row] === job) return table.text("name", row);
  return `job ${job}`;
}

/** The last rows of the jobs that wait at a moment, those that wait longest first. */
export function waitingRows(track: Track, time: number): number[] {
  const view = track.latest("jobs");
  view.seek(time);
  const [times, events] = [view.table.numbers("time_seconds"), view.table.numbers("event")];
  const waiting: number[] = [];
  for (let job = 0; job < view.subjects; job++) {
    const row = view.rowOf(job);
    if (row >= 0 && (events[row] === SUBMIT || events[row] === PREEMPT || events[row] === SUSPEND)) waiting.push(row);
  }
  return waiting.sort((a, b) => times[a] - times[b]);
}

export function nodeFacts(head: Head, track: Track, bars: Bars, node: number, time: number): NodeFacts | null {
  const nodes = track.table("nodes");
  const numbers = nodes.numbers("node");
  const at = numbers[node] === node ? node : numbers.subarray(0, nodes.rows).indexOf(node);
  if (at < 0) return null;
  const pool = nodes.numbers("pool")[at];
  const view = track.latest("node_states");
  view.seek(time);
  const states = view.table;
  const times = states.numbers("time_seconds");
  let row = view.rowOf(node);
  const state = row < 0 ? OFF : states.numbers("state")[row];
  let since = row < 0 ? head.start_seconds : times[row];
  const history: NodeFacts["history"] = [];
  for (let each = row; each >= 0 && history.length < 30; each = view.before(each)) {
    const own = states.numbers("state")[each];
    history.push({ time: times[each], state: NODE_STATES[own], gpus: states.numbers("used_gpus")[each] });
    if (own === state && row >= 0) {
      since = times[each];
      row = each;
    } else row = -1;
  }
  const sentences = [...reasonsOf(track, "node", node, time), ...sentencesOf(head, track, bars, node, pool, state, since, time)];
  return { name: nodes.text("name", at), state: NODE_STATES[state], sentences, history };
}

function sentencesOf(
  head: Head, track: Track, bars: Bars, node: number, pool: number, state: number, since: number, time: number,
): string[] {
  const settings = head.pools[pool];
  const lasting = `for ${duration(time - since)}`;
  const decisions = track.table("decisions");
  const [last] = decisionsOf(track, pool, time, 1);
  const aims = last === undefined ? "" : `The last change of the target, ${duration(time - decisions.numbers("time_seconds")[last])} ago, was to ${counted(decisions.numbers("target")[last], "node")}: ${decisions.text("reason", last) || "no reason is recorded"}.`;
  switch (state) {
    case BUSY: {
      if (head.kind === "functions") return [`It is on for its containers: ${containersOn(track, node, time, head.services).slice(0, 12).join(", ")}.`];
      const running = bars.running(node, time);
      const jobs = running.slice(0, 8).map((bar) => `${jobName(track, bars.job[bar])} (${counted(bars.gpus[bar], "GPU")})`);
      const more = running.length > 8 ? ` and ${running.length - 8} more` : "";
      return [`It stays because it is busy: ${jobs.join(", ")}${more}.`];
    }
    case IDLE: {
      const least = settings !== undefined && settings.min_nodes > 0 ? [`The pool keeps at least ${counted(settings.min_nodes, "node")}.`] : [];
      return [`Idle ${lasting}: nothing runs here, and no decision has removed it yet.`, ...reasonsOf(track, "pool", pool, time), ...least, ...(aims ? [aims] : [])];
    }
    case BOOTING: {
      const takes = settings === undefined ? "" : ` A boot takes about ${duration(settings.boot_seconds)}.`;
      return [`Booting ${lasting}.${takes}`, ...(aims ? [aims] : [])];
    }
    case DRAINING: return [`Draining ${lasting}: it takes no new job, and goes when it is empty.`];
    case FAILED: return [`Failed ${lasting}: it is in repair.`];
    case GONE: return [`Taken back by its provider ${lasting}.`];
    case SUSPENDED: return [`Suspended ${lasting}: it wakes more quickly than it boots.`];
    default: return [`Off ${lasting}.`, ...(aims ? [aims] : [])];
  }
}
