import { Button, describeKey, ImageCanvas, useKeys, type View } from "@pellucid/toolkit";
import { useEffect, useRef, useState } from "preact/hooks";

import { keys } from "./actions.ts";
import type { Decision, Item } from "./api.ts";
import type { Choice, ReviewSession } from "./session.ts";

export interface WorkProps {
  readonly session: ReviewSession;
  readonly view: View;
  readonly zoomed: boolean;
  readonly onZoom: (zoomed: boolean) => void;
  /** Whether keys are for the work: not while a dialog is open. */
  readonly enabled: boolean;
}

const ZOOM = 3;
/** A swipe shorter than this is a tap. */
const SWIPE_PX = 60;

/** One image at a time, or a group of like ones of which the best is chosen. */
export function Single({ session, view, zoomed, onZoom, enabled }: WorkProps) {
  const item = session.current;
  const ready = session.visible(item);
  const flash = useFlash(session);
  const pressedAt = useRef(0);
  const prompts = promptsOf(item);

  const judge = (choose: (now: Item) => readonly Choice[] | null) => {
    // asked for anew: keys may come faster than renders
    const now = session.current;
    const choices = now !== undefined && session.visible(now) ? choose(now) : null;
    if (now === undefined || choices === null) return;
    session.decide([choices], now.samples.length > 1 ? "group" : "single", view.background);
    const start = pressedAt.current;
    // the callback runs just before the frame that shows the verdict
    requestAnimationFrame((end) =>
      performance.measure("verdict-to-frame", { start, end: Math.max(start, end) }),
    );
  };
  const all = (decision: Decision, reason = "") =>
    judge((now) => now.samples.map(() => ({ decision, reason })));
  const best = (index: number) =>
    judge((now) =>
      index < now.samples.length
        ? now.samples.map((_, place) => ({ decision: place === index ? "keep" : "reject" }))
        : null,
    );
  const digit = (number: number) => {
    const reason = session.round.reasons[number - 1];
    if ((session.current?.samples.length ?? 0) > 1) best(number - 1);
    else if (reason !== undefined) all("reject", reason);
  };
  useKeys((key, event) => {
    const action = keys.action(key);
    const isDigit = /^[1-9]$/.test(key);
    if (action !== "keep" && action !== "reject" && !isDigit) return false;
    // a key that is held down would judge images that nobody saw
    if (event.repeat) return true;
    pressedAt.current = event.timeStamp;
    if (isDigit) digit(Number(key));
    else all(action as Decision);
    return true;
  }, enabled);
  const press = (decision: Decision) => {
    pressedAt.current = performance.now();
    all(decision);
  };

  return (
    <>
      <div class={`stage ${flash}`} data-zoomed={zoomed}>
        <Stage item={item} {...{ session, view, zoomed, onZoom, best }} onSwipe={press} />
      </div>
      <div class="caption">
        {item !== undefined && prompts.length === 1 && <p class="prompt">{prompts[0]}</p>}
        {item !== undefined && item.samples.length > 1 && (
          <p class="note">
            {item.samples.length} like images. <span class="by-key">Press the number of the best</span>
            <span class="by-touch">Tap the best</span>, reject all of them or keep all.
          </p>
        )}
        {item?.task === "ruling" && (
          <p class="note">Reviewers disagree about this one. What you say decides.</p>
        )}
      </div>
      <div class="verdicts">
        <Button
          label="Reject"
          kind="reject"
          icon="cross"
          hint={name("reject")}
          disabled={!ready}
          onPress={() => press("reject")}
        />
        <Button
          label="Undo"
          icon="undo"
          hint={name("undo")}
          disabled={!session.canUndo}
          onPress={() => session.undo()}
        />
        <Button
          label="Keep"
          kind="keep"
          icon="check"
          hint={name("keep")}
          disabled={!ready}
          onPress={() => press("keep")}
        />
      </div>
      {item?.samples.length === 1 && (
        <div class="reasons" role="group" aria-label="Reject because">
          {session.round.reasons.map((reason, index) => (
            <Button
              key={reason}
              label={reason}
              hint={String(index + 1)}
              disabled={!ready}
              onPress={() => all("reject", reason)}
            />
          ))}
        </div>
      )}
    </>
  );
}

