import { type Bindings, KeyBindings } from "@pellucid/toolkit";

export type Action = "left" | "tie" | "right" | "undo" | "zoom" | "background" | "legend";

export const TITLES: Readonly<Record<Action, string>> = {
  left: "A is better",
  tie: "No preference",
  right: "B is better",
  undo: "Undo",
  zoom: "Zoom both",
  background: "Next background",
  legend: "Keys",
};

const USUAL: Bindings<Action> = {
  left: ["ArrowLeft", "a"],
  tie: ["ArrowDown", "s"],
  right: ["ArrowRight", "b"],
  undo: ["u", "z"],
  zoom: [" "],
  background: ["g"],
  legend: ["?"],
};

export const keys = new KeyBindings<Action>("pellucid-study-keys", USUAL);
