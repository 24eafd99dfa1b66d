import { Icon } from "./controls.tsx";
import type { OutboxState } from "./outbox.ts";

interface Props {
  readonly state: OutboxState;
  /** What one message is for people, such as "verdict". */
  readonly word: string;
}

/** Tells when messages wait for the server. Nothing is shown while all is well. */
export function Notices({ state, word }: Props) {
  const { waiting, offline, trouble, refused, durable } = state;
  if (!offline && refused.length === 0) return null;
  const messages = waiting === 1 ? `1 ${word} waits` : `${waiting} ${word}s wait`;
  return (
    <div class="notice" role="alert">
      <Icon name="cloud" />
      {offline && (
        <p>
          {trouble ?? "The server does not answer."} {messages}{" "}
          {durable ? "in this browser" : "in this page, so keep it open,"} and will be sent when this is over.
          You can go on.
        </p>
      )}
      {refused.length > 0 && (
        <p>
          The server refused {refused.length === 1 ? `one ${word}` : `${refused.length} ${word}s`}:{" "}
          {refused.at(-1)}
        </p>
      )}
    </div>
  );
}
