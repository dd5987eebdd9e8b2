import "@mantine/core/styles.css";
import "@mantine/notifications/styles.css";
import "./app/app.css";
import { MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { MutationCache, QueryCache, QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { createRoot } from "react-dom/client";
import { RouterProvider } from "react-router";
import type { Problem } from "./api/client";
import { router } from "./app/routes";
import { theme } from "./app/theme";

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? "";
// The lock on scrolling below a dialog is a style of its own; its library asks for the nonce by this name.
Object.assign(window, { __webpack_nonce__: nonce });

/** Whatever was refused because the session ended: look who one is, and the page asks to sign in again. */
const onError = (error: Error) => {
  if ((error as Problem).status !== 401) return;
  const who = client.getQueryState(["/session", {}]);
  if (who?.status === "success") void client.invalidateQueries({ queryKey: ["/session", {}] });
};

const client: QueryClient = new QueryClient({
  queryCache: new QueryCache({ onError }),
  mutationCache: new MutationCache({ onError }),
  defaultOptions: {
    queries: {
      staleTime: 2000,
      retry: (times, error) => (error as Problem).status === 0 && times < 3,
      refetchOnWindowFocus: true,
    },
  },
});

const root = document.getElementById("root");
if (root) {
  createRoot(root).render(
    <MantineProvider theme={theme} defaultColorScheme="auto" getStyleNonce={() => nonce}>
      <Notifications position="bottom-right" />
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
    </MantineProvider>,
  );
}
