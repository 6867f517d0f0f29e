import { useEffect, useState } from "preact/hooks";
import { Player } from "./player";
import type { Recording } from "./recording";
import { listSources, Stream, type Source, type Status } from "./stream";
import { Training } from "./training";

const STATUS: Record<Status, string> = {
  connecting: "connecting …",
  live: "following",
  complete: "",
  lost: "connection lost, trying again …",
};

/** The source that the address names, so that a reload shows the same. */
function named(sources: Source[]): string {
  const wanted = decodeURIComponent(location.hash.slice(1));
  return sources.some((source) => source.name === wanted) ? wanted : (sources[0]?.name ?? "");
}

export function App() {
  const [sources, setSources] = useState<Source[]>([]);
  const [source, setSource] = useState("");
  const [status, setStatus] = useState<Status>("connecting");
  const [problem, setProblem] = useState("");
  const [recording, setRecording] = useState<Recording | null>(null);
  useEffect(() => {
    listSources().then(
      (found) => {
        setSources(found);
        setSource(named(found));
      },
      (error: unknown) => setProblem(error instanceof Error ? error.message : String(error)),
    );
  }, []);
  useEffect(() => {
    if (source === "") return;
    history.replaceState(null, "", `#${encodeURIComponent(source)}`);
    setProblem("");
    setRecording(null);
    const stream = new Stream(sources.find((each) => each.name === source)!, setStatus, setProblem, setRecording);
    return () => stream.close();
  }, [source]);
  const head = recording?.head ?? null;
  return (
    <>
      <header>
        <h1>autoscaler</h1>
        {sources.length > 1 && (
          <label>
            show{" "}
            <select value={source} onChange={(event) => setSource(event.currentTarget.value)}>
              {sources.map(({ name, title }) => <option key={name} value={name}>{title}</option>)}
            </select>
          </label>
        )}
        <span class="title">{head?.title}</span>
        <span role="status">{problem === "" ? STATUS[status] : ""}</span>
      </header>
      <main>
        {problem !== "" && <p role="alert">{problem}</p>}
        {recording !== null && head !== null && (head.kind === "training"
          ? <Training key={source} recording={recording} />
          : <Player key={source} recording={recording} />)}
        {recording === null && problem === "" && <p class="empty">Reading …</p>}
      </main>
    </>
  );
}
