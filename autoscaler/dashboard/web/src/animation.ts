/** One loop of frames for everything that moves: it draws only when something changed, and knows how long that took. */

import type { RefObject } from "preact";
import { useEffect, useRef } from "preact/hooks";

type Draw = () => void;

const KEPT_FRAMES = 600;

export class Animation {
  /** Work of the last frames in ms, for benchmarks. */
  readonly workMs: number[] = [];
  private readonly draws = new Set<Draw>();
  private readonly ticks = new Set<(wallSeconds: number) => boolean>();
  private dirty = true;
  private handle = 0;
  private last = 0;

  start(): void {
    const frame = (now: number) => {
      const wall = this.last === 0 ? 0 : Math.min((now - this.last) / 1000, 0.25);
      this.last = now;
      for (const tick of this.ticks) if (tick(wall)) this.dirty = true;
      if (this.dirty) {
        this.dirty = false;
        const before = performance.now();
        for (const draw of this.draws) draw();
        this.workMs.push(performance.now() - before);
        if (this.workMs.length > KEPT_FRAMES) this.workMs.shift();
      }
      this.handle = requestAnimationFrame(frame);
    };
    this.handle = requestAnimationFrame(frame);
  }

  stop(): void {
    cancelAnimationFrame(this.handle);
  }

  invalidate(): void {
    this.dirty = true;
  }

  onTick(tick: (wallSeconds: number) => boolean): () => void {
    this.ticks.add(tick);
    return () => void this.ticks.delete(tick);
  }

  onDraw(draw: Draw): () => void {
    this.draws.add(draw);
    this.dirty = true;
    return () => void this.draws.delete(draw);
  }
}

/** Draw with every frame, by the newest version of a function. */
export function useDraw(animation: Animation, draw: Draw): void {
  const latest = useRef(draw);
  latest.current = draw;
  useEffect(() => animation.onDraw(() => latest.current()), [animation]);
  animation.invalidate();
}

/** Draw a canvas with every frame, once it has a width. */
export function useCanvas(
  animation: Animation, canvas: RefObject<HTMLCanvasElement>, width: number, height: number, draw: (context: CanvasRenderingContext2D) => void,
): void {
  useDraw(animation, () => {
    if (canvas.current !== null && width > 0) draw(sized(canvas.current, width, height));
  });
}

/** A canvas's context in CSS pixels, its memory as large as the screen needs. */
export function sized(canvas: HTMLCanvasElement, width: number, height: number): CanvasRenderingContext2D {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.max(1, Math.round(width * ratio)), Math.max(1, Math.round(height * ratio))];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d")!;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  return context;
}
