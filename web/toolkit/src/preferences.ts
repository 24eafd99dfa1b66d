/** What one person prefers on this machine. Storage may be switched off: then it lasts as long as the page. */

const memory = new Map<string, string>();

export function stored<Value>(name: string, otherwise: Value): Value {
  try {
    const text = localStorage.getItem(name) ?? memory.get(name);
    return text === undefined ? otherwise : (JSON.parse(text) as Value);
  } catch {
    return otherwise;
  }
}

export function store(name: string, value: unknown): void {
  const text = JSON.stringify(value);
  memory.set(name, text);
  try {
    localStorage.setItem(name, text);
  } catch {
    // kept in memory
  }
}
