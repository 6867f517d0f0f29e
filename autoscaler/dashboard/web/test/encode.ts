/** Frames for tests. */

/** A frame as the server makes it. */
export function encodeFrame(track: string, table: string, columns: Record<string, number[] | string[]>): ArrayBuffer {
  const rows = Object.values(columns)[0].length;
  let offset = 0;
  const bodies: Uint8Array[] = [];
  const about = Object.entries(columns).map(([name, values]) => {
    const isText = typeof values[0] === "string";
    const strings = isText ? [...new Set(values as string[])] : undefined;
    const array = isText ? Int32Array.from(values as string[], (text) => strings!.indexOf(text)) : Float64Array.from(values as number[]);
    const body = new Uint8Array(Math.ceil(array.byteLength / 8) * 8);
    body.set(new Uint8Array(array.buffer));
    bodies.push(body);
    const own = { name, type: isText ? "text" : "f64", offset, strings };
    offset += body.length;
    return own;
  });
  let text = JSON.stringify({ track, table, rows, columns: about });
  text += " ".repeat((8 - ((4 + text.length) % 8)) % 8);
  const bytes = new Uint8Array(4 + text.length + offset);
  new DataView(bytes.buffer).setUint32(0, text.length, true);
  bytes.set(new TextEncoder().encode(text), 4);
  let at = 4 + text.length;
  for (const body of bodies) {
    bytes.set(body, at);
    at += body.length;
  }
  return bytes.buffer;
}
