import { useState } from "preact/hooks";

import { Button } from "./controls.tsx";
import { store, stored } from "./preferences.ts";

type Theme = "system" | "light" | "dark";
const NAME = "pellucid-theme";
const NEXT: Readonly<Record<Theme, Theme>> = { system: "light", light: "dark", dark: "system" };
const ICONS = { system: "contrast", light: "sun", dark: "moon" } as const;

/** Puts the theme that was chosen here before on the page. */
export function applyTheme(theme: Theme = stored<Theme>(NAME, "system")): void {
  document.documentElement.dataset["theme"] = theme;
}

/** A button that takes turns: as the system has it, light, dark. */
export function ThemeSwitch() {
  const [theme, setTheme] = useState(stored<Theme>(NAME, "system"));
  const change = () => {
    const next = NEXT[theme];
    setTheme(next);
    store(NAME, next);
    applyTheme(next);
  };
  return <Button icon={ICONS[theme]} quiet label={`Theme: ${theme}`} onPress={change} />;
}
