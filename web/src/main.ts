import "./viewer.css";
import { App } from "./app";
import { sourceOfPage } from "./source";
import { showFault } from "./message";

declare global {
  interface Window {
    /** For scripts and tests: the camera that one looks through, and when the picture is whole. */
    covary?: { view: App["view"]; settled: App["settled"] };
  }
}

// The token of the address is a cookie by now.
if (location.search.includes("token=")) history.replaceState(null, "", location.pathname);

try {
  const app = new App(sourceOfPage());
  window.covary = { view: () => app.view(), settled: () => app.settled() };
  app.begin().catch(showFault);
} catch (fault) {
  showFault(fault);
}
