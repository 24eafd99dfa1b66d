import { type ApiClient, Changing, ImageStore, newId, Outbox, wordsOf } from "@pellucid/toolkit";

import type { Decision, Entry, Item, Past, Progress, Reviewer, Round, Sample } from "./api.ts";

/** Items that are fetched and decoded ahead. */
const AHEAD = 30;
/** Verdicts that are remembered as judged, while the server may still count them as held. */
const REMEMBERED = 400;
const HISTORY_PAGE = 60;
const HASTY_MS = 150;
const HASTY_RUN = 5;

/** Items that were decided together, and the lines that said so; undo takes back all of them. */
interface Decided {
  readonly items: readonly Item[];
  readonly lines: readonly Entry[];
}

export interface Choice {
  readonly decision: Decision;
  readonly reason?: string;
}

/** One person's work on one round: what is to be judged, what was, and what is on its way to the server. */
export class ReviewSession extends Changing {
  readonly images: ImageStore;
  readonly outbox: Outbox<Entry>;
  queue: readonly Item[] = [];
  disputed = false;
  /** Whether the server had nothing more to give. */
  exhausted = false;
  /** Why the server gives nothing, if it says so. */
  trouble: string | null = null;
  progress: Progress | null = null;
  /** What happened last, in words. */
  announcement = "";
  last: { readonly decision: Decision; readonly count: number } | null = null;
  private decided: Decided[] = [];
  private oldest = 0;
  private historyEnded = false;
  private asking = false;
  private wanted = AHEAD;
  private shownAt = performance.now();
  private dwells: number[] = [];
  private judged: number[] = [];
  private polling: number | undefined;

  constructor(
    private readonly api: ApiClient,
    readonly round: Round,
    readonly reviewer: Reviewer,
  ) {
    super();
    this.images = new ImageStore((id) => api.blob(`images/${id}?store=${round.store}`));
    this.images.subscribe(() => this.imagesChanged());
    const send = async (reviewer: string, entries: readonly Entry[]) =>
      (
        await api.post<{ kept: string[] }>("verdicts", {
          store: round.store,
          reviewer: Number(reviewer),
          entries,
        })
      ).kept;
    this.outbox = new Outbox(`pellucid-review-${round.store}`, send, (lines) => this.measure(lines));
    this.outbox.subscribe(() => this.changed());
  }

  async start(): Promise<void> {
    await this.outbox.open();
    await Promise.all([this.more(), this.loadHistory(), this.refresh()]);
    this.polling = setInterval(() => void this.refresh(), 5000);
  }

  stop(): void {
    clearInterval(this.polling);
  }

  get current(): Item | undefined {
    return this.queue[0];
  }

  /** Whether an item can be seen: what cannot is not judged. */
  visible(item: Item | undefined): boolean {
    return item !== undefined && item.samples.every((sample) => this.images.get(sample.id) !== undefined);
  }

  get canUndo(): boolean {
    return this.decided.length > 0;
  }

  /** Whether the last verdicts came faster than anybody can look. */
  get hasty(): boolean {
    return this.dwells.length >= HASTY_RUN && this.dwells.slice(-HASTY_RUN).every((each) => each < HASTY_MS);
  }

