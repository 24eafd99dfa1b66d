import { Icon, NameForm, newId, store, stored, ThemeSwitch } from "@pellucid/toolkit";

import type { Study } from "./api.ts";

export const RATER = "pellucid-study-rater";

interface Props {
  readonly study: Study;
  readonly onBegin: (rater: string) => void;
}

/** Says what the study is about and who may see what, and asks for a name or a code. */
export function Enter({ study, onBegin }: Props) {
  const begin = (name: string) => {
    // without a name this browser is one person
    const rater = name === "" ? `anonymous-${newId().slice(0, 8)}` : name;
    store(RATER, rater);
    onBegin(rater);
  };
  const questions = Object.entries(study.questions);
  return (
    <main class="message">
      <div class="corner">
        <ThemeSwitch />
      </div>
      <Icon name="layers" />
      <h1>{study.title}</h1>
      {study.ended ? (
        <p>This study has all the answers it asked for. Thank you for coming.</p>
      ) : (
        <>
          {study.instructions !== "" && <p class="instructions">{study.instructions}</p>}
          <p>You will see two images at a time. {questions.length === 1 ? "" : "You will be asked:"}</p>
          <ul class="questions">
            {questions.map(([id, text]) => (
              <li key={id}>{text}</li>
            ))}
          </ul>
          <p>
            Answer with one key or one tap. You may stop at any time and come back in this browser, or with the
            same name.
          </p>
          <NameForm label="Your name or code, if you like" name={stored(RATER, "")} onBegin={begin}>
            <p class="note">
              Kept with your answers: this name, when you answered, how long you looked, and the background.
            </p>
          </NameForm>
        </>
      )}
    </main>
  );
}
