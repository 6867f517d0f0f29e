import { useEffect, useRef, useState } from "preact/hooks";

/** The width of an element, as it changes. */
export function useWidth<T extends HTMLElement>(): [preact.RefObject<T>, number] {
  const ref = useRef<T>(null);
  const [width, setWidth] = useState(0);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.floor(entry.contentRect.width)));
    observer.observe(ref.current!);
    return () => observer.disconnect();
  }, []);
  return [ref, width];
}

/** What keys do where something has the focus; the page's own keys do nothing then. */
export function onKeys(actions: Record<string, () => void>): (event: KeyboardEvent) => void {
  return (event) => {
    const action = actions[event.key];
    if (action === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    action();
  };
}

const [SHORTEST, LONGEST] = [600, 60 * 86_400];

/** How much time a figure shows, at most all that there is, and what changes that. */
export function useZoom(initialSeconds: number, mostSeconds: number): [number, (factor: number) => void] {
  const [wanted, setWanted] = useState(initialSeconds);
  const seconds = Math.min(wanted, Math.max(mostSeconds, SHORTEST));
  return [seconds, (factor) => setWanted(Math.min(Math.max(seconds * factor, SHORTEST), LONGEST))];
}
