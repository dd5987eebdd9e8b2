import { Alert, Button } from "@mantine/core";
import { IconAlertTriangle } from "@tabler/icons-react";
import { urlOf } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";

export type Ways = Schema<"WaysInOut">;

/** How one can sign in here, and what a reason means with which a sign-in ended. */
export const useWaysIn = (problem: string | null = null, enabled = true) =>
  useGet<Ways>("/sign-in", { query: { problem }, enabled });

/** Why the provider's answer let nobody in, in the API's words. */
export function Ended({ ways }: { ways: Ways }) {
  if (!ways.problem) return null;
  return (
    <Alert color="red" icon={<IconAlertTriangle size={16} />} title={ways.problem} role="alert">
      {ways.hint}
    </Alert>
  );
}

/** Leads to the identity provider; ``again`` is the user who signs in once more, in a page of its own. */
export function ProviderButton({ name, next, again }: { name: string; next: string; again?: string }) {
  return (
    <Button
      component="a"
      href={urlOf("/sign-in/provider", { next, again })}
      target={again ? "_blank" : undefined}
      rel={again ? "noopener" : undefined}
      size="sm"
    >
      Sign in with {name}
    </Button>
  );
}
