/**
 * An id that nobody else makes. `crypto.randomUUID` is missing where a page comes over plain HTTP from another
 * machine, which is how most desks of one room see it.
 */
export function newId(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
