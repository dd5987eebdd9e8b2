import { useQueryClient } from "@tanstack/react-query";
import { useEffect, useState } from "react";

const GATHER_MS = 250;

/** Looks again at what a page shows whenever the platform says that something changed; tells whether it answers. */
export function useLive(isSignedIn: boolean): "up" | "down" {
  const client = useQueryClient();
  const [state, setState] = useState<"up" | "down">("up");
  useEffect(() => {
    if (!isSignedIn || typeof SharedWorker === "undefined") return;
    const worker = new SharedWorker(new URL("./live.worker.ts", import.meta.url), { type: "module", name: "taxiway" });
    let timer: ReturnType<typeof setTimeout> | undefined;
    const lookAgain = () => {
      timer ??= setTimeout(() => {
        timer = undefined;
        void client.invalidateQueries({ predicate: (query) => query.meta?.follows !== false });
      }, GATHER_MS);
    };
    worker.port.onmessage = (event: MessageEvent<{ kind: string; state?: "up" | "down" }>) => {
      if (event.data.kind === "state" && event.data.state) {
        setState((before) => {
          if (before === "down" && event.data.state === "up") lookAgain();
          return event.data.state ?? before;
        });
      } else {
        lookAgain();
      }
    };
    worker.port.start();
    worker.port.postMessage("again");
    const leave = () => worker.port.postMessage("bye");
    window.addEventListener("pagehide", leave);
    return () => {
      leave();
      window.removeEventListener("pagehide", leave);
      clearTimeout(timer);
    };
  }, [client, isSignedIn]);
  return state;
}
