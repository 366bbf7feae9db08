// Elements of the page by id, typed.

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- the kind of element is what the caller knows
export function byId<T extends Element = HTMLElement>(id: string): T {
  const found = document.getElementById(id);
  if (!found) throw new Error(`the page lacks #${id}`);
  return found as unknown as T;
}

export const input = (id: string): HTMLInputElement => byId<HTMLInputElement>(id);
export const select = (id: string): HTMLSelectElement => byId<HTMLSelectElement>(id);

export function on<K extends keyof HTMLElementEventMap>(id: string, type: K, act: (event: HTMLElementEventMap[K]) => void): void {
  byId(id).addEventListener(type, act);
}

/** The choices of a select; keeps what is chosen where it still is one. */
export function setChoices(element: HTMLSelectElement, choices: readonly (readonly [value: string, text: string])[]): void {
  const before = element.value;
  element.replaceChildren(...choices.map(([value, text]) => new Option(text, value)));
  if (choices.some(([value]) => value === before)) element.value = before;
}

export function download(name: string, data: Blob): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(data);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** 18204 as 18,204. */
export const grouped = (n: number): string => n.toLocaleString("en-US");
/** Four significant digits. */
export const short = (x: number): string => (Number.isFinite(x) ? String(Number(x.toPrecision(4))) : String(x));
