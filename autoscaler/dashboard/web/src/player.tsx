/** Plays a recording: one clock, one policy or two side by side. */

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { Animation } from "./animation";
import { Charts } from "./charts";
import { Clock } from "./clock";
import { ClusterView } from "./cluster-view";
import { CityView } from "./city-view";
import { Decisions } from "./decisions";
import type { Recording, Track } from "./recording";
import { onThemeChange } from "./theme";
import { Totals } from "./totals";
import { Transport, nextDecision } from "./transport";

const TEXT_SECONDS = 0.12;

declare global {
  interface Window {
    /** The loop of frames, for benchmarks. */
    autoscalerAnimation?: Animation;
  }
}

/** The policy to begin with, and the one beside it: the first that is no reference, and the reference. */
function firstTracks(recording: Recording): [number, number] {
  const tracks = recording.tracks;
  const reference = tracks.findIndex((track) => track.head.reference);
  const own = tracks.findIndex((track) => !track.head.reference);
  return own < 0 ? [0, -1] : [own, reference];
}

export function Player({ recording }: { recording: Recording }) {
  const animation = useMemo(() => new Animation(), []);
  const clock = useMemo(() => new Clock(), []);
  const [, setText] = useState(0);
  const [[first, second], setTracks] = useState(() => firstTracks(recording));
  const newest = useRef(recording);
  newest.current = recording;
  const refresh = () => {
    animation.invalidate();
    setText((count) => count + 1);
  };
  useEffect(() => {
    let [since, version, shown] = [0, -1, NaN];
    clock.setSpan(recording.start, recording.end);
    clock.seek(recording.start);
    if (recording.head?.finished === false) clock.follow();
    const stop = animation.onTick((wall) => {
      const own = newest.current;
      const isNew = own.version !== version;
      if (isNew) clock.setSpan(own.start, own.end);
      const moved = clock.advance(wall);
      since += wall;
      if ((isNew || clock.time !== shown) && since >= TEXT_SECONDS) {
        [since, version, shown] = [0, own.version, clock.time];
        setText((count) => count + 1);
      }
      return moved || isNew;
    });
    const forget = onThemeChange(refresh);
    animation.start();
    window.autoscalerAnimation = animation;
    return () => {
      stop();
      forget();
      animation.stop();
    };
  }, []);
  const tracks = [recording.tracks[first], recording.tracks[second]].filter((track): track is Track => track !== undefined);
  useKeys({
    " ": () => clock.toggle(),
    ",": () => clock.seek(nextDecision(tracks, clock.time, -1)),
    ".": () => clock.seek(nextDecision(tracks, clock.time, 1)),
    Home: () => clock.seek(recording.start),
    End: () => clock.seek(recording.end),
  }, refresh);
  const head = recording.head!;
  const View = head.kind === "city" ? CityView : ClusterView;
  return (
    <>
      <Transport clock={clock} recording={recording} tracks={tracks} onChange={refresh} />
      <TrackChoice recording={recording} chosen={[first, second]} onChoose={setTracks} />
      <div class={tracks.length > 1 ? "pair" : "single"}>
        {tracks.map((track) => (
          <section key={track.head.name} aria-label={track.head.title || track.head.name}>
            <h2>{track.head.title || track.head.name}</h2>
            <Totals recording={recording} track={track} time={clock.time} />
            <View recording={recording} track={track} clock={clock} animation={animation} />
            {head.kind !== "functions" && <Decisions recording={recording} track={track} clock={clock} onSeek={refresh} />}
          </section>
        ))}
      </div>
      <Charts recording={recording} tracks={tracks} clock={clock} animation={animation} />
      <footer>
        {head.attribution.map((line) => <p key={line}>{line}</p>)}
        <p>
          Space plays and pauses, <kbd>,</kbd> and <kbd>.</kbd> go to the decision before and after, Home and End to the
          start and the end.
        </p>
      </footer>
    </>
  );
}

function TrackChoice({ recording, chosen, onChoose }: {
  recording: Recording; chosen: [number, number]; onChoose: (chosen: [number, number]) => void;
}) {
  if (recording.tracks.length < 2) return null;
  const options = recording.tracks.map((track, index) => <option key={index} value={index}>{track.head.title || track.head.name}</option>);
  return (
    <div class="tracks">
      <label>
        policy{" "}
        <select value={chosen[0]} onChange={(event) => onChoose([Number(event.currentTarget.value), chosen[1]])}>{options}</select>
      </label>
      <label>
        beside it{" "}
        <select value={chosen[1]} onChange={(event) => onChoose([chosen[0], Number(event.currentTarget.value)])}>
          <option value={-1}>none</option>
          {options}
        </select>
      </label>
    </div>
  );
}

/** Keys of the whole page, unless something that takes keys itself has them. */
function useKeys(keys: Record<string, () => void>, done: () => void): void {
  const latest = useRef(keys);
  latest.current = keys;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      const target = event.target as HTMLElement;
      const own = latest.current[event.key];
      if (own === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
      if (/^(INPUT|SELECT|BUTTON|TEXTAREA|SUMMARY)$/.test(target.tagName)) return;
      event.preventDefault();
      own();
      done();
    };
    addEventListener("keydown", onKey);
    return () => removeEventListener("keydown", onKey);
  }, []);
}
