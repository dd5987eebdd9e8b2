import react from "@vitejs/plugin-react";
import { defineConfig } from "vitest/config";

export default defineConfig({
  plugins: [react()],
  build: {
    outDir: "../src/taxiway/console/static",
    emptyOutDir: true,
    // Data in URLs of scripts and styles would need a weaker content security policy.
    assetsInlineLimit: 0,
    target: "es2022",
  },
  // In development the platform runs beside Vite.
  server: { proxy: { "/api": "http://localhost:8080" } },
  test: { environment: "happy-dom", include: ["src/**/*.test.{ts,tsx}"] },
});
