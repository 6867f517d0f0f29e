/** The connection to the server: it comes back by itself, and then begins again from the start. */

import { decodeFrame } from "./frame";
import { forget } from "./forget";
import { Recording, type Head } from "./recording";

export type Status = "connecting" | "live" | "complete" | "lost";

export interface Source {
  name: string;
  title: string;
  /** How much of the past is kept while it is followed; null: all. */
  keep_seconds: number | null;
}

interface Message {
  kind: "head" | "caught-up" | "end" | "problem";
  head?: Head;
  text?: string;
}

const LONGEST_PAUSE_MS = 10_000;

export async function listSources(): Promise<Source[]> {
  const response = await fetch("api/sources");
  if (!response.ok) throw new Error((await response.text()).trim() || `the server answers ${response.status}`);
  return (await response.json()) as Source[];
}

/** Reads one source until it is closed. */
export class Stream {
  recording = new Recording();
  private socket: WebSocket | null = null;
  private timer = 0;
  private pause = 500;
  private closed = false;

  constructor(
    private readonly source: Source,
    private readonly onStatus: (status: Status) => void,
    private readonly onProblem: (text: string) => void,
    private readonly onRecording: (recording: Recording) => void,
  ) {
    this.connect();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private connect(): void {
    this.onStatus("connecting");
    const recording = new Recording();
    const address = new URL("api/stream", location.href);
    address.protocol = address.protocol.replace("http", "ws");
    address.search = `source=${encodeURIComponent(this.source.name)}`;
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    let ended = false;
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (this.closed) return;
      if (typeof data !== "string") {
        recording.append(decodeFrame(data));
        return;
      }
      const message = JSON.parse(data) as Message;
      if (message.kind === "head" && message.head !== undefined) {
        recording.setHead(message.head);
      } else if (message.kind === "problem") {
        ended = true;
        this.onProblem(message.text ?? "");
        this.onStatus("complete");
      } else {
        ended = message.kind === "end";
        this.pause = 500;
        if (this.source.keep_seconds !== null) forget(recording, this.source.keep_seconds);
        // What was shown before the connection was lost stays until all of it is here again.
        if (this.recording !== recording) {
          this.recording = recording;
          this.onRecording(recording);
        }
        this.onStatus(ended ? "complete" : "live");
        if (ended) socket.close();
      }
    };
    socket.onclose = () => {
      if (this.closed || ended) return;
      this.onStatus("lost");
      this.timer = window.setTimeout(() => this.connect(), this.pause);
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    };
  }
}
