// What went wrong, said on the page.

import { byId, on } from "./dom";
import { ServerError } from "./source";
import { FormatError } from "./stream";
import { GraphicsError } from "./renderer";

export function showMessage(what: string, hint = ""): void {
  byId("message-text").textContent = what;
  byId("message-hint").textContent = hint;
  byId("message").hidden = false;
}

export function hideMessage(): void {
  byId("message").hidden = true;
}

/** hintOf: for errors that have none of their own. */
export function showFault(fault: unknown, otherHint = ""): void {
  if (fault instanceof DOMException && fault.name === "AbortError") return;
  const what = fault instanceof Error ? fault.message : String(fault);
  const hint =
    fault instanceof ServerError ? fault.hint
    : fault instanceof GraphicsError ? "try another browser, or switch hardware acceleration on"
    : fault instanceof FormatError ? otherHint || "covary info tells more of a file"
    : otherHint;
  showMessage(what, hint);
  if (document.body.dataset["state"] !== "ready") document.body.dataset["state"] = "error";
}

on("message-close", "click", hideMessage);
