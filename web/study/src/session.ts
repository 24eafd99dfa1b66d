import { type ApiClient, Changing, ImageStore, newId, Outbox, wordsOf } from "@pellucid/toolkit";

import type { Answer, Deal, Line, Outcome, Pair, Progress, Side, Study } from "./api.ts";

/** Pairs that are fetched and decoded ahead. */
const AHEAD = 6;
const POLL_MS = 5000;

export type ImageId = `${string}/${Side}`;

interface Answered {
  readonly pair: Pair;
  readonly uid: string;
}

/** One person's part in a study: the pairs to answer, and the answers on their way to the server. */
export class StudySession extends Changing {
  readonly images: ImageStore<ImageId>;
  readonly outbox: Outbox<Line>;
  queue: readonly Pair[] = [];
  /** Whether the server had nothing more to give. */
  exhausted = false;
  /** Why the server gives no pairs, if it says so. */
  trouble: string | null = null;
  progress: Progress;
  /** Answers of this person, as far as the page knows. */
  answered = 0;
  /** What happened last, in words. */
  announcement = "";
  last: Outcome | null = null;
  private done: Answered[] = [];
  private asking = false;
  private shownAt: number | null = null;
  private polling: number | undefined;

  constructor(
    private readonly api: ApiClient,
    readonly study: Study,
    readonly rater: string,
  ) {
    super();
    this.progress = study;
    this.images = new ImageStore<ImageId>((id) => api.blob(`images/${id}?study=${study.id}`), 40);
    this.images.subscribe(() => this.look());
    const send = async (rater: string, lines: readonly Line[]) =>
      (await api.post<{ kept: string[] }>("answers", { study: study.id, rater, lines })).kept;
    this.outbox = new Outbox(`pellucid-study-${study.id}`, send);
    this.outbox.subscribe(() => this.changed());
  }

  async start(): Promise<void> {
    await this.outbox.open();
    await this.more();
    this.polling = setInterval(() => void this.poll(), POLL_MS);
  }

  stop(): void {
    clearInterval(this.polling);
  }

  get current(): Pair | undefined {
    return this.queue[0];
  }

  /** Whether both images can be seen: a pair that cannot is not answered. */
  visible(pair: Pair | undefined): boolean {
    return pair !== undefined && idsOf(pair).every((id) => this.images.get(id) !== undefined);
  }

  /** Why the images of a pair cannot be shown, if so. */
  failure(pair: Pair): string | undefined {
    return idsOf(pair)
      .map((id) => this.images.failure(id))
      .find((each) => each !== undefined);
  }

  retry(pair: Pair): void {
    idsOf(pair).forEach((id) => this.images.retry(id));
  }

  get canUndo(): boolean {
    return this.done.length > 0;
  }

  answer(outcome: Outcome, background: string): void {
    const pair = this.current;
    if (pair === undefined || !this.visible(pair)) return;
    const line: Answer = {
      uid: newId(),
      pair: pair.id,
      outcome,
      dwell_ms: Math.round(performance.now() - (this.shownAt ?? performance.now())),
      background,
    };
    this.done.push({ pair, uid: line.uid });
    this.queue = this.queue.slice(1);
    this.answered += 1;
    this.last = outcome;
    const words = { left: "A chosen", right: "B chosen", tie: "No preference" }[outcome];
    this.announcement = `${words}. ${this.current === undefined ? "" : `Next: ${this.current.prompt}`}`;
    this.outbox.add(this.rater, [line]);
    this.next();
    void this.more();
  }

  /** Takes back the answer that was given last in this visit, and shows its pair again. */
  undo(): void {
    const last = this.done.pop();
    if (last === undefined) return;
    this.outbox.add(this.rater, [{ uid: newId(), withdraws: last.uid }]);
    this.queue = [last.pair, ...this.queue];
    this.answered -= 1;
    this.last = null;
    this.announcement = `Taken back: ${last.pair.prompt}`;
    this.next();
  }

  private async poll(): Promise<void> {
    await this.outbox.flush();
    await this.more();
  }

  /** Fetches more pairs when few are left. */
  private async more(): Promise<void> {
    if (this.asking || this.queue.length > AHEAD / 2) return;
    this.asking = true;
    try {
      const unsent = this.outbox.messages.flatMap((line) => ("pair" in line ? [line.pair] : []));
      const holding = [...new Set([...this.queue.map((pair) => pair.id), ...unsent])].slice(-200);
      const count = Math.min(50, AHEAD + holding.length);
      const dealt = await this.api.post<Deal>("deal", {
        study: this.study.id,
        rater: this.rater,
        count,
        holding,
      });
      // pairs that were answered while this was on its way come too: their answers were not there yet
      const known = new Set([
        ...holding,
        ...this.queue.map((pair) => pair.id),
        ...this.done.map((each) => each.pair.id),
      ]);
      this.queue = [...this.queue, ...dealt.pairs.filter((pair) => !known.has(pair.id))];
      this.exhausted = this.queue.length === 0;
      this.trouble = null;
      this.progress = dealt;
      if (this.outbox.state.waiting === 0) this.answered = dealt.answered;
      this.next();
    } catch (error) {
      // the outbox tells that nobody answers; the next poll asks again
      this.trouble = wordsOf(error);
      this.changed();
    } finally {
      this.asking = false;
    }
  }

  private next(): void {
    this.images.want(this.queue.slice(0, AHEAD).flatMap(idsOf));
    this.look();
    this.changed();
  }

  /** Time begins when there is something to see. */
  private look(): void {
    if (this.looking !== this.current && this.visible(this.current)) {
      this.looking = this.current;
      this.shownAt = performance.now();
    }
    this.changed();
  }

  private looking: Pair | undefined;
}

export function idsOf(pair: Pair): ImageId[] {
  return [`${pair.id}/left`, `${pair.id}/right`];
}
