export { addressParameter, ApiClient, ApiError, isUnreachable, wordsOf } from "./api.ts";
export { Button, Dialog, Segmented, Icon, type IconName } from "./controls.tsx";
export { ImageCanvas, type Point } from "./canvas.tsx";
export { newId } from "./ids.ts";
export { ImageStore } from "./images.ts";
export {
  type Background,
  type Layer,
  type View,
  BACKGROUNDS,
  loadPhoto,
  nextBackground,
  paint,
} from "./paint.ts";
export { KeyTable } from "./keytable.tsx";
export { KeyBindings, describeKey, isTyping, keyOf, useKeys, type Bindings } from "./keys.ts";
export { NameForm } from "./nameform.tsx";
export { Notices } from "./notices.tsx";
export { Outbox, type OutboxState } from "./outbox.ts";
export { stored, store } from "./preferences.ts";
export { Swatches } from "./swatches.tsx";
export { applyTheme, ThemeSwitch } from "./theme.tsx";
export { useChanges, Changing } from "./changes.ts";
