import { useEffect, useReducer } from "preact/hooks";

/** State outside of components that tells them when it changes. */
export class Changing {
  private readonly listeners = new Set<() => void>();

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  protected changed(): void {
    for (const listener of this.listeners) listener();
  }
}

/** Renders a component anew whenever one of these changes. */
export function useChanges(...sources: readonly Changing[]): void {
  const [, render] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    const ends = sources.map((source) => source.subscribe(() => render(undefined)));
    return () => ends.forEach((end) => end());
  }, sources);
}
