import { isUnreachable, wordsOf } from "./api.ts";
import { Changing } from "./changes.ts";

export interface OutboxState {
  /** Messages that the server has not acknowledged. */
  readonly waiting: number;
  /** Whether the last try found nobody, or a server that could not take anything. */
  readonly offline: boolean;
  /** What that server said, if one was there. */
  readonly trouble: string | null;
  /** Messages that the server refused for good, with its words. */
  readonly refused: readonly string[];
  /** Whether messages outlive the page. */
  readonly durable: boolean;
}

interface Kept<Message> {
  readonly uid: string;
  readonly order: number;
  readonly group: string;
  readonly message: Message;
}

const STORE = "outbox";
const MOST = 100;
const FIRST_PAUSE_MS = 500;
const LONGEST_PAUSE_MS = 4000;

/**
 * Messages on their way to a server, in order. They lie in the browser's database until they are acknowledged, so
 * that neither a stopped server nor a closed page loses one; the server must take one that comes twice for one.
 */
export class Outbox<Message extends { readonly uid: string }> extends Changing {
  private kept: Kept<Message>[] = [];
  private database: IDBDatabase | null = null;
  private sending = false;
  private pause = FIRST_PAUSE_MS;
  private timer: number | undefined;
  private atOnce = MOST;
  private order = Date.now();
  private offline = false;
  private trouble: string | null = null;
  private refused: string[] = [];

  constructor(
    private readonly name: string,
    private readonly send: (group: string, messages: readonly Message[]) => Promise<readonly string[]>,
    private readonly acknowledged: (messages: readonly Message[]) => void = () => undefined,
  ) {
    super();
    addEventListener("online", () => this.flush());
  }

  get state(): OutboxState {
    return {
      waiting: this.kept.length,
      offline: this.offline,
      trouble: this.trouble,
      refused: this.refused,
      durable: this.database !== null,
    };
  }

  get messages(): readonly Message[] {
    return this.kept.map((each) => each.message);
  }

  /** Opens the database and sends what an earlier page left there. */
  async open(): Promise<void> {
    try {
      this.database = await openDatabase(this.name);
      const left = await all<Kept<Message>>(this.database);
      const known = new Set(this.kept.map((each) => each.uid));
      this.kept = [...left.filter((each) => !known.has(each.uid)), ...this.kept].sort(
        (a, b) => a.order - b.order,
      );
    } catch {
      this.database = null; // a private window may have none
    }
    this.changed();
    await this.flush();
  }

  /** Takes messages and sends them without delay; `group` keeps those of different senders apart. */
  add(group: string, messages: readonly Message[]): void {
    for (const message of messages) {
      const kept = { uid: message.uid, order: this.order++, group, message };
      this.kept.push(kept);
      this.write((store) => store.put(kept));
    }
    this.changed();
    void this.flush();
  }

  async flush(): Promise<void> {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.timer);
    try {
      while (this.kept.length > 0) await this.sendSome();
    } catch (error) {
      this.offline = true;
      this.trouble = wordsOf(error);
      this.changed();
      this.timer = setTimeout(() => void this.flush(), this.pause);
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS);
    } finally {
      this.sending = false;
    }
  }

  private async sendSome(): Promise<void> {
    const group = this.kept[0]!.group;
    const end = this.kept.findIndex((each) => each.group !== group);
    const some = this.kept.slice(0, Math.min(this.atOnce, end < 0 ? this.kept.length : end));
    try {
      const uids = new Set(
        await this.send(
          group,
          some.map((each) => each.message),
        ),
      );
      this.forget(some.filter((each) => uids.has(each.uid)));
      this.atOnce = MOST;
    } catch (error) {
      if (isUnreachable(error)) throw error;
      // one of them is refused: find it alone, so that the others arrive
      if (some.length > 1) {
        this.atOnce = 1;
      } else {
        this.refused = [...this.refused, String((error as Error).message)];
        this.forget(some);
      }
    }
    this.offline = false;
    this.pause = FIRST_PAUSE_MS;
    this.changed();
  }

  private forget(some: readonly Kept<Message>[]): void {
    const gone = new Set(some.map((each) => each.uid));
    this.kept = this.kept.filter((each) => !gone.has(each.uid));
    this.write((store) => some.forEach((each) => store.delete(each.uid)));
    this.acknowledged(some.map((each) => each.message));
  }

  private write(change: (store: IDBObjectStore) => void): void {
    if (this.database === null) return;
    change(this.database.transaction(STORE, "readwrite", { durability: "strict" }).objectStore(STORE));
  }
}

function openDatabase(name: string): Promise<IDBDatabase> {
  const { promise, resolve, reject } = Promise.withResolvers<IDBDatabase>();
  const request = indexedDB.open(name, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "uid" });
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
  return promise;
}

function all<Row>(database: IDBDatabase): Promise<Row[]> {
  const { promise, resolve, reject } = Promise.withResolvers<Row[]>();
  const request = database.transaction(STORE).objectStore(STORE).getAll();
  request.onsuccess = () => resolve(request.result as Row[]);
  request.onerror = () => reject(request.error);
  return promise;
}