interface StageProps {
  readonly item: Item | undefined;
  readonly session: ReviewSession;
  readonly view: View;
  readonly zoomed: boolean;
  readonly onZoom: (zoomed: boolean) => void;
  readonly best: (index: number) => void;
  readonly onSwipe: (decision: Decision) => void;
}

function Stage({ item, session, view, zoomed, onZoom, best, onSwipe }: StageProps) {
  const start = useRef<{ x: number; y: number; id: number } | null>(null);
  const [shift, setShift] = useState(0);
  if (item === undefined) return <Nothing session={session} />;
  const broken = item.samples
    .map((sample) => session.images.failure(sample.id))
    .find((each) => each !== undefined);
  if (broken !== undefined) {
    return (
      <div class="nothing" role="alert">
        <p>This image cannot be shown: {broken}</p>
        <Button
          label="Try again"
          onPress={() => item.samples.forEach((sample) => session.images.retry(sample.id))}
        />
      </div>
    );
  }
  if (item.samples.length > 1) {
    const differ = promptsOf(item).length > 1;
    return (
      <div class="group" data-count={item.samples.length}>
        {item.samples.map((sample, index) => (
          <button
            key={sample.id}
            type="button"
            class="cell"
            aria-label={`Choose ${index + 1}`}
            onClick={() => best(index)}
          >
            <ImageCanvas
              bitmap={session.images.get(sample.id)}
              view={view}
              label={sample.prompt}
              zoom={zoomed ? ZOOM : 1}
            />
            <kbd>{index + 1}</kbd>
            {differ && <span class="prompt">{sample.prompt}</span>}
          </button>
        ))}
      </div>
    );
  }
  const sample = item.samples[0]!;
  const end = (event: PointerEvent) => {
    const begun = start.current;
    start.current = null;
    setShift(0);
    if (begun === null || begun.id !== event.pointerId) return;
    const [x, y] = [event.clientX - begun.x, event.clientY - begun.y];
    if (!zoomed && Math.abs(x) > SWIPE_PX && Math.abs(x) > 2 * Math.abs(y))
      onSwipe(x > 0 ? "keep" : "reject");
    else if (Math.hypot(x, y) < 10) onZoom(!zoomed);
  };
  const move = (event: PointerEvent) => {
    if (start.current !== null && !zoomed && event.pointerType === "touch")
      setShift(event.clientX - start.current.x);
  };
  return (
    <div
      class="swipe"
      data-lean={Math.abs(shift) > SWIPE_PX ? (shift > 0 ? "keep" : "reject") : ""}
      style={{ transform: shift === 0 ? "" : `translateX(${shift}px) rotate(${shift / 60}deg)` }}
      onPointerDown={(event) => (start.current = { x: event.clientX, y: event.clientY, id: event.pointerId })}
      onPointerMove={move}
      onPointerUp={end}
      onPointerCancel={() => {
        start.current = null;
        setShift(0);
      }}
    >
      <ImageCanvas
        bitmap={session.images.get(sample.id)}
        view={view}
        label={sample.prompt}
        zoom={zoomed ? ZOOM : 1}
      />
    </div>
  );
}

/** What stands where an image would, if there is none. */
export function Nothing({ session }: { readonly session: ReviewSession }) {
  if (session.trouble !== null) return <p class="nothing">{session.trouble}</p>;
  if (!session.exhausted) return <p class="nothing">Fetching images …</p>;
  return (
    <div class="nothing">
      <h2>{session.disputed ? "Nothing is disputed" : "Nothing is left for you"}</h2>
      <p>
        {session.disputed
          ? "Reviewers agree about everything that several of them have judged."
          : "Every image is judged, or with another reviewer. What they leave will come here."}
      </p>
    </div>
  );
}

function promptsOf(item: Item | undefined): string[] {
  return [...new Set(item?.samples.map((sample) => sample.prompt))];
}

function name(action: "keep" | "reject" | "undo"): string {
  return keys.keys(action).slice(0, 1).map(describeKey).join("");
}

/** The class that makes the stage's edge light up after a verdict. */
function useFlash(session: ReviewSession): string {
  const [flash, setFlash] = useState("");
  useEffect(() => {
    if (session.last === null) return undefined;
    setFlash(`flash-${session.last.decision}`);
    const timer = setTimeout(() => setFlash(""), 180);
    return () => clearTimeout(timer);
  }, [session.last]);
  return flash;
}
