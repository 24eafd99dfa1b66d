import { ApiClient, ApiError, Button, Icon, loadPhoto, useChanges } from "@pellucid/toolkit";
import { useEffect, useState } from "preact/hooks";

import type { Study } from "./api.ts";
import { Enter } from "./enter.tsx";
import { StudySession } from "./session.ts";
import { Workplace } from "./workplace.tsx";

/** The page: first what the study is about, then one pair after the other. */
export function App({ api }: { readonly api: ApiClient }) {
  const [study, setStudy] = useState<Study | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [work, setWork] = useState<StudySession | null>(null);

  const load = async () => {
    try {
      setFailure(null);
      setStudy(await api.get<Study>("study"));
    } catch (error) {
      setFailure(error instanceof ApiError ? error.message : "The server does not answer. Is it running?");
    }
  };
  useEffect(() => {
    void load();
    void loadPhoto();
  }, []);

  if (work !== null) {
    const leave = () => {
      work.stop();
      setWork(null);
      void load();
    };
    return <Work session={work} onLeave={leave} />;
  }
  if (study !== null) {
    const begin = (rater: string) => {
      const begun = new StudySession(api, study, rater);
      setWork(begun);
      void begun.start();
    };
    return <Enter study={study} onBegin={begin} />;
  }
  return (
    <main class="message">
      <Icon name="layers" />
      <h1>Pellucid Study</h1>
      {failure !== null && (
        <>
          <p role="alert">{failure}</p>
          <Button label="Try again" kind="primary" onPress={() => void load()} />
        </>
      )}
    </main>
  );
}

function Work({ session, onLeave }: { readonly session: StudySession; readonly onLeave: () => void }) {
  useChanges(session, session.outbox, session.images);
  return <Workplace session={session} onLeave={onLeave} />;
}
