import { ApiClient, ApiError, Button, Icon, loadPhoto, useChanges } from "@pellucid/toolkit";
import { useEffect, useState } from "preact/hooks";

import { Enter } from "./enter.tsx";
import { ReviewSession } from "./session.ts";
import type { Reviewer, Session } from "./api.ts";
import { Workplace } from "./workplace.tsx";

const api = new ApiClient();

/** The page: first a name, then the work. */
export function App() {
  const [session, setSession] = useState<Session | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const [work, setWork] = useState<ReviewSession | null>(null);

  const load = async () => {
    try {
      setFailure(null);
      setSession(await api.get<Session>("session"));
    } catch (error) {
      setFailure(error instanceof ApiError ? error.message : "The server does not answer. Is it running?");
    }
  };
  useEffect(() => {
    void load();
    void loadPhoto();
  }, []);

  const enter = async (name: string) => {
    const reviewer = await api.post<Reviewer>("reviewers", { name });
    const begun = new ReviewSession(api, session!.round!, reviewer);
    setWork(begun);
    await begun.start();
  };
  const leave = () => {
    work?.stop();
    setWork(null);
    void load();
  };

  if (work !== null) return <Work session={work} onLeave={leave} />;
  if (session !== null && session.round !== null) {
    return <Enter session={session} round={session.round} onEnter={enter} />;
  }
  return (
    <main class="message">
      <Icon name="layers" />
      <h1>Pellucid Review</h1>
      {failure !== null && <p role="alert">{failure}</p>}
      {session !== null && (
        <p>
          No round is open. Begin one with <code>pellucid data rounds new</code> and make its images with{" "}
          <code>pellucid data rounds sample</code>.
        </p>
      )}
      {(failure !== null || session !== null) && (
        <Button label="Try again" kind="primary" onPress={() => void load()} />
      )}
    </main>
  );
}

function Work({ session, onLeave }: { readonly session: ReviewSession; readonly onLeave: () => void }) {
  useChanges(session, session.outbox, session.images);
  return <Workplace session={session} onLeave={onLeave} />;
}
