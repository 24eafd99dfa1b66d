/** The server refused: `status` is HTTP's, the message is meant for people. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}

/** 401 and 421: a server that was started again may have another secret or name than the page's. */
const MAY_PASS: readonly number[] = [401, 408, 421, 429];

/** Tells whether nobody answered, or whether trying again may help. */
export function isUnreachable(error: unknown): boolean {
  if (!(error instanceof ApiError)) return true;
  return error.status >= 500 || MAY_PASS.includes(error.status);
}

/** What a server says is in its way, unless nobody answered. */
export function wordsOf(error: unknown): string | null {
  return error instanceof ApiError ? error.message : null;
}

const TOKEN = "pellucid-token";
const PATIENCE_MS = 15_000;

/** Reads what the page's address holds behind its #, where browsers keep it to themselves. */
export function addressParameter(name: string): string | null {
  return new URLSearchParams(location.hash.slice(1)).get(name);
}

/** Asks a server of Pellucid. The secret comes from the page's address, behind a #, and leaves it at once. */
export class ApiClient {
  private readonly token: string | null;

  constructor(private readonly base: string = "api") {
    const found = addressParameter("token");
    if (found !== null) {
      sessionStorage.setItem(TOKEN, found);
      history.replaceState(null, "", location.pathname + location.search);
    }
    this.token = sessionStorage.getItem(TOKEN);
  }

  async get<Reply>(path: string): Promise<Reply> {
    return (await this.ask(path)).json() as Promise<Reply>;
  }

  async post<Reply>(path: string, body: unknown): Promise<Reply> {
    const init: RequestInit = {
      priority: "high",
      method: "POST",
      body: JSON.stringify(body),
      headers: { "Content-Type": "application/json" },
    };
    return (await this.ask(path, init)).json() as Promise<Reply>;
  }

  async blob(path: string): Promise<Blob> {
    return (await this.ask(path, { priority: "low" })).blob();
  }

  private async ask(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token !== null) headers.set("Authorization", `Bearer ${this.token}`);
    const response = await fetch(`${this.base}/${path}`, {
      ...init,
      headers,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
    if (!response.ok) throw new ApiError(response.status, await reason(response));
    return response;
  }
}

async function reason(response: Response): Promise<string> {
  try {
    const { detail } = (await response.json()) as { detail?: unknown };
    return typeof detail === "string" ? detail : JSON.stringify(detail);
  } catch {
    return `The server answered ${response.status}.`;
  }
}
