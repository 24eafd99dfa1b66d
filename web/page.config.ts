import { defineConfig, type UserConfig } from "vite";

/** How every page is built. Fixed names: a rebuild changes files, never their names, and the wheel's list stays. */
export function page(name: string): UserConfig {
  return defineConfig({
    base: "./",
    oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
    build: {
      outDir: `../../src/pellucid/apps/${name}/static`,
      emptyOutDir: true,
      assetsInlineLimit: 0, // the page's policy allows no data: addresses
      modulePreload: { polyfill: false },
      target: "es2024",
      rolldownOptions: {
        output: {
          entryFileNames: `${name}.js`,
          chunkFileNames: "[name].js",
          assetFileNames: "[name][extname]",
        },
      },
    },
    server: { proxy: { "/api": "http://127.0.0.1:8765" } },
  });
}
