import { type Bindings, KeyBindings, stored, type View } from "@pellucid/toolkit";

export type Action =
  | "keep"
  | "reject"
  | "undo"
  | "zoom"
  | "background"
  | "alpha"
  | "fringe"
  | "commit"
  | "grid"
  | "history"
  | "legend";

export const TITLES: Readonly<Record<Action, string>> = {
  keep: "Keep",
  reject: "Reject",
  undo: "Undo",
  zoom: "Zoom",
  background: "Next background",
  alpha: "Alpha alone",
  fringe: "Edges and dirt",
  commit: "Commit the page of the grid",
  grid: "Grid or single image",
  history: "History",
  legend: "Keys",
};

const BOTH_HANDS: Bindings<Action> = {
  keep: ["ArrowRight", "k"],
  reject: ["ArrowLeft", "x"],
  undo: ["u", "z"],
  zoom: [" "],
  background: ["b"],
  alpha: ["a"],
  fringe: ["f"],
  commit: ["Enter"],
  grid: ["g"],
  history: ["h"],
  legend: ["?"],
};

export const PRESETS: readonly { readonly name: string; readonly bindings: Bindings<Action> }[] = [
  { name: "Both hands", bindings: BOTH_HANDS },
  {
    name: "Left hand",
    bindings: {
      ...BOTH_HANDS,
      keep: ["d"],
      reject: ["s"],
      undo: ["w", "z"],
      background: ["r"],
      commit: ["e"],
    },
  },
  {
    name: "Right hand",
    bindings: {
      ...BOTH_HANDS,
      keep: ["ArrowRight", "l"],
      reject: ["ArrowLeft", "j"],
      undo: ["ArrowUp", "u"],
      zoom: ["ArrowDown", " "],
      background: ["p"],
      alpha: ["o"],
      fringe: ["i"],
    },
  },
];

export const keys = new KeyBindings<Action>("pellucid-review-keys", BOTH_HANDS);

export const FIRST_VIEW: View = {
  background: stored("pellucid-review-background", "checker"),
  layer: "image",
};
