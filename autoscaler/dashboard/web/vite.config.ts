import { defineConfig } from "vite";

// The page is served from any address, so its files name each other relatively; nothing is inlined as data: but icons.
export default defineConfig({
  base: "./",
  esbuild: { jsx: "automatic", jsxImportSource: "preact" },
  build: { target: "es2022", sourcemap: false, assetsInlineLimit: 0, modulePreload: { polyfill: false } },
});
