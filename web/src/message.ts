// What went wrong, said on the page.

import { byId, on } from "./dom";
import { ServerError } from "./source";
import { FormatError } from "./stream";
import { GraphicsError } from "./renderer";

/** about: "scene" for what a scene that can be shown again takes away. */
export function showMessage(what: string, hint = "", about = ""): void {
  byId("message").dataset["about"] = about;
  byId("message-text").textContent = what;
  byId("message-hint").textContent = hint;
  byId("message").hidden = false;
}

export function hideMessage(): void {
  byId("message").hidden = true;
}

/** The scene is shown: what was wrong with one before is no longer so. */
export function hideSceneMessage(): void {
  if (byId("message").dataset["about"] === "scene") hideMessage();
}

/** hintOf: for errors that have none of their own. */
export function showFault(fault: unknown, otherHint = "", about = ""): void {
  if (fault instanceof DOMException && fault.name === "AbortError") return;
  const what = fault instanceof Error ? fault.message : String(fault);
  const hint =
    fault instanceof ServerError ? fault.hint
    : fault instanceof GraphicsError ? "try another browser, or switch hardware acceleration on"
    : fault instanceof FormatError ? otherHint || "covary info tells more of a file"
    : otherHint;
  showMessage(what, hint, about);
  if (document.body.dataset["state"] !== "ready") document.body.dataset["state"] = "error";
}

on("message-close", "click", hideMessage);
