/** What page and server say to one another; src/pellucid/apps/study/schemas.py has the same in Python. */

export type Outcome = "left" | "right" | "tie";
export type Side = "left" | "right";

export interface Progress {
  readonly votes: number;
  readonly wanted: number;
  readonly ended: boolean;
}

export interface Study extends Progress {
  /** Of the plan and its images: another study has another one. */
  readonly id: string;
  readonly title: string;
  readonly instructions: string;
  readonly questions: Readonly<Record<string, string>>;
}

export interface Pair {
  readonly id: string;
  readonly question: string;
  readonly prompt: string;
  readonly background: string;
}

export interface Deal extends Progress {
  readonly pairs: readonly Pair[];
  readonly answered: number;
}

export interface Answer {
  readonly uid: string;
  readonly pair: string;
  readonly outcome: Outcome;
  readonly dwell_ms: number;
  readonly background: string;
}

export interface Withdrawal {
  readonly uid: string;
  readonly withdraws: string;
}

export type Line = Answer | Withdrawal;
