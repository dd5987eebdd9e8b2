import { useCallback } from "react";
import { useSearchParams } from "react-router";

/** What is shown of a page lives in its address: links and the back button then work by themselves. */
export function useUrl(key: string, fallback = ""): [string, (value: string) => void] {
  const [query, setQuery] = useSearchParams();
  const set = useCallback(
    (value: string) =>
      setQuery(
        (before) => {
          const next = new URLSearchParams(before);
          if (value && value !== fallback) next.set(key, value);
          else next.delete(key);
          return next;
        },
        { replace: true },
      ),
    [key, fallback, setQuery],
  );
  return [query.get(key) ?? fallback, set];
}
