import { Icon } from "@pellucid/toolkit";

import type { ReviewSession } from "./session.ts";

/** Tells when verdicts wait for the server. Nothing is shown while all is well. */
export function Notices({ session }: { readonly session: ReviewSession }) {
  const { waiting, offline, refused, durable } = session.outbox.state;
  if (!offline && refused.length === 0) return null;
  const verdicts = waiting === 1 ? "1 verdict waits" : `${waiting} verdicts wait`;
  return (
    <div class="notice" role="alert">
      <Icon name="cloud" />
      {offline && (
        <p>
          The server does not answer. {verdicts}{" "}
          {durable ? "in this browser" : "in this page, so keep it open,"} and will be sent when it is back.
          You can go on.
        </p>
      )}
      {refused.length > 0 && (
        <p>
          The server refused {refused.length === 1 ? "a verdict" : `${refused.length} verdicts`}:{" "}
          {refused.at(-1)}
        </p>
      )}
    </div>
  );
}
