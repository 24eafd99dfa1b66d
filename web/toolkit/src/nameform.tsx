import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";

interface Props {
  readonly label: string;
  /** What stands in the field at first. */
  readonly name: string;
  /** Whether nobody may begin without a name. */
  readonly required?: boolean;
  readonly onBegin: (name: string) => void;
  /** What is said below. */
  readonly children?: ComponentChildren;
}

/** Asks who is there, and begins. */
export function NameForm({ label, name, required = false, onBegin, children }: Props) {
  const [given, setGiven] = useState(name);
  return (
    <form
      class="enter"
      onSubmit={(event) => {
        event.preventDefault();
        onBegin(given.trim());
      }}
    >
      <label for="name">{label}</label>
      <div class="row">
        <input
          id="name"
          value={given}
          maxLength={80}
          autocomplete="nickname"
          autofocus
          onInput={(event) => setGiven(event.currentTarget.value)}
        />
        <button type="submit" class="button primary" disabled={required && given.trim() === ""}>
          Begin
        </button>
      </div>
      {children}
    </form>
  );
}