  /** Judges the first items of the queue, each with its own choice for each of its samples. */
  decide(choices: readonly (readonly Choice[])[], mode: Entry["mode"], background: string): void {
    const items = this.queue.slice(0, choices.length);
    if (items.length === 0) return;
    const now = Date.now() / 1000;
    const dwell = Math.round((performance.now() - this.shownAt) / items.length);
    const together = items.length > 1 || items[0]!.samples.length > 1;
    const batch = together ? newId() : "";
    const lines = items.flatMap((item, index) =>
      item.samples.map((sample, place): Entry => {
        const { decision, reason = "" } = choices[index]![place]!;
        return {
          uid: newId(),
          sample: sample.id,
          task: item.task,
          decision,
          reason,
          batch,
          mode: this.disputed ? "disputed" : (mode ?? "single"),
          dwell_ms: dwell,
          background,
          made_at: now,
        };
      }),
    );
    this.decided.push({ items, lines });
    this.judged = [...this.judged, ...lines.map((line) => line.sample)].slice(-REMEMBERED);
    this.dwells = [...this.dwells, dwell].slice(-200);
    this.queue = this.queue.slice(items.length);
    const kept = lines.filter((line) => line.decision === "keep").length;
    this.last = { decision: kept > 0 ? "keep" : "reject", count: lines.length };
    const words = lines.length === 1 ? (kept ? "Kept" : "Rejected") : `Kept ${kept} of ${lines.length}`;
    this.announcement = `${words}. ${this.current ? `Next: ${this.current.samples[0]!.prompt}` : ""}`;
    this.count(kept, lines.length - kept);
    this.send(lines);
    this.shown();
    void this.more();
  }

  /** Takes back what was decided last, in this visit or an earlier one, and shows it again. */
  undo(): void {
    const last = this.decided.pop();
    if (last === undefined) return;
    this.takeBack(last.lines);
    const kept = last.lines.filter((line) => line.decision === "keep").length;
    this.count(-kept, kept - last.lines.length);
    // rulings and first verdicts have queues of their own
    const disputed = last.items[0]!.task === "ruling";
    if (disputed === this.disputed) this.queue = [...last.items, ...this.queue];
    this.last = null;
    this.announcement = `Taken back: ${last.items[0]!.samples[0]!.prompt}`;
    this.shown();
    if (this.decided.length < 10) void this.loadHistory();
  }

  /** Takes back one decision of the history and shows its image next. */
  takeBackOne(past: Past): void {
    this.decided = this.decided
      .map((each) => ({
        items: each.items.filter((item) => !item.samples.some((sample) => sample.id === past.sample.id)),
        lines: each.lines.filter((line) => line.uid !== past.uid),
      }))
      .filter((each) => each.lines.length > 0);
    this.takeBack([{ uid: past.uid, sample: past.sample.id, task: past.task, made_at: 0 }]);
    if ((past.task === "ruling") === this.disputed) {
      this.queue = [{ task: past.task, samples: [past.sample] }, ...this.queue];
    }
    this.announcement = `Taken back: ${past.sample.prompt}`;
    this.shown();
  }

  history(before: number): Promise<{ entries: Past[] }> {
    return this.api.get(`history?reviewer=${this.reviewer.id}&before=${before}&count=${HISTORY_PAGE}`);
  }

  /** Goes over to the images about which reviewers disagree, or back. */
  async switchQueue(disputed: boolean): Promise<void> {
    if (disputed === this.disputed) return;
    this.disputed = disputed;
    this.queue = [];
    this.exhausted = false;
    this.changed();
    await this.outbox.flush();
    await this.more();
  }

  /** Asks for so many items ahead: a grid shows many at once. */
  want(count: number): void {
    if (count === this.wanted) return;
    this.wanted = Math.max(AHEAD, count);
    void this.more();
  }

  /** Fetches more items when few are left. */
  async more(): Promise<void> {
    if (this.asking || this.queue.length > this.wanted / 2) return;
    this.asking = true;
    const disputed = this.disputed;
    try {
      const known = this.queue.flatMap((item) => item.samples.map((sample) => sample.id));
      const sent = this.outbox.messages.map((line) => line.sample);
      const holding = [...new Set([...known, ...this.judged, ...sent])].slice(-900);
      const body = {
        store: this.round.store,
        reviewer: this.reviewer.id,
        count: this.wanted + this.queue.length,
        holding,
        disputed,
      };
      const { items } = await this.api.post<{ items: Item[] }>("deal", body);
      if (disputed !== this.disputed) return;
      const first = this.queue.length === 0;
      const have = new Set(this.queue.flatMap((item) => item.samples.map((sample) => sample.id)));
      this.queue = [
        ...this.queue,
        ...items.filter((item) => !item.samples.some((each) => have.has(each.id))),
      ];
      this.exhausted = this.queue.length === 0;
      this.trouble = null;
      if (first) this.shown();
      else this.prefetch();
      this.changed();
    } catch (error) {
      // the outbox tells that nobody answers; the next poll asks again
      this.trouble = wordsOf(error);
      this.changed();
    } finally {
      this.asking = false;
    }
    // the queue was changed meanwhile: what came was for the other one
    if (disputed !== this.disputed) await this.more();
  }

