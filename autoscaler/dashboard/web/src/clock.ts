/** The one clock of all that is shown. */

export const SPEEDS = [1, 10, 60, 300, 900, 3600, 14_400, 86_400] as const;

export class Clock {
  time = 0;
  playing = false;
  speed = 900;
  /** Stays at the end while it moves. */
  following = false;

  private start = 0;
  private end = 0;

  setSpan(start: number, end: number): void {
    this.start = start;
    this.end = end;
    if (this.following) this.time = end;
    this.time = Math.min(Math.max(this.time, start), end);
  }

  /** Let wall time pass; whether the time moved. */
  advance(wallSeconds: number): boolean {
    if (!this.playing) return false;
    const before = this.time;
    this.time = Math.min(this.end, this.time + wallSeconds * this.speed);
    if (this.time >= this.end) this.playing = false;
    return this.time !== before;
  }

  seek(time: number): void {
    this.following = false;
    this.time = Math.min(Math.max(time, this.start), this.end);
  }

  toggle(): void {
    if (!this.playing && this.time >= this.end) this.time = this.start;
    this.playing = !this.playing;
    this.following = false;
  }

  follow(): void {
    this.following = true;
    this.playing = false;
    this.time = this.end;
  }
}
