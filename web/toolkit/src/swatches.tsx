import { type Background, BACKGROUNDS } from "./paint.ts";

interface Props {
  readonly background: Background;
  readonly onChange: (background: Background) => void;
  /** Those on offer. */
  readonly all?: readonly Background[];
}

/** A choice of what images lie on. */
export function Swatches({ background, onChange, all = BACKGROUNDS }: Props) {
  return (
    <div class="swatches" role="group" aria-label="Background">
      {all.map((each) => (
        <button
          key={each}
          type="button"
          class={`swatch ${each.startsWith("#") ? "" : each}`}
          style={each.startsWith("#") ? { background: each } : {}}
          title={each}
          aria-label={each}
          aria-pressed={background === each}
          onPointerDown={(event) => event.preventDefault()}
          onClick={() => onChange(each)}
        />
      ))}
    </div>
  );
}
