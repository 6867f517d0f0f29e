/** Numbers and times for people. */

export function number(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  const places = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : digits - 1;
  return value.toLocaleString("en-US", { maximumFractionDigits: places, minimumFractionDigits: places });
}

/** A number of things with their name: whole and many ones without decimals, one of them in the singular. */
export function counted(value: number, name: string): string {
  if (!Number.isFinite(value)) return `– ${name}s`;
  return `${value.toLocaleString("en-US", { maximumFractionDigits: value >= 10 ? 0 : 2 })} ${name}${value === 1 ? "" : "s"}`;
}

export function share(value: number): string {
  if (!Number.isFinite(value)) return "";
  const percent = 100 * value;
  return `${percent > 0 ? "+" : percent < 0 ? "−" : "±"}${Math.abs(percent).toFixed(1)} %`;
}

export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 60) return `${Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3600)} h`;
}

const two = (value: number) => String(value).padStart(2, "0");

/** The wall clock at second 0, ms as of UTC; NaN where it is not known. */
function wallClock(startTime: string | null): number {
  if (startTime === null) return NaN;
  // The wall-clock time of the place is written, so it must not be moved into the zone of the reader.
  return Date.parse(/[zZ]|[+-]\d\d:?\d\d$/.test(startTime) ? startTime : `${startTime}Z`);
}

/** A moment of the clock: a date where the recording says when it began, else day and time since second 0. */
export function moment(seconds: number, startTime: string | null): string {
  if (!Number.isFinite(seconds)) return "–";
  const wall = wallClock(startTime);
  if (!Number.isNaN(wall)) {
    const date = new Date(wall + 1000 * seconds);
    if (!Number.isNaN(date.getTime())) return date.toISOString().slice(0, 19).replace("T", " ");
  }
  const whole = Math.floor(seconds);
  const day = Math.floor(whole / 86_400);
  const rest = whole - day * 86_400;
  return `day ${day} ${two(Math.floor(rest / 3600))}:${two(Math.floor((rest % 3600) / 60))}:${two(rest % 60)}`;
}

const STEPS = [1, 5, 15, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000];

/** Moments for the marks of an axis of time: round ones of the wall clock, at most so many. */
export function ticks(from: number, to: number, most: number, startTime: string | null): number[] {
  const step = STEPS.find((each) => (to - from) / each <= most) ?? STEPS[STEPS.length - 1];
  const wall = wallClock(startTime) / 1000 || 0;
  const found: number[] = [];
  for (let at = Math.ceil((from + wall) / step) * step; at - wall <= to; at += step) found.push(at - wall);
  return found;
}

/** What stands at a mark: the time, and at midnight the day. */
export function tickText(seconds: number, startTime: string | null): string {
  const [day, time] = moment(seconds, startTime).match(/^(.*) (\S+)$/)!.slice(1);
  if (time === "00:00:00") return startTime === null ? day : day.slice(5);
  return time.endsWith(":00") ? time.slice(0, 5) : time;
}
