/// <reference lib="webworker" />
/** One stream for all tabs of a browser: more than six connections to a host would make the seventh tab wait. */

const ports = new Set<MessagePort>();
let source: EventSource | null = null;
let heardAt = Date.now();
let state: "up" | "down" = "up";

function tell(message: unknown) {
  for (const port of ports) port.postMessage(message);
}

function become(next: "up" | "down") {
  if (state !== next) {
    state = next;
    tell({ kind: "state", state });
  }
}

function open() {
  source?.close();
  source = new EventSource("/api/v1/stream");
  const heard = () => {
    heardAt = Date.now();
    become("up");
  };
  source.addEventListener("alive", heard);
  source.addEventListener("hint", (event) => {
    heard();
    tell({ kind: "hint", hint: JSON.parse((event as MessageEvent<string>).data) });
  });
}

/** Tells a control plane that is away from a session that ended: only the first is said. */
async function look() {
  if (ports.size === 0 || Date.now() - heardAt < 2600) return;
  try {
    const answer = await fetch("/api/v1/health", { signal: AbortSignal.timeout(900) });
    become(answer.ok ? "up" : "down");
    if (answer.ok && (!source || source.readyState === EventSource.CLOSED)) open();
  } catch {
    become("down");
    source?.close();
  }
}

setInterval(look, 700);

(self as unknown as SharedWorkerGlobalScope).onconnect = (event) => {
  const port = event.ports[0];
  if (!port) return;
  ports.add(port);
  port.onmessage = (message) => {
    if (message.data === "bye") ports.delete(port);
    if (message.data === "again") {
      heardAt = Date.now();
      open();
    }
  };
  port.postMessage({ kind: "state", state });
  if (!source) open();
};
