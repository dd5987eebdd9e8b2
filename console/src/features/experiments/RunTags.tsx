import { ActionIcon, Button, Group, SimpleGrid, Stack, Table, Text, TextInput } from "@mantine/core";
import { IconPencil, IconTrash } from "@tabler/icons-react";
import { type FormEvent, useState } from "react";
import { useAct } from "../../api/hooks";
import type { Run } from "../../api/types";
import { ErrorBox, Panel } from "../../parts/Bits";
import { Pairs } from "./Pairs";

/** Shown beside the metrics, as notes. */
const NOTE = "mlflow.note.content";

const isMLflows = (name: string) => name.startsWith("mlflow.");

/** A run's tags, to add, change and take away; MLflow's own beside them. */
export function RunTags({ base, run }: { base: string; run: Run }) {
  const [name, setName] = useState("");
  const [value, setValue] = useState("");
  const act = useAct<Run>();
  const put = (tags: Record<string, string | null>, then?: () => void) =>
    act.mutate({ method: "PATCH", path: base, body: { tags } }, { onSuccess: then });
  const tags = Object.entries(run.tags).sort(([one], [other]) => one.localeCompare(other));
  const own = tags.filter(([tag]) => !isMLflows(tag));
  const isThere = name in run.tags;
  const submit = (event: FormEvent) => {
    event.preventDefault();
    put({ [name]: value }, () => {
      setName("");
      setValue("");
    });
  };
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
      <Panel title="Tags" pad={0}>
        {own.length === 0 && (
          <Text size="sm" c="dimmed" p="md">
            No tags of people yet. They are found with{" "}
            <Text span ff="monospace" size="sm">
              tags.team = 'risk'
            </Text>{" "}
            in the runs filter.
          </Text>
        )}
        <Table>
          <Table.Tbody>
            {own.map(([tag, text]) => (
              <Table.Tr key={tag}>
                <Table.Td c="dimmed" w="40%" style={{ overflowWrap: "anywhere" }}>
                  {tag}
                </Table.Td>
                <Table.Td style={{ overflowWrap: "anywhere" }}>{text}</Table.Td>
                <Table.Td w={84}>
                  {!run.is_deleted && (
                    <Group gap={4} wrap="nowrap" justify="flex-end">
                      <ActionIcon
                        variant="subtle"
                        color="gray"
                        aria-label={`Change tag ${tag}`}
                        onClick={() => {
                          setName(tag);
                          setValue(text);
                        }}
                      >
                        <IconPencil size={14} />
                      </ActionIcon>
                      <ActionIcon
                        variant="subtle"
                        color="red"
                        aria-label={`Remove tag ${tag}`}
                        loading={act.isPending}
                        onClick={() => put({ [tag]: null })}
                      >
                        <IconTrash size={14} />
                      </ActionIcon>
                    </Group>
                  )}
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
        {!run.is_deleted && (
          <Stack gap="xs" p="md" component="form" onSubmit={submit}>
            <Group align="flex-end" gap="xs">
              <TextInput
                label="Name"
                flex={1}
                miw={120}
                value={name}
                onChange={(event) => setName(event.currentTarget.value)}
                error={act.error?.fields.tags}
              />
              <TextInput
                label="Value"
                flex={1}
                miw={120}
                value={value}
                onChange={(event) => setValue(event.currentTarget.value)}
              />
              <Button type="submit" disabled={!name.trim() || run.tags[name] === value} loading={act.isPending}>
                {isThere ? "Change tag" : "Add tag"}
              </Button>
            </Group>
            {!act.error?.fields.tags && <ErrorBox problem={act.error} />}
          </Stack>
        )}
      </Panel>
      <Panel title="Set by MLflow" pad={0}>
        <Pairs of={tags.filter(([tag]) => isMLflows(tag) && tag !== NOTE)} empty="None." />
      </Panel>
    </SimpleGrid>
  );
}
