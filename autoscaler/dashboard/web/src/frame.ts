/** Frames of the server: `autoscaler/dashboard/frames.py` says what they hold. */

export type Values = Float64Array | Float32Array | Int32Array | Uint8Array;

export interface FrameColumn {
  name: string;
  values: Values;
  /** Of a column of text: what its values are positions in. */
  strings: string[] | null;
}

export interface Frame {
  track: string;
  table: string;
  rows: number;
  columns: FrameColumn[];
}

interface Header {
  track: string;
  table: string;
  rows: number;
  columns: { name: string; type: "f64" | "f32" | "i32" | "u8" | "text"; offset: number; strings?: string[] }[];
}

/** The rows of a frame, as views of its memory. */
export function decodeFrame(buffer: ArrayBuffer): Frame {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length))) as Header;
  const start = 4 + length;
  const columns = header.columns.map(({ name, type, offset, strings }) => {
    const at = start + offset;
    let values: Values;
    if (type === "f64") values = new Float64Array(buffer, at, header.rows);
    else if (type === "f32") values = new Float32Array(buffer, at, header.rows);
    else if (type === "u8") values = new Uint8Array(buffer, at, header.rows);
    else values = new Int32Array(buffer, at, header.rows);
    return { name, values, strings: strings ?? null };
  });
  return { track: header.track, table: header.table, rows: header.rows, columns };
}
