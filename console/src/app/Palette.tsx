import { Group, Modal, ScrollArea, Stack, Text, TextInput, UnstyledButton } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { useEffect, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { isAdministrator, useGet, useWhoAmI } from "../api/hooks";
import type { Schema } from "../api/types";

interface Goal {
  label: string;
  kind: string;
  to: string;
}

const MOST = 12;
const PAGES: Goal[] = [
  { label: "Home", kind: "page", to: "/" },
  { label: "Experiments", kind: "page", to: "/experiments" },
  { label: "Models", kind: "page", to: "/models" },
  { label: "Account and tokens", kind: "page", to: "/account" },
];
const ADMIN_PAGES: Goal[] = [
  { label: "Production", kind: "page", to: "/deployments" },
  { label: "Monitoring", kind: "page", to: "/monitoring" },
  { label: "Users", kind: "page", to: "/administration?tab=users" },
  { label: "Audit log", kind: "page", to: "/administration?tab=audit" },
];

/** Goes anywhere by a few letters of its name. */
export function Palette({ isOpen, close }: { isOpen: boolean; close: () => void }) {
  const go = useNavigate();
  const who = useWhoAmI();
  const isAdmin = isAdministrator(who.data);
  const [text, setText] = useState("");
  const [chosen, setChosen] = useState(0);
  const models = useGet<Schema<"ModelVersionPage">>("/models", { query: { limit: 200 }, enabled: isOpen });
  const production = useGet<Schema<"ProductionPage">>("/production/deployments", { enabled: isOpen && isAdmin });
  const goals = useMemo(() => {
    const all: Goal[] = [
      ...PAGES,
      ...(isAdmin ? ADMIN_PAGES : []),
      ...(production.data?.items ?? []).map((each) => ({
        label: each.name,
        kind: "production",
        to: `/deployments/${each.name}`,
      })),
      ...(models.data?.items ?? []).map((each) => ({
        label: `${each.model} / ${each.version}`,
        kind: `model in ${each.project}`,
        to: `/models/${each.project}/${each.model}/${each.version}`,
      })),
    ];
    const words = text.toLowerCase().split(/\s+/).filter(Boolean);
    return all
      .filter((goal) => words.every((word) => `${goal.label} ${goal.kind}`.toLowerCase().includes(word)))
      .slice(0, MOST);
  }, [text, models.data, production.data, isAdmin]);
  useEffect(() => {
    if (isOpen) {
      setText("");
      setChosen(0);
    }
  }, [isOpen]);
  const take = (goal: Goal | undefined) => {
    if (!goal) return;
    close();
    go(goal.to);
  };
  return (
    <Modal opened={isOpen} onClose={close} withCloseButton={false} padding="xs" yOffset="10vh">
      <TextInput
        data-autofocus
        size="md"
        placeholder="A page, a model, a deployment"
        aria-label="Search"
        leftSection={<IconSearch size={16} />}
        value={text}
        onChange={(event) => {
          setText(event.currentTarget.value);
          setChosen(0);
        }}
        onKeyDown={(event) => {
          if (event.key === "ArrowDown") setChosen((at) => Math.min(at + 1, goals.length - 1));
          else if (event.key === "ArrowUp") setChosen((at) => Math.max(at - 1, 0));
          else if (event.key === "Enter") take(goals[chosen]);
          else return;
          event.preventDefault();
        }}
      />
      <ScrollArea.Autosize mah={360} mt="xs">
        <Stack gap={0} role="listbox" aria-label="Found">
          {goals.map((goal, number) => (
            <UnstyledButton
              key={goal.to}
              px="sm"
              py={6}
              role="option"
              aria-selected={number === chosen}
              onClick={() => take(goal)}
              bg={number === chosen ? "var(--mantine-color-default-hover)" : undefined}
            >
              <Group justify="space-between">
                <Text size="sm">{goal.label}</Text>
                <Text size="xs" c="dimmed">
                  {goal.kind}
                </Text>
              </Group>
            </UnstyledButton>
          ))}
          {goals.length === 0 && (
            <Text size="sm" c="dimmed" p="sm">
              Nothing has this name.
            </Text>
          )}
        </Stack>
      </ScrollArea.Autosize>
    </Modal>
  );
}
