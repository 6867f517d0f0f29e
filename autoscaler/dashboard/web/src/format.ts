/** Numbers and times for people. */

export function number(value: number, digits = 3): string {
  if (!Number.isFinite(value)) return "–";
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(1);
  const places = Math.abs(value) >= 100 ? 0 : Math.abs(value) >= 10 ? 1 : digits - 1;
  return value.toLocaleString("en-US", { maximumFractionDigits: places, minimumFractionDigits: places });
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

/** A moment of the clock: a date where the recording says when it began, else day and time since second 0. */
export function moment(seconds: number, startTime: string | null): string {
  if (!Number.isFinite(seconds)) return "–";
  if (startTime !== null) {
    // The wall-clock time of the place is written, so it must not be moved into the zone of the reader.
    const local = /[zZ]|[+-]\d\d:?\d\d$/.test(startTime) ? startTime : `${startTime}Z`;
    const date = new Date(Date.parse(local) + 1000 * seconds);
    if (!Number.isNaN(date.getTime())) return date.toISOString().slice(0, 19).replace("T", " ");
  }
  const whole = Math.floor(seconds);
  const day = Math.floor(whole / 86_400);
  const rest = whole - day * 86_400;
  return `day ${day} ${two(Math.floor(rest / 3600))}:${two(Math.floor((rest % 3600) / 60))}:${two(rest % 60)}`;
}
