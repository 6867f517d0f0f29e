/** Connections to the server: they come back by themselves, and then begin again from the start. */

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

const SHORTEST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 10_000;

type Receive = (data: ArrayBuffer | string) => void;

/** A websocket that is opened again when it is lost, after pauses that double until the server says something. */
class Connection {
  private socket: WebSocket | null = null;
  private timer = 0;
  private pause = SHORTEST_PAUSE_MS;
  private closed = false;

  /** `begin` is called at each try, and returns what hears its messages. */
  constructor(
    private readonly path: string,
    private readonly begin: () => Receive,
    private readonly onLost: () => void,
  ) {
    this.open();
  }

  close(): void {
    this.closed = true;
    clearTimeout(this.timer);
    this.socket?.close();
  }

  private open(): void {
    const receive = this.begin();
    const address = new URL(this.path, location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address);
    socket.binaryType = "arraybuffer";
    this.socket = socket;
    socket.onmessage = ({ data }: MessageEvent<ArrayBuffer | string>) => {
      if (this.closed) return;
      this.pause = SHORTEST_PAUSE_MS;
      receive(data);
    };
    socket.onclose = () => {
      if (this.closed) return;
      this.onLost();
      this.timer = window.setTimeout(() => this.open(), this.pause);
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    };
  }
}

/** Tells what can be shown, now and whenever that changes; returned is what ends it. */
export function followSources(onSources: (sources: Source[]) => void, onLost: () => void): () => void {
  const receive: Receive = (data) => onSources(JSON.parse(data as string) as Source[]);
  const connection = new Connection("api/sources", () => receive, onLost);
  return () => connection.close();
}

/** Reads one source until it is closed. */
export class Stream {
  private readonly connection: Connection;

  constructor(
    private readonly source: Source,
    private readonly onStatus: (status: Status) => void,
    private readonly onProblem: (text: string) => void,
    private readonly onRecording: (recording: Recording, head: Head | null) => void,
  ) {
    const path = `api/stream?source=${encodeURIComponent(source.name)}`;
    this.connection = new Connection(path, () => this.begin(), () => onStatus("lost"));
  }

  close(): void {
    this.connection.close();
  }

  private begin(): Receive {
    this.onStatus("connecting");
    const recording = new Recording();
    return (data) => {
      if (typeof data !== "string") {
        recording.append(decodeFrame(data));
        return;
      }
      const message = JSON.parse(data) as Message;
      if (message.kind === "head" && message.head !== undefined) recording.setHead(message.head);
      else if (message.kind === "problem") this.end(message.text ?? "");
      else this.show(recording, message.kind === "end");
    };
  }

  private show(recording: Recording, ended: boolean): void {
    if (this.source.keep_seconds !== null) forget(recording, this.source.keep_seconds);
    // What was shown before the connection was lost stays until all of it is here again.
    this.onRecording(recording, recording.head);
    if (ended) this.end();
    else this.onStatus("live");
  }

  private end(problem = ""): void {
    if (problem !== "") this.onProblem(problem);
    this.onStatus("complete");
    this.close();
  }
}
