import { Button, describeKey, Dialog, keyOf, useChanges } from "@pellucid/toolkit";
import { useLayoutEffect, useState } from "preact/hooks";

import { type Action, keys, PRESETS, TITLES } from "./actions.ts";

interface Props {
  readonly reasons: readonly string[];
  readonly onClose: () => void;
}

/** All keys, and how to change them. */
export function Legend({ reasons, onClose }: Props) {
  const [changing, setChanging] = useState<Action | null>(null);
  useChanges(keys);
  useLayoutEffect(() => {
    if (changing === null) return undefined;
    const listen = (event: KeyboardEvent) => {
      event.preventDefault();
      event.stopPropagation();
      if (["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      // digits are reasons, and Esc gives up
      const key = keyOf(event);
      if (key !== "Escape" && !/^[1-9]$/.test(key)) keys.bind(changing, key);
      setChanging(null);
    };
    document.addEventListener("keydown", listen, { capture: true });
    return () => document.removeEventListener("keydown", listen, { capture: true });
  }, [changing]);
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div class="presets" role="group" aria-label="Presets">
        {PRESETS.map((preset) => (
          <Button key={preset.name} label={preset.name} onPress={() => keys.use(preset.bindings)} />
        ))}
      </div>
      <div class="legend">
        <table>
          <tbody>
            {(Object.keys(TITLES) as Action[]).map((action) => (
              <tr key={action}>
                <th scope="row">{TITLES[action]}</th>
                <td>
                  {changing === action
                    ? "Press a key …"
                    : keys.keys(action).map((key) => <kbd key={key}>{describeKey(key)}</kbd>)}
                </td>
                <td>
                  <Button
                    label={`Change: ${TITLES[action]}`}
                    icon="keyboard"
                    quiet
                    onPress={() => setChanging(action)}
                  />
                </td>
              </tr>
            ))}
          </tbody>
        </table>
        <div>
          <h3>Reject because</h3>
          <ol class="digits">
            {reasons.map((reason, index) => (
              <li key={reason}>
                <kbd>{index + 1}</kbd> {reason}
              </li>
            ))}
          </ol>
          <p class="note">
            In a group, a number chooses the best. In the grid, arrows move, a number marks in the row, and
            keep and reject mark the image that has the frame. On a phone, swipe right to keep and left to
            reject.
          </p>
        </div>
      </div>
    </Dialog>
  );
}
