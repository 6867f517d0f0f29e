/** Colours of what is drawn on canvases; those of the page itself are in `style.css`. */

import { NODE_STATES } from "./recording";

export interface Theme {
  paper: string;
  ink: string;
  faint: string;
  line: string;
  accent: string;
  second: string;
  warn: string;
  states: string[];
  containers: string[];
}

let found: Theme | null = null;

export function theme(): Theme {
  if (found === null) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
    found = {
      paper: colour("paper"), ink: colour("ink"), faint: colour("faint"), line: colour("line"),
      accent: colour("accent"), second: colour("second"), warn: colour("failed"),
      states: NODE_STATES.map((state) => colour(state)),
      containers: ["off", "booting", "draining", "idle", "busy"].map(colour),
    };
  }
  return found;
}

/** Call when the system changes between light and dark. */
export function onThemeChange(listener: () => void): () => void {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const change = () => {
    found = null;
    listener();
  };
  media.addEventListener("change", change);
  return () => media.removeEventListener("change", change);
}

/** From little carbon to much: hues that stay apart for colour-blind readers (after ColorBrewer's BrBG). */
const CARBON = [[53, 151, 143], [128, 205, 193], [223, 194, 125], [191, 129, 45], [140, 81, 10]];

export function carbonColour(grams: number, most: number): string {
  if (!Number.isFinite(grams) || most <= 0) return "rgb(128 128 128)";
  const place = Math.min(Math.max(grams / most, 0), 1) * (CARBON.length - 1);
  const low = Math.min(Math.floor(place), CARBON.length - 2);
  const mix = CARBON[low].map((value, index) => Math.round(value + (place - low) * (CARBON[low + 1][index] - value)));
  return `rgb(${mix.join(" ")})`;
}

/** A colour for a job that it keeps: hues by the golden angle. */
export function jobColour(job: number, isDark: boolean): string {
  return `hsl(${(job * 137.508) % 360} 45% ${isDark ? 45 : 62}%)`;
}

export function isDark(): boolean {
  return matchMedia("(prefers-color-scheme: dark)").matches;
}
