import { Button, describeKey, Swatches, type View } from "@pellucid/toolkit";

import { keys } from "./actions.ts";

interface Props {
  readonly view: View;
  readonly onChange: (view: View) => void;
}

/** What an image lies on, and what of it is shown. */
export function ViewBar({ view, onChange }: Props) {
  const layer = (name: "alpha" | "fringe") =>
    onChange({ ...view, layer: view.layer === name ? "image" : name });
  return (
    <section class="viewbar" aria-label="View">
      <h2>
        Background <kbd>{hint("background")}</kbd>
      </h2>
      <Swatches
        background={view.background}
        onChange={(background) => onChange({ layer: "image", background })}
      />
      <div class="layers">
        <Button
          label="Alpha"
          icon="alpha"
          hint={hint("alpha")}
          pressed={view.layer === "alpha"}
          onPress={() => layer("alpha")}
        />
        <Button
          label="Edges"
          icon="fringe"
          hint={hint("fringe")}
          pressed={view.layer === "fringe"}
          onPress={() => layer("fringe")}
        />
      </div>
      {view.layer === "fringe" && (
        <p class="note">
          Colour of half-transparent pixels. <b class="haze">Haze</b> and <b class="holes">holes</b> are dirt.
        </p>
      )}
    </section>
  );
}

function hint(action: "background" | "alpha" | "fringe"): string {
  return keys.keys(action).slice(0, 1).map(describeKey).join("");
}
