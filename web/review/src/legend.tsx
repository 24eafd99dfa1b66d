import { Button, Dialog, KeyTable } from "@pellucid/toolkit";

import { keys, PRESETS, TITLES } from "./actions.ts";

interface Props {
  readonly reasons: readonly string[];
  readonly onClose: () => void;
}

/** All keys, and how to change them. */
export function Legend({ reasons, onClose }: Props) {
  return (
    <Dialog title="Keys" onClose={onClose}>
      <div class="presets" role="group" aria-label="Presets">
        {PRESETS.map((preset) => (
          <Button key={preset.name} label={preset.name} onPress={() => keys.use(preset.bindings)} />
        ))}
      </div>
      <div class="legend">
        {/* digits are reasons */}
        <KeyTable keys={keys} titles={TITLES} reserved={(key) => /^[1-9]$/.test(key)} />
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
