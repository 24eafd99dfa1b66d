import { Button, Icon, stored, store, ThemeSwitch } from "@pellucid/toolkit";
import { useState } from "preact/hooks";

import type { Round, Session } from "./api.ts";

const NAME = "pellucid-review-name";

interface Props {
  readonly session: Session;
  readonly round: Round;
  readonly onEnter: (name: string) => Promise<void>;
}

/** Asks who is there: verdicts carry a name, and undo reaches back to one's own. */
export function Enter({ session, round, onEnter }: Props) {
  const [name, setName] = useState(stored(NAME, ""));
  const [failure, setFailure] = useState("");
  const begin = async (chosen: string) => {
    if (chosen.trim() === "") return;
    store(NAME, chosen.trim());
    try {
      await onEnter(chosen.trim());
    } catch (error) {
      setFailure((error as Error).message);
    }
  };
  return (
    <main class="message">
      <div class="corner">
        <ThemeSwitch />
      </div>
      <Icon name="layers" />
      <h1>Pellucid Review</h1>
      <p>
        Round {round.number}: keep the images that the next model should learn from, about{" "}
        {round.goal.toLocaleString()} in all.
      </p>
      <form
        class="enter"
        onSubmit={(event) => {
          event.preventDefault();
          void begin(name);
        }}
      >
        <label for="name">Your name</label>
        <div class="row">
          <input
            id="name"
            value={name}
            maxLength={80}
            autocomplete="nickname"
            autofocus
            onInput={(event) => setName(event.currentTarget.value)}
          />
          <button type="submit" class="button primary" disabled={name.trim() === ""}>
            Begin
          </button>
        </div>
      </form>
      {session.reviewers.length > 0 && (
        <div class="people" role="group" aria-label="Come back as">
          {session.reviewers.map((each) => (
            <Button key={each} label={each} icon="person" onPress={() => void begin(each)} />
          ))}
        </div>
      )}
      {failure !== "" && <p role="alert">{failure}</p>}
    </main>
  );
}
