import {
  type Background,
  BACKGROUNDS,
  Button,
  describeKey,
  Dialog,
  Icon,
  KeyTable,
  nextBackground,
  Notices,
  Swatches,
  ThemeSwitch,
  useKeys,
} from "@pellucid/toolkit";
import { useEffect, useState } from "preact/hooks";

import { type Action, keys, TITLES } from "./actions.ts";
import type { Pair } from "./api.ts";
import { Comparison } from "./comparison.tsx";
import type { StudySession } from "./session.ts";

interface Props {
  readonly session: StudySession;
  readonly onLeave: () => void;
}

/** Everything that is seen while somebody chooses. */
export function Workplace({ session, onLeave }: Props) {
  const pair = session.current;
  const [background, setBackground] = useState<Background>(backgroundOf(pair));
  const [zoomed, setZoomed] = useState(false);
  const [legend, setLegend] = useState(false);
  // each pair begins on its own background, which the plan drew
  useEffect(() => {
    setBackground(backgroundOf(pair));
    setZoomed(false);
  }, [pair]);

  const answer = (outcome: "left" | "right" | "tie") => session.answer(outcome, plainName(background));
  const handlers: Readonly<Record<Action, () => void>> = {
    left: () => answer("left"),
    tie: () => answer("tie"),
    right: () => answer("right"),
    undo: () => session.undo(),
    zoom: () => setZoomed(!zoomed),
    background: () => setBackground(nextBackground(background)),
    legend: () => setLegend(true),
  };
  useKeys((key, event) => {
    const action = keys.action(key);
    if (action === undefined) return false;
    // a key that is held down would answer pairs that nobody saw
    if (!event.repeat) handlers[action]();
    return true;
  }, !legend);

  const ready = session.visible(pair);
  const offered = [...new Set([...BACKGROUNDS, backgroundOf(pair)])];
  const { votes, wanted } = session.progress;
  return (
    <div class="workplace">
      <header class="bar">
        <span class="brand">
          <Icon name="layers" />
          <b>{session.study.title}</b>
        </span>
        <div class="progress">
          <progress value={votes} max={Math.max(1, wanted)} aria-label="Answers of all, of those wanted" />
          <span class="numbers">You answered {session.answered.toLocaleString()}</span>
        </div>
        <div class="tools">
          <Button label="Keys" icon="keyboard" quiet hint={hint("legend")} onPress={() => setLegend(true)} />
          <ThemeSwitch />
          <Button label={`${session.rater}: stop or change`} icon="person" quiet onPress={onLeave} />
        </div>
      </header>
      <Notices state={session.outbox.state} word="answer" />
      <div class="centre">
        {pair === undefined ? (
          <Nothing session={session} />
        ) : (
          <>
            <div class="asked">
              <h1>{session.study.questions[pair.question]}</h1>
              <p class="prompt">{pair.prompt}</p>
            </div>
            <Comparison {...{ session, pair, background, zoomed }} onZoom={setZoomed} />
          </>
        )}
        <div class="choices">
          <Button label="A" kind="primary" hint={hint("left")} disabled={!ready} onPress={handlers.left} />
          <Button label="No preference" hint={hint("tie")} disabled={!ready} onPress={handlers.tie} />
          <Button label="B" kind="primary" hint={hint("right")} disabled={!ready} onPress={handlers.right} />
        </div>
        <div class="lower">
          <Button
            label="Undo"
            icon="undo"
            hint={hint("undo")}
            disabled={!session.canUndo}
            onPress={handlers.undo}
          />
          <Swatches background={background} onChange={setBackground} all={offered} />
          <Button
            label="Zoom"
            icon="zoom"
            hint={hint("zoom")}
            pressed={zoomed}
            disabled={!ready}
            onPress={handlers.zoom}
          />
        </div>
      </div>
      <p class="hidden" role="status" aria-live="polite">
        {session.announcement}
      </p>
      {legend && (
        <Dialog title="Keys" onClose={() => setLegend(false)}>
          <KeyTable keys={keys} titles={TITLES} />
          <p class="note">Zoom follows the pointer in both images at once. On a phone, tap an image to zoom.</p>
        </Dialog>
      )}
    </div>
  );
}

/** What stands where a pair would, if there is none. */
function Nothing({ session }: { readonly session: StudySession }) {
  if (session.trouble !== null) return <p class="nothing">{session.trouble}</p>;
  if (!session.exhausted) return <p class="nothing">Fetching images …</p>;
  return (
    <div class="nothing">
      <h1>Thank you</h1>
      <p>
        {session.progress.ended
          ? "The study has all the answers it asked for."
          : "You have answered every pair that is there for you at the moment."}{" "}
        You gave {session.answered.toLocaleString()} {session.answered === 1 ? "answer" : "answers"}; you may
        close this page.
      </p>
    </div>
  );
}

/** Backgrounds as plans and votes name them. */
const PLAIN: Readonly<Partial<Record<Background, string>>> = {
  checker: "checkerboard",
  photo: "photograph",
  black: "#000000",
  white: "#ffffff",
  grey: "#808080",
};

/** The background of a pair as the page names it. */
function backgroundOf(pair: Pair | undefined): Background {
  const name = pair?.background ?? "checkerboard";
  return BACKGROUNDS.find((each) => PLAIN[each] === name) ?? (name as Background);
}

function plainName(background: Background): string {
  return PLAIN[background] ?? background;
}

function hint(action: Action): string {
  return keys.keys(action).slice(0, 1).map(describeKey).join("");
}
