import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { App } from "@/app";
import { renewAfterUpgrade } from "@/hooks/renewal";
import { applyTheme, storedTheme } from "@/hooks/theme";
import "@/styles/index.scss";

applyTheme(storedTheme());
renewAfterUpgrade();
const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <StrictMode>
      <App />
    </StrictMode>,
  );
}
