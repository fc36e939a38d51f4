import { copyFileSync, mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

const outDir = fileURLToPath(new URL("../static/app", import.meta.url));

/** /docs must work without the internet, so Swagger UI is served from here. */
function swaggerUi(): Plugin {
  return {
    name: "swagger-ui",
    apply: "build",
    closeBundle() {
      mkdirSync(`${outDir}/swagger`, { recursive: true });
      for (const name of ["swagger-ui.css", "swagger-ui-bundle.js"]) {
        const source = new URL(`node_modules/swagger-ui-dist/${name}`, import.meta.url);
        copyFileSync(source, `${outDir}/swagger/${name}`);
      }
    },
  };
}

const gateway = "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [swaggerUi()],
  build: {
    outDir,
    emptyOutDir: true,
    target: "es2022",
    assetsInlineLimit: 0,
    chunkSizeWarningLimit: 700,
  },
  server: {
    proxy: {
      "/api": gateway,
      "/readyz": gateway,
      "/livekit": { target: gateway, ws: true },
    },
  },
});
