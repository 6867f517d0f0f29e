/** Tables that grow: columns of typed arrays, and where each subject of a table stands at a moment. */

import type { Frame, Values } from "./frame";
import { lastAtMost } from "./search";

/** Texts that are looked for before one is kept once more: most come again soon or never. */
const MOST_KNOWN = 1000;

/** A column that grows by doubling. */
class Column {
  data: Values;
  strings: string[] | null = null;
  private readonly known = new Map<string, number>();

  constructor(like: Values, isText: boolean) {
    this.data = new (like.constructor as new (length: number) => Values)(Math.max(64, like.length));
    if (isText) this.strings = [];
  }

  append(values: Values, strings: string[] | null, rows: number): void {
    if (rows + values.length > this.data.length) {
      const size = Math.max(rows + values.length, 2 * this.data.length);
      const data = new (this.data.constructor as new (length: number) => Values)(size);
      data.set(this.data.subarray(0, rows));
      this.data = data;
    }
    if (strings === null) {
      this.data.set(values, rows);
      return;
    }
    const places = strings.map((text) => this.place(text));
    for (let index = 0; index < values.length; index++) this.data[rows + index] = places[values[index]];
  }

  /** The values at some rows. */
  at(rows: readonly number[]): Column {
    const kept = new Column(this.data.subarray(0, rows.length), this.strings !== null);
    rows.forEach((row, index) => {
      kept.data[index] = this.strings === null ? this.data[row] : kept.place(this.strings[this.data[row]]);
    });
    return kept;
  }

  private place(text: string): number {
    let place = this.known.get(text);
    if (place === undefined) {
      if (this.known.size >= MOST_KNOWN) this.known.clear();
      place = this.strings!.push(text) - 1;
      this.known.set(text, place);
    }
    return place;
  }
}

export class Table {
  rows = 0;
  /** Rows that came, also those that are here no longer. */
  came = 0;
  private readonly columns = new Map<string, Column>();

  append(frame: Frame): void {
    for (const { name, values, strings } of frame.columns) {
      let column = this.columns.get(name);
      if (column === undefined) {
        column = new Column(values, strings !== null);
        this.columns.set(name, column);
      }
      column.append(values, strings, this.rows);
    }
    this.rows += frame.rows;
    this.came += frame.rows;
  }

  /** A table with some of the rows only. */
  at(rows: readonly number[]): Table {
    const kept = new Table();
    for (const [name, column] of this.columns) kept.columns.set(name, column.at(rows));
    kept.rows = rows.length;
    kept.came = this.came;
    return kept;
  }

  /** Numbers of a column; rows beyond `rows` have no meaning. Empty where nothing came yet. */
  numbers(name: string): Values {
    return this.columns.get(name)?.data ?? new Float64Array(0);
  }

  text(name: string, row: number): string {
    const column = this.columns.get(name);
    return column?.strings?.[column.data[row]] ?? "";
  }

  /** The last row whose time is at most this; -1: none. */
  rowAt(time: number): number {
    return lastAtMost(this.numbers("time_seconds"), time, this.rows);
  }

  /** A column of sums at a moment between two rows: it rises evenly. */
  between(name: string, time: number): number {
    const row = this.rowAt(time);
    const values = this.numbers(name);
    if (row < 0) return 0;
    if (row + 1 >= this.rows) return values[row];
    const times = this.numbers("time_seconds");
    const length = times[row + 1] - times[row];
    const share = length > 0 ? (time - times[row]) / length : 1;
    return values[row] + share * (values[row + 1] - values[row]);
  }
}

/**
 * Which row of each subject holds at a moment. Rows of one subject are linked, so that time runs in both directions
 * at the cost of the rows that it passes, and a subject knows its history and what comes next.
 */
export class Latest {
  /** The row of each subject, -1: none yet. */
  current = new Int32Array(64).fill(-1);
  subjects = 0;
  private tail = new Int32Array(64).fill(-1);
  private previous = new Int32Array(0);
  private following = new Int32Array(0);
  private linked = 0;
  private cursor = 0;

  constructor(
    readonly table: Table,
    private readonly subject: string,
  ) {}

  /** Go to a moment. */
  seek(time: number): void {
    this.link();
    const times = this.table.numbers("time_seconds");
    const subjects = this.table.numbers(this.subject);
    while (this.cursor < this.linked && times[this.cursor] <= time) {
      this.current[subjects[this.cursor]] = this.cursor;
      this.cursor++;
    }
    while (this.cursor > 0 && times[this.cursor - 1] > time) {
      this.cursor--;
      this.current[subjects[this.cursor]] = this.previous[this.cursor];
    }
  }

  /** The row before this one of the same subject, -1: none. */
  before(row: number): number {
    return this.previous[row];
  }

  /** The row after this one of the same subject, -1: none so far. */
  after(row: number): number {
    return this.following[row];
  }

  rowOf(subject: number): number {
    return subject < this.subjects ? this.current[subject] : -1;
  }

  private link(): void {
    const rows = this.table.rows;
    if (this.linked === rows) return;
    if (this.previous.length < rows) {
      this.previous = grown(this.previous, rows);
      this.following = grown(this.following, rows);
    }
    const subjects = this.table.numbers(this.subject);
    for (let row = this.linked; row < rows; row++) {
      const subject = subjects[row];
      if (subject >= this.tail.length) {
        this.tail = grown(this.tail, subject + 1);
        this.current = grown(this.current, subject + 1);
      }
      if (subject >= this.subjects) this.subjects = subject + 1;
      const last = this.tail[subject];
      this.previous[row] = last;
      this.following[row] = -1;
      if (last >= 0) this.following[last] = row;
      this.tail[subject] = row;
    }
    this.linked = rows;
  }
}

function grown(old: Int32Array, least: number): Int32Array<ArrayBuffer> {
  const array = new Int32Array(Math.max(64, least, 2 * old.length)).fill(-1);
  array.set(old);
  return array;
}
