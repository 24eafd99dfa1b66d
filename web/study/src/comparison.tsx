import { type Background, Button, ImageCanvas, type Point } from "@pellucid/toolkit";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import type { Pair, Side } from "./api.ts";
import type { StudySession } from "./session.ts";

const ZOOM = 3;
/** A finger that moves farther drags. */
const TAP_PX = 10;

interface Props {
  readonly session: StudySession;
  readonly pair: Pair;
  readonly background: Background;
  readonly zoomed: boolean;
  readonly onZoom: (zoomed: boolean) => void;
}

/** The two images of a pair on one background, enlarged together. */
export function Comparison({ session, pair, background, zoomed, onZoom }: Props) {
  const [centre, setCentre] = useState<Point>({ x: 0.5, y: 0.5 });
  const flash = useFlash(session);
  useEffect(() => setCentre({ x: 0.5, y: 0.5 }), [pair]);
  const failure = session.failure(pair);
  if (failure !== undefined) {
    return (
      <div class="nothing" role="alert">
        <p>These images cannot be shown: {failure}</p>
        <Button label="Try again" onPress={() => session.retry(pair)} />
      </div>
    );
  }
  const ready = session.visible(pair);
  const image = (side: Side, name: string) => (
    <figure class={`side-image ${flash === side ? "chosen" : ""}`} data-zoomed={zoomed}>
      <figcaption>{name}</figcaption>
      <Tappable
        onTap={(at) => {
          setCentre(at);
          onZoom(!zoomed);
        }}
      >
        {/* both or none: whichever comes first would be looked at longer */}
        <ImageCanvas
          bitmap={ready ? session.images.get(`${pair.id}/${side}`) : undefined}
          view={{ background, layer: "image" }}
          label={`${name}: ${pair.prompt}`}
          zoom={zoomed ? ZOOM : 1}
          centre={centre}
          onCentre={setCentre}
        />
      </Tappable>
    </figure>
  );
  return (
    <div class="pair" data-pair={pair.id}>
      {image("left", "A")}
      {image("right", "B")}
    </div>
  );
}

interface TappableProps {
  readonly onTap: (at: Point) => void;
  readonly children: ComponentChildren;
}

/** Tells a tap, and where in the element it was, from a drag. */
function Tappable({ onTap, children }: TappableProps) {
  const start = useRef<{ x: number; y: number } | null>(null);
  const end = (event: PointerEvent) => {
    const begun = start.current;
    start.current = null;
    if (begun === null || Math.hypot(event.clientX - begun.x, event.clientY - begun.y) > TAP_PX) return;
    const box = (event.currentTarget as Element).getBoundingClientRect();
    onTap({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  };
  return (
    <div
      class="tappable"
      onPointerDown={(event) => (start.current = { x: event.clientX, y: event.clientY })}
      onPointerUp={end}
      onPointerCancel={() => (start.current = null)}
    >
      {children}
    </div>
  );
}

/** The side whose frame lights up for a moment after it was chosen. */
function useFlash(session: StudySession): string {
  const [flash, setFlash] = useState("");
  useEffect(() => {
    if (session.answered === 0 || session.last === null) return undefined;
    setFlash(session.last);
    const timer = setTimeout(() => setFlash(""), 180);
    return () => clearTimeout(timer);
  }, [session.answered]);
  return flash;
}
