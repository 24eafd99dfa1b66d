import { Button, Dialog, Icon, ImageCanvas, type View } from "@pellucid/toolkit";
import { useEffect, useState } from "preact/hooks";

import type { Past } from "./api.ts";
import type { ReviewSession } from "./session.ts";

interface Props {
  readonly session: ReviewSession;
  readonly view: View;
  readonly onClose: () => void;
}

/** One's own decisions, the latest first; each can be taken back. */
export function History({ session, view, onClose }: Props) {
  const [entries, setEntries] = useState<readonly Past[]>([]);
  const [ended, setEnded] = useState(false);
  const [failed, setFailed] = useState(false);
  const more = async () => {
    try {
      await session.outbox.flush();
      const found = (await session.history(entries.at(-1)?.id ?? 0)).entries;
      setEntries([...entries, ...found]);
      setEnded(found.length < 60);
      setFailed(false);
    } catch {
      setFailed(true);
    }
  };
  useEffect(() => void more(), []);
  useEffect(() => {
    const next = session.queue.slice(0, 30).flatMap((item) => item.samples.map((sample) => sample.id));
    session.images.want([...next, ...entries.slice(0, 120).map((each) => each.sample.id)]);
  }, [entries]);
  const takeBack = (past: Past) => {
    session.takeBackOne(past);
    setEntries(entries.map((each) => (each.uid === past.uid ? { ...each, taken_back: true } : each)));
  };
  return (
    <Dialog title="Your decisions" onClose={onClose}>
      {failed && <p role="alert">The server does not answer. Undo works all the same.</p>}
      {entries.length === 0 && !failed && <p class="note">None yet.</p>}
      <ul class="past">
        {entries.map((each) => (
          <li key={each.uid} data-taken={each.taken_back}>
            <ImageCanvas bitmap={session.images.get(each.sample.id)} view={view} label="" />
            <div>
              <p class={each.decision}>
                <Icon name={each.decision === "keep" ? "check" : "cross"} />
                {each.decision === "keep" ? "Kept" : "Rejected"}
                {each.reason !== "" && `: ${each.reason}`}
                {each.taken_back && " – taken back"}
              </p>
              <p class="prompt">{each.sample.prompt}</p>
              <time>{new Date(each.made_at * 1000).toLocaleString()}</time>
            </div>
            {!each.taken_back && <Button label="Take back" icon="undo" onPress={() => takeBack(each)} />}
          </li>
        ))}
      </ul>
      {!ended && entries.length > 0 && <Button label="Earlier ones" onPress={() => void more()} />}
    </Dialog>
  );
}
