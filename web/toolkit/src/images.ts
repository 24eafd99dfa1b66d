import { ApiError, isUnreachable } from "./api.ts";
import { Changing } from "./changes.ts";

/** Browsers open six connections to a server: some must stay free for what a person does. */
const AT_ONCE = 3;
const FIRST_PAUSE_MS = 300;
const LONGEST_PAUSE_MS = 3000;

/** Decoded images by id: fetched ahead in the order in which they will be wanted, dropped when nobody wants them. */
export class ImageStore<Id extends string | number = number> extends Changing {
  private readonly ready = new Map<Id, ImageBitmap>();
  private readonly broken = new Map<Id, string>();
  private readonly loading = new Set<Id>();
  private wanted: readonly Id[] = [];
  private pause = FIRST_PAUSE_MS;

  constructor(
    private readonly fetchBlob: (id: Id) => Promise<Blob>,
    private readonly keep: number = 160,
  ) {
    super();
  }

  get(id: Id): ImageBitmap | undefined {
    return this.ready.get(id);
  }

  failure(id: Id): string | undefined {
    return this.broken.get(id);
  }

  /** How many of these are decoded. */
  decoded(ids: readonly Id[]): number {
    return ids.filter((id) => this.ready.has(id)).length;
  }

  /** Says which images will be shown, the next one first. */
  want(ids: readonly Id[]): void {
    this.wanted = ids;
    this.drop();
    this.more();
  }

  retry(id: Id): void {
    this.broken.delete(id);
    this.more();
  }

  private more(): void {
    for (const id of this.wanted) {
      if (this.loading.size >= AT_ONCE) return;
      if (!this.ready.has(id) && !this.loading.has(id) && !this.broken.has(id)) void this.load(id);
    }
  }

  private async load(id: Id): Promise<void> {
    this.loading.add(id);
    try {
      const blob = await this.fetchBlob(id);
      this.pause = FIRST_PAUSE_MS;
      this.ready.set(id, await createImageBitmap(blob).catch(unreadable));
    } catch (error) {
      if (isUnreachable(error)) return this.later(id);
      this.broken.set(id, (error as Error).message);
    }
    this.loading.delete(id);
    this.changed();
    this.more();
  }

  /** Tries again after a pause: a server that was away is no fault of the image. */
  private later(id: Id): void {
    setTimeout(() => {
      this.loading.delete(id);
      this.more();
    }, this.pause);
    this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
  }

  private drop(): void {
    const wanted = new Set(this.wanted);
    // the oldest first; those just judged stay for a while, since undo shows them again
    for (const [id, bitmap] of this.ready) {
      if (this.ready.size <= this.keep) return;
      if (!wanted.has(id)) {
        bitmap.close();
        this.ready.delete(id);
      }
    }
  }
}

function unreadable(): never {
  throw new ApiError(415, "The file is no image that this browser reads.");
}
