import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";

import { type View, paint } from "./paint.ts";

/** An image is enlarged at most so much to fill its place: 128 px should not look like fog. */
const MOST_ENLARGED = 6;
/** From this scale on pixels are shown as squares when zoomed. */
const PIXELS_FROM = 3;
const MARGIN = 0.03;

export interface Point {
  readonly x: number;
  readonly y: number;
}

interface Props {
  readonly bitmap: ImageBitmap | undefined;
  readonly view: View;
  /** Says what the image should show, for those who cannot see it. */
  readonly label: string;
  /** 1 fits; more enlarges around the pointer. */
  readonly zoom?: number;
  /** What is enlarged, as a share of width and height; without it each canvas follows its own pointer. */
  readonly centre?: Point;
  readonly onCentre?: (centre: Point) => void;
  readonly className?: string;
}

/** Shows an image on a background, as large as its place allows. Draws at once, before the next frame. */
export function ImageCanvas({ bitmap, view, label, zoom = 1, className = "", ...shared }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [size, setSize] = useState({ width: 0, height: 0 });
  const [own, setOwn] = useState<Point>({ x: 0.5, y: 0.5 });
  const centre = shared.centre ?? own;

  useEffect(() => {
    const element = canvas.current!;
    const observer = new ResizeObserver(() =>
      setSize({ width: element.clientWidth, height: element.clientHeight }),
    );
    observer.observe(element);
    return () => observer.disconnect();
  }, []);

  useLayoutEffect(() => {
    const element = canvas.current!;
    const density = devicePixelRatio;
    const [width, height] = [Math.round(size.width * density), Math.round(size.height * density)];
    if (element.width !== width || element.height !== height) {
      element.width = width;
      element.height = height;
    }
    const context = element.getContext("2d")!;
    context.clearRect(0, 0, width, height);
    if (bitmap === undefined || width === 0) return;
    const room = 1 - 2 * MARGIN;
    const fit = Math.min(
      (width * room) / bitmap.width,
      (height * room) / bitmap.height,
      MOST_ENLARGED * density,
    );
    const scale = fit * zoom;
    const [wide, high] = [bitmap.width * scale, bitmap.height * scale];
    const area = {
      x: place(width, wide, centre.x),
      y: place(height, high, centre.y),
      width: wide,
      height: high,
    };
    paint(context, bitmap, view, area, { pixelated: zoom > 1 && scale / density >= PIXELS_FROM, density });
  }, [bitmap, view.background, view.layer, zoom, size, centre.x, centre.y]);

  const follow = (event: PointerEvent) => {
    if (zoom === 1) return;
    const box = canvas.current!.getBoundingClientRect();
    const at = { x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height };
    (shared.onCentre ?? setOwn)(at);
  };
  return (
    <canvas
      ref={canvas}
      role="img"
      aria-label={label}
      class={`image-canvas ${className}`}
      data-ready={bitmap !== undefined}
      onPointerMove={follow}
    />
  );
}

/** Where an image begins along one axis: in the middle if it fits, else moved so that `at` of it is seen. */
function place(room: number, length: number, at: number): number {
  return length <= room ? (room - length) / 2 : (room - length) * at;
}
