/** What page and server say to one another; src/pellucid/apps/review/schemas.py has the same in Python. */

export type Decision = "keep" | "reject";
export type Task = "first" | "second" | "ruling";

export interface Round {
  /** Of the folder of rounds: another one has another, and other images by the same numbers. */
  readonly store: string;
  readonly number: number;
  readonly goal: number;
  readonly reasons: readonly string[];
}

export interface Session {
  readonly round: Round | null;
  readonly reviewers: readonly string[];
}

export interface Reviewer {
  readonly id: number;
  readonly name: string;
}

export interface Sample {
  readonly id: number;
  readonly width: number;
  readonly height: number;
  readonly prompt: string;
}

export interface Item {
  readonly task: Task;
  readonly samples: readonly Sample[];
}

export interface Entry {
  readonly uid: string;
  readonly sample: number;
  readonly task: Task;
  readonly decision?: Decision;
  readonly undoes?: string;
  readonly reason?: string;
  readonly batch?: string;
  readonly mode?: "single" | "grid" | "group" | "disputed" | "history";
  readonly dwell_ms?: number;
  readonly background?: string;
  readonly made_at: number;
}

export interface Past {
  readonly id: number;
  readonly uid: string;
  readonly sample: Sample;
  readonly task: Task;
  readonly decision: Decision;
  readonly reason: string;
  readonly batch: string;
  readonly made_at: number;
  readonly taken_back: boolean;
}

export interface Progress {
  readonly round: number | null;
  readonly counts: Readonly<Partial<Record<"keep" | "reject" | "disputed" | "open", number>>>;
  readonly goal: number;
  readonly pace: {
    readonly verdicts: number;
    readonly per_hour: number;
    readonly median_dwell_ms: number;
    readonly hasty_runs: number;
  };
}
