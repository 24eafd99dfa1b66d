import { useLayoutEffect, useRef } from "preact/hooks";

import { Changing } from "./changes.ts";
import { store, stored } from "./preferences.ts";

export type Bindings<Action extends string> = Readonly<Record<Action, readonly string[]>>;

/** The key of an event as we write it: one letter in lower case, or the name that browsers give it. */
export function keyOf(event: KeyboardEvent): string {
  return event.key.length === 1 ? event.key.toLowerCase() : event.key;
}

const NAMES: Readonly<Record<string, string>> = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  " ": "Space",
  Escape: "Esc",
  Enter: "Enter",
};

/** A key as people read it. */
export function describeKey(key: string): string {
  return NAMES[key] ?? (key.length === 1 ? key.toUpperCase() : key);
}

/** Tells whether keys go to a text field, where a letter is a letter. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (
    target.isContentEditable ||
    target instanceof HTMLTextAreaElement ||
    target instanceof HTMLSelectElement
  ) {
    return true;
  }
  return (
    target instanceof HTMLInputElement && !["button", "checkbox", "radio", "range"].includes(target.type)
  );
}

/** Which keys do what: a preset, and what a person changed. */
export class KeyBindings<Action extends string> extends Changing {
  private bindings: Bindings<Action>;

  constructor(
    private readonly name: string,
    private readonly usual: Bindings<Action>,
  ) {
    super();
    // an action that this version added has its usual keys, unless a person gave these away
    const own = stored<Partial<Bindings<Action>>>(name, {});
    const taken = new Set(Object.values<readonly string[] | undefined>(own).flatMap((keys) => keys ?? []));
    const actions = Object.keys(usual) as Action[];
    this.bindings = Object.fromEntries(
      actions.map((action) => [action, own[action] ?? usual[action].filter((key) => !taken.has(key))]),
    ) as Bindings<Action>;
  }

  keys(action: Action): readonly string[] {
    return this.bindings[action];
  }

  action(key: string): Action | undefined {
    const actions = Object.keys(this.bindings) as Action[];
    return actions.find((action) => this.bindings[action].includes(key));
  }

  /** Gives a key to an action and takes it from all others. */
  bind(action: Action, key: string): void {
    const changed = (Object.keys(this.bindings) as Action[]).map((each) => {
      const others = this.bindings[each].filter((known) => known !== key);
      return [each, each === action ? [key, ...others].slice(0, 2) : others];
    });
    this.use(Object.fromEntries(changed) as Bindings<Action>);
  }

  use(bindings: Bindings<Action>): void {
    this.bindings = bindings;
    store(this.name, bindings);
    this.changed();
  }

  reset(): void {
    this.use(this.usual);
  }
}

/**
 * Calls `handle` for keys that are pressed outside of text fields, without Ctrl, Alt or Meta.
 *
 * A button that has the focus keeps Space and Enter, or it could not be used by keyboard. `handle` tells whether
 * it used the key; browsers would scroll or search otherwise.
 */
export function useKeys(handle: (key: string, event: KeyboardEvent) => boolean, enabled = true): void {
  // the newest handler: keys may come faster than renders
  const newest = useRef(handle);
  newest.current = handle;
  // before the next frame: the key after the one that closed a dialog is already for the page
  useLayoutEffect(() => {
    if (!enabled) return undefined;
    const listen = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.altKey || event.metaKey || isTyping(event.target)) return;
      const key = keyOf(event);
      const pressed = event.target instanceof Element ? event.target.closest("button, a, summary") : null;
      if (pressed !== null && (key === " " || key === "Enter")) return;
      if (newest.current(key, event)) event.preventDefault();
    };
    document.addEventListener("keydown", listen);
    return () => document.removeEventListener("keydown", listen);
  }, [enabled]);
}
