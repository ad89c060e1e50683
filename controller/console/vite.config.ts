import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import { defineConfig, type ProxyOptions } from "vite";
import { compress } from "./build/compress.ts";

/**
 * A controller for `npm run dev` and `npm run preview`: `MUSTER_URL=https://127.0.0.1:4320 npm run dev`. Its certificate is
 * not checked, for this is for a developer's own one; what is shipped is served by the controller itself.
 */
const controller = process.env["MUSTER_URL"];
const proxy: Record<string, ProxyOptions> | undefined = controller
  ? {
      "/api": {
        target: controller,
        secure: false,
        changeOrigin: true,
        // Changes by cookie are taken from the controller's own pages only.
        headers: { origin: controller },
      },
    }
  : undefined;

export default defineConfig({
  plugins: [react(), compress()],
  resolve: { alias: { "@": fileURLToPath(new URL("src", import.meta.url)) } },
  css: { preprocessorOptions: { scss: { quietDeps: true } } },
  build: {
    target: "es2022",
    // The content security policy allows no inlined fonts.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
  ...(proxy ? { server: { proxy }, preview: { proxy } } : {}),
});
