import { useLayoutEffect, useState } from "preact/hooks";

import { useChanges } from "./changes.ts";
import { Button } from "./controls.tsx";
import { describeKey, type KeyBindings, keyOf } from "./keys.ts";

interface Props<Action extends string> {
  readonly keys: KeyBindings<Action>;
  /** What each action is called. */
  readonly titles: Readonly<Record<Action, string>>;
  /** Tells keys that mean something else and cannot be given away. */
  readonly reserved?: (key: string) => boolean;
}

/** All keys, each of which can be changed. */
export function KeyTable<Action extends string>({ keys, titles, reserved = () => false }: Props<Action>) {
  const [changing, setChanging] = useState<Action | null>(null);
  useChanges(keys);
  useLayoutEffect(() => {
    if (changing === null) return undefined;
    const listen = (event: KeyboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      const key = keyOf(event);
      if (key !== "Escape" && !reserved(key)) keys.bind(changing, key);
      setChanging(null);
    };
    document.addEventListener("keydown", listen, { capture: true });
    return () => document.removeEventListener("keydown", listen, { capture: true });
  }, [changing]);
  return (
    <table class="keytable">
      <tbody>
        {(Object.keys(titles) as Action[]).map((action) => (
          <tr key={action}>
            <th scope="row">{titles[action]}</th>
            <td>
              {changing === action
                ? "Press a key …"
                : keys.keys(action).map((key) => <kbd key={key}>{describeKey(key)}</kbd>)}
            </td>
            <td>
              <Button
                label={`Change: ${titles[action]}`}
                icon="keyboard"
                quiet
                onPress={() => setChanging(action)}
              />
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
