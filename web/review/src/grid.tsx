import { Button, describeKey, ImageCanvas, Segmented, store, stored, useKeys } from "@pellucid/toolkit";
import { useEffect, useRef, useState } from "preact/hooks";

import { keys } from "./actions.ts";
import type { Decision } from "./api.ts";
import { Nothing, type WorkProps } from "./single.tsx";

const SIZES = ["20", "30", "42", "60"] as const;
type Size = (typeof SIZES)[number];
/** A thumb must hit a cell, and an eye must see what it shows. */
const SMALLEST_PX = 88;
const MOST_COLUMNS = 9; // one for each digit

/** Many images at once: only the rejected are marked, or only the kept, and Enter commits the page. */
export function Grid({ session, view, zoomed, onZoom, enabled }: WorkProps) {
  const [size, setSize] = useState(stored<Size>("pellucid-review-grid", "30"));
  const [marks, setMarks] = useState<Decision>(stored<Decision>("pellucid-review-marks", "reject"));
  const [marked, setMarked] = useState<ReadonlySet<number>>(new Set());
  const [focus, setFocus] = useState(0);
  const [columns, setColumns] = useState(6);
  const place = useRef<HTMLDivElement>(null);
  const [page, items] = pageOf(session.queue, Number(size));
  const seen = page.every((sample) => session.images.get(sample.id) !== undefined);

  useEffect(() => session.want(2 * Number(size)), [size]);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => {
      const { width, height } = entry!.contentRect;
      setColumns(columnsFor(width, height, Number(size)));
    });
    observer.observe(place.current!);
    return () => observer.disconnect();
  }, [size]);
  const first = page[0]?.id;
  useEffect(() => {
    setMarked(new Set());
    setFocus(0);
  }, [first]);

  useEffect(() => {
    const cells = place.current!.querySelectorAll<HTMLElement>(".cell");
    if (document.activeElement?.classList.contains("cell")) cells[focus]?.focus();
  }, [focus]);

  const mark = (index: number, on?: boolean) => {
    const id = page[index]?.id;
    if (id === undefined) return;
    const changed = new Set(marked);
    if (on ?? !marked.has(id)) changed.add(id);
    else changed.delete(id);
    setMarked(changed);
    setFocus(index);
  };
  const other: Decision = marks === "reject" ? "keep" : "reject";
  const commit = () => {
    // keys may come faster than renders: a page is committed once
    if (page.length === 0 || !seen || session.current !== items[0]) return;
    const choices = items.map((item) =>
      item.samples.map((sample) => ({ decision: marked.has(sample.id) ? marks : other })),
    );
    session.decide(choices, "grid", view.background);
  };
  const go = (step: number) => setFocus((at) => Math.max(0, Math.min(page.length - 1, at + step)));
  const steps: Partial<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -columns,
    ArrowDown: columns,
  };
  useKeys((key, event) => {
    const step = steps[key];
    const action = keys.action(key);
    if (step !== undefined) go(step);
    else if (/^[1-9]$/.test(key)) mark(Math.floor(focus / columns) * columns + Number(key) - 1);
    else if (action === "commit" && !event.repeat) commit();
    else if (action === "keep" || action === "reject") mark(focus, action === marks);
    else return false;
    return true;
  }, enabled);

  const kept = marks === "keep" ? marked.size : page.length - marked.size;
  return (
    <>
      <div class="gridbar">
        <Segmented
          label="What is marked"
          value={marks}
          options={[
            { value: "reject", label: "Mark the rejected", icon: "cross" },
            { value: "keep", label: "Mark the kept", icon: "check" },
          ]}
          onChange={(value) => {
            setMarks(value);
            setMarked(new Set());
            store("pellucid-review-marks", value);
          }}
        />
        <label class="choose">
          Images
          <select
            value={size}
            onChange={(event) => {
              const chosen = event.currentTarget.value as Size;
              setSize(chosen);
              store("pellucid-review-grid", chosen);
              event.currentTarget.blur(); // keys are for the images again
            }}
          >
            {SIZES.map((each) => (
              <option key={each}>{each}</option>
            ))}
          </select>
        </label>
      </div>
      <div ref={place} class="stage grid-stage">
        {page.length === 0 ? (
          <Nothing session={session} />
        ) : (
          <div
            class="cells"
            role="group"
            aria-label="Images of this page"
            style={{ "--columns": String(columns) }}
          >
            {page.map((sample, index) => (
              <button
                key={sample.id}
                type="button"
                class="cell"
                tabIndex={index === focus ? 0 : -1}
                aria-pressed={marked.has(sample.id)}
                aria-label={`${sample.prompt}: ${marked.has(sample.id) ? marks : other}`}
                data-mark={marked.has(sample.id) ? marks : ""}
                data-focus={index === focus}
                onPointerDown={(event) => event.preventDefault()}
                onClick={() => mark(index)}
              >
                <ImageCanvas bitmap={session.images.get(sample.id)} view={view} label="" />
                <span class="prompt" title={sample.prompt} aria-hidden="true">
                  {sample.prompt}
                </span>
                <kbd aria-hidden="true">{(index % columns) + 1}</kbd>
              </button>
            ))}
          </div>
        )}
        {zoomed && page[focus] !== undefined && (
          <div class="overlay" onClick={() => onZoom(false)}>
            <ImageCanvas bitmap={session.images.get(page[focus].id)} view={view} label={page[focus].prompt} />
            <p>{page[focus].prompt}</p>
          </div>
        )}
      </div>
      <div class="verdicts">
        <p class="note">
          {kept} kept, {page.length - kept} rejected on this page
        </p>
        <Button
          label="Undo"
          icon="undo"
          hint={name("undo")}
          disabled={!session.canUndo}
          onPress={() => session.undo()}
        />
        <Button
          label="Commit page"
          kind="primary"
          icon="check"
          hint={name("commit")}
          disabled={!seen || page.length === 0}
          onPress={commit}
        />
      </div>
    </>
  );
}

/** The first items that fill a page: never a part of a group. */
function pageOf<Each extends { readonly samples: readonly unknown[] }>(queue: readonly Each[], size: number) {
  let count = 0;
  let length = 0;
  while (length < queue.length && (length === 0 || count + queue[length]!.samples.length <= size)) {
    count += queue[length++]!.samples.length;
  }
  const items = queue.slice(0, length);
  return [items.flatMap((item) => item.samples) as Each["samples"][number][], items] as const;
}

/** Columns with which cells of a page are largest. */
function columnsFor(width: number, height: number, count: number): number {
  let best = { columns: 2, side: 0 };
  for (let columns = 2; columns <= MOST_COLUMNS; columns++) {
    const side = Math.min(width / columns, height / Math.ceil(count / columns));
    if (side > best.side) best = { columns, side };
  }
  // on a phone all cells never fit: then they scroll, at a size that a thumb can hit
  return best.side < SMALLEST_PX
    ? Math.max(3, Math.min(MOST_COLUMNS, Math.floor(width / 110)))
    : best.columns;
}

function name(action: "commit" | "undo"): string {
  return keys.keys(action).slice(0, 1).map(describeKey).join("");
}
