import { useEffect, useRef, useState } from "preact/hooks";
import { Player } from "./player";
import type { Head, Recording } from "./recording";
import { followSources, Stream, type Source, type Status } from "./stream";
import { Training } from "./training";

const STATUS: Record<Status, string> = {
  connecting: "connecting …",
  live: "following",
  complete: "",
  lost: "connection lost, trying again …",
};

/** The source that the address names, so that a reload shows the same. */
function named(sources: Source[]): string {
  const wanted = sources.find(({ name }) => `#${encodeURIComponent(name)}` === location.hash);
  return (wanted ?? sources[0])?.name ?? "";
}

/** The list with what came and without what went, except the one that is shown; the old one where that is the same. */
function renewed(old: Source[] | null, found: Source[], shown: string): Source[] {
  const gone = old?.find((source) => source.name === shown && !found.some(({ name }) => name === shown));
  const list = gone === undefined ? found : [...found, gone];
  return JSON.stringify(list) === JSON.stringify(old) ? old! : list;
}

/** What can be shown, which changes while the page is open; null: not known yet. */
function useSources(shown: string, onProblem: (text: string) => void): Source[] | null {
  const [sources, setSources] = useState<Source[] | null>(null);
  const latest = useRef(shown);
  latest.current = shown;
  useEffect(() => {
    let known = false;
    const hear = (found: Source[]) => {
      known = true;
      setSources((old) => renewed(old, found, latest.current));
    };
    // Once the list is known, the stream says that the server is away.
    return followSources(hear, () => { if (!known) onProblem("the server does not answer, trying again …"); });
  }, []);
  return sources;
}

export function App() {
  const [source, setSource] = useState("");
  const [status, setStatus] = useState<Status>("connecting");
  const [problem, setProblem] = useState("");
  const [recording, setRecording] = useState<Recording | null>(null);
  const [head, setHead] = useState<Head | null>(null);
  const sources = useSources(source, setProblem);
  useEffect(() => {
    if (sources === null || source !== "") return;
    setProblem("");
    setSource(named(sources));
  }, [sources]);
  useEffect(() => {
    if (source === "") return;
    history.replaceState(null, "", `#${encodeURIComponent(source)}`);
    setProblem("");
    const show = (found: Recording | null, about: Head | null) => {
      setRecording(found);
      setHead(about);
    };
    show(null, null);
    const stream = new Stream(sources!.find((each) => each.name === source)!, setStatus, setProblem, show);
    return () => stream.close();
  }, [source]);
  return (
    <>
      <header>
        <h1>autoscaler</h1>
        {sources !== null && sources.length > 1 && (
          <label>
            show{" "}
            <select value={source} onChange={(event) => setSource(event.currentTarget.value)}>
              {sources.map(({ name, title }) => <option key={name} value={name}>{title}</option>)}
            </select>
          </label>
        )}
        <span class="title">{head?.title}</span>
        <span role="status">{problem === "" && source !== "" ? STATUS[status] : ""}</span>
      </header>
      <main>
        {problem !== "" && <p role="alert">{problem}</p>}
        {recording !== null && head !== null && (head.kind === "training"
          ? <Training key={source} recording={recording} />
          : <Player key={source} recording={recording} />)}
        {recording === null && problem === "" && (
          <p class="empty">{sources?.length === 0 ? "Nothing is here yet; recordings and runs are shown as they appear." : "Reading …"}</p>
        )}
      </main>
    </>
  );
}
