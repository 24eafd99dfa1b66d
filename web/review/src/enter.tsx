import { Button, Icon, NameForm, stored, store, ThemeSwitch } from "@pellucid/toolkit";
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
  const [failure, setFailure] = useState("");
  const begin = async (chosen: string) => {
    if (chosen === "") return;
    store(NAME, chosen);
    try {
      await onEnter(chosen);
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
      <NameForm label="Your name" name={stored(NAME, "")} required onBegin={(name) => void begin(name)} />
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
