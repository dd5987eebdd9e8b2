import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { type Asked, get, type Problem, send } from "./client";
import type { WhoAmI } from "./types";

export interface Looking {
  query?: Asked["query"];
  enabled?: boolean;
  /** Looks again by itself after so many milliseconds. */
  every?: number;
  /** Keeps what is shown while something else is asked for. */
  keeps?: boolean;
}

/** Looks something up; server state lives in the query cache and nowhere else. */
export function useGet<T>(path: string, { query, enabled, every, keeps }: Looking = {}) {
  return useQuery<T, Problem>({
    queryKey: [path, query ?? {}],
    queryFn: () => get<T>(path, query),
    enabled,
    refetchInterval: every,
    placeholderData: keeps ? (before) => before : undefined,
  });
}

export interface Act extends Asked {
  method: "POST" | "PUT" | "PATCH" | "DELETE";
  path: string;
}

/** Does something, and lets everything that is shown be looked up again. */
export function useAct<T>() {
  const client = useQueryClient();
  return useMutation<T, Problem, Act>({
    mutationFn: ({ method, path, ...asked }) => send<T>(method, path, asked),
    onSuccess: () => client.invalidateQueries(),
  });
}

export function useWhoAmI() {
  return useQuery<WhoAmI, Problem>({
    queryKey: ["/session", {}],
    queryFn: () => get<WhoAmI>("/session"),
    retry: false,
  });
}

export const isAdministrator = (who: WhoAmI | undefined) => who?.role === "administrator";
