import { defineConfig } from "vite";

// One script and one style sheet by fixed names: what the program keeps inside. The sorting worker is part of the script;
// public/index.html is copied as it is.
export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    outDir: "dist",
    emptyOutDir: true,
    modulePreload: false,
    cssCodeSplit: false,
    rollupOptions: {
      input: "src/main.ts",
      output: { entryFileNames: "viewer.js", assetFileNames: "viewer[extname]", inlineDynamicImports: true },
    },
  },
});