  private async refresh(): Promise<void> {
    try {
      const path = `progress?reviewer=${this.reviewer.id}`;
      const progress = await this.api.get<Progress>(path);
      // what is on its way is not counted yet: the page's own count is newer
      if (this.outbox.state.waiting === 0) this.progress = progress;
      this.changed();
      await this.outbox.flush();
      await this.more();
    } catch {
      // asked again soon
    }
  }

  private async loadHistory(): Promise<void> {
    if (this.historyEnded) return;
    try {
      const { entries } = await this.history(this.oldest);
      this.historyEnded = entries.length < HISTORY_PAGE;
      this.oldest = entries.at(-1)?.id ?? this.oldest;
      const known = new Set(this.decided.flatMap((each) => each.lines.map((line) => line.uid)));
      const standing = entries.filter((each) => !each.taken_back && !known.has(each.uid)).reverse();
      this.decided = [...regroup(standing), ...this.decided];
      this.changed();
    } catch {
      // undo of this visit works all the same
    }
  }

  private takeBack(lines: readonly Entry[]): void {
    const now = Date.now() / 1000;
    const undone = lines.map(({ uid, sample, task }): Entry => {
      return { uid: newId(), sample, task, undoes: uid, made_at: now };
    });
    const back = new Set(lines.map((line) => line.sample));
    this.judged = this.judged.filter((id) => !back.has(id));
    this.send(undone);
  }

  private send(lines: readonly Entry[]): void {
    this.outbox.add(String(this.reviewer.id), lines);
  }

  private count(kept: number, rejected: number): void {
    if (this.progress === null) return;
    const { keep = 0, reject = 0, open = 0 } = this.progress.counts;
    const counts = { ...this.progress.counts, keep: keep + kept, reject: reject + rejected };
    this.progress = { ...this.progress, counts: { ...counts, open: Math.max(0, open - kept - rejected) } };
  }

  private shown(): void {
    this.shownAt = performance.now();
    this.prefetch();
    this.changed();
  }

  private prefetch(): void {
    const samples = this.queue.slice(0, Math.max(AHEAD, this.wanted)).flatMap((item) => item.samples);
    this.images.want(samples.map((sample: Sample) => sample.id));
  }

  private imagesChanged(): void {
    // time begins when there is something to see
    if (!this.seen && this.visible(this.current)) this.shownAt = performance.now();
    this.seen = this.visible(this.current);
    this.changed();
  }

  private seen = false;

  /** Leaves how long verdicts took to be on the server's disk, for whoever measures the page. */
  private measure(lines: readonly Entry[]): void {
    for (const line of lines) {
      performance.measure("verdict-to-durable", {
        start: Math.max(0, line.made_at * 1000 - performance.timeOrigin),
        end: performance.now(),
      });
    }
  }
}

/** Puts decisions together that were made together: a page of the grid, a group. */
function regroup(entries: readonly Past[]): Decided[] {
  const found: { batch: string; mode: boolean; entries: Past[] }[] = [];
  for (const each of entries) {
    const last = found.at(-1);
    if (last !== undefined && each.batch !== "" && last.batch === each.batch) last.entries.push(each);
    else found.push({ batch: each.batch, mode: false, entries: [each] });
  }
  return found.map(({ entries: together }) => ({
    items: together.map((each) => ({ task: each.task, samples: [each.sample] })),
    lines: together.map(({ uid, sample, task, decision, made_at }) => {
      return { uid, sample: sample.id, task, decision, made_at };
    }),
  }));
}
