import {
  Button,
  Icon,
  nextBackground,
  Notices,
  Segmented,
  store,
  stored,
  ThemeSwitch,
  useKeys,
  type View,
} from "@pellucid/toolkit";
import { useEffect, useState } from "preact/hooks";

import { FIRST_VIEW, keys } from "./actions.ts";
import { Grid } from "./grid.tsx";
import { History } from "./history.tsx";
import { Legend } from "./legend.tsx";
import { Panel } from "./panel.tsx";
import type { ReviewSession } from "./session.ts";
import { Single } from "./single.tsx";
import { ViewBar } from "./viewbar.tsx";

type Mode = "single" | "grid" | "disputed";
const MODE = "pellucid-review-mode";

/** Everything that is seen while somebody judges. */
export function Workplace({
  session,
  onLeave,
}: {
  readonly session: ReviewSession;
  readonly onLeave: () => void;
}) {
  const [mode, setMode] = useState<Mode>(() => (stored<Mode>(MODE, "single") === "grid" ? "grid" : "single"));
  const [view, setView] = useState<View>(FIRST_VIEW);
  const [zoomed, setZoomed] = useState(false);
  const [open, setOpen] = useState<"" | "legend" | "history">("");

  const change = (next: Mode) => {
    setMode(next);
    setZoomed(false);
    store(MODE, next === "disputed" ? "single" : next);
    void session.switchQueue(next === "disputed");
  };
  const show = (next: View) => {
    setView(next);
    store("pellucid-review-background", next.background);
  };
  const layer = (name: "alpha" | "fringe") => show({ ...view, layer: view.layer === name ? "image" : name });
  const undo = () => {
    setZoomed(false);
    session.undo();
  };
  const handlers: Partial<Record<string, () => void>> = {
    undo,
    zoom: () => setZoomed(!zoomed),
    background: () => show({ layer: "image", background: nextBackground(view.background) }),
    alpha: () => layer("alpha"),
    fringe: () => layer("fringe"),
    grid: () => change(mode === "grid" ? "single" : "grid"),
    history: () => setOpen("history"),
    legend: () => setOpen("legend"),
  };
  useKeys((key) => {
    if (mode === "grid" && key.startsWith("Arrow")) return false; // there they move
    const handler = handlers[keys.action(key) ?? ""];
    handler?.();
    return handler !== undefined;
  }, open === "");
  useEffect(() => setZoomed(false), [session.current]);

  const { keep = 0, reject = 0, disputed = 0, open: left = 0 } = session.progress?.counts ?? {};
  const total = keep + reject + disputed + left;
  const work = { session, view, zoomed, onZoom: setZoomed, enabled: open === "" };
  return (
    <div class="workplace" data-mode={mode}>
      <header class="bar">
        <span class="brand">
          <Icon name="layers" />
          <b>Round {session.round.number}</b>
        </span>
        <Segmented
          label="How to review"
          value={mode}
          onChange={change}
          options={[
            { value: "single", label: "Single", icon: "single" },
            { value: "grid", label: "Grid", icon: "grid" },
            {
              value: "disputed",
              label: disputed > 0 ? `Disputed (${disputed})` : "Disputed",
              icon: "scales",
            },
          ]}
        />
        <div class="progress">
          <progress value={total - left} max={Math.max(1, total)} aria-label="Images judged" />
          <span class="numbers">
            {(total - left).toLocaleString()} of {total.toLocaleString()}
          </span>
        </div>
        <div class="tools">
          <Button
            label="History"
            icon="history"
            quiet
            hint={hint("history")}
            onPress={() => setOpen("history")}
          />
          <Button
            label="Keys"
            icon="keyboard"
            quiet
            hint={hint("legend")}
            onPress={() => setOpen("legend")}
          />
          <ThemeSwitch />
          <Button label={`${session.reviewer.name}: change`} icon="person" quiet onPress={onLeave} />
        </div>
      </header>
      <Notices state={session.outbox.state} word="verdict" />
      <div class="floor">
        <div class="centre">{mode === "grid" ? <Grid {...work} /> : <Single {...work} />}</div>
        <aside class="side" aria-label="View and pace">
          <ViewBar view={view} onChange={show} />
          <Panel session={session} />
        </aside>
      </div>
      <p class="hidden" role="status" aria-live="polite">
        {session.announcement}
      </p>
      {open === "legend" && <Legend reasons={session.round.reasons} onClose={() => setOpen("")} />}
      {open === "history" && <History session={session} view={view} onClose={() => setOpen("")} />}
    </div>
  );
}

function hint(action: "history" | "legend"): string | undefined {
  return keys.keys(action)[0]?.toUpperCase();
}
