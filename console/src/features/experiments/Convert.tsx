import {
  Accordion,
  Alert,
  Button,
  Group,
  Modal,
  Select,
  SimpleGrid,
  Stack,
  Switch,
  TagsInput,
  Text,
  TextInput,
  Tooltip,
} from "@mantine/core";
import { useDebouncedValue, useDisclosure } from "@mantine/hooks";
import { notifications } from "@mantine/notifications";
import { IconCheck, IconPlaneDeparture } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useMemo, useState } from "react";
import { useNavigate } from "react-router";
import { type Problem, part, send } from "../../api/client";
import { useAct, useGet } from "../../api/hooks";
import type { Schema, VersionDetail } from "../../api/types";
import { ErrorBox, Snippet, Waiting } from "../../parts/Bits";
import { bytes } from "../../parts/format";
import { asCommand, asPython, readTags } from "./saying";

type Preflight = Schema<"PreflightOut">;

/** Makes a name that a model's address can have. */
export const slugOf = (text: string) =>
  text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, "-")
    .slice(0, 40)
    .replace(/^-+|-+$/g, "");

export function Convert({
  project,
  run,
  runName,
  logged,
}: {
  project: string;
  run: string;
  runName: string;
  logged: Schema<"LoggedModelList"> | undefined;
}) {
  const [isOpen, dialog] = useDisclosure(false);
  const none = logged !== undefined && logged.items.length === 0;
  return (
    <>
      <Tooltip label="The run logged no model." disabled={!none}>
        <span>
          <Button leftSection={<IconPlaneDeparture size={15} />} disabled={!logged || none} onClick={dialog.open}>
            Convert to model
          </Button>
        </span>
      </Tooltip>
      {isOpen && logged && (
        <Dialog project={project} run={run} runName={runName} logged={logged} close={dialog.close} />
      )}
    </>
  );
}

function Dialog({
  project,
  run,
  runName,
  logged,
  close,
}: {
  project: string;
  run: string;
  runName: string;
  logged: Schema<"LoggedModelList">;
  close: () => void;
}) {
  const platform = useGet<Schema<"PlatformOut">>("/platform");
  const models = useGet<Schema<"ModelVersionPage">>("/models", { query: { project, limit: 200 } });
  const known = useMemo(() => [...new Set((models.data?.items ?? []).map((each) => each.model))].sort(), [models.data]);
  const choices = logged.items.map((each) => ({ value: each.model_id ?? each.path ?? each.name, label: each.name }));
  const [source, setSource] = useState(choices[0]?.value ?? "");
  const [model, setModel] = useState(slugOf(runName) || "model");
  const [memory, setMemory] = useState("");
  const [cpus, setCpus] = useState("");
  const [needsToken, setNeedsToken] = useState(true);
  const [words, setWords] = useState<string[]>([]);
  const { tags, wrong } = readTags(words);
  const defaults = platform.data?.default_resources;
  useEffect(() => {
    if (defaults) {
      setMemory((before) => before || defaults.memory);
      setCpus((before) => before || defaults.cpus);
    }
  }, [defaults]);
  const wanted = {
    model,
    logged_model: source,
    memory: memory || null,
    cpus: cpus || null,
    needs_token: needsToken,
    tags,
  };
  const [settled] = useDebouncedValue(JSON.stringify(wanted), 300);
  const path = `/projects/${project}/runs/${part(run)}/conversions`;
  const preflight = useQuery<Preflight, Problem>({
    queryKey: [`${path}/preflight`, settled],
    queryFn: () => send<Preflight>("POST", `${path}/preflight`, { body: JSON.parse(settled) }),
    retry: false,
    meta: { follows: false },
  });
  const act = useAct<VersionDetail>();
  const go = useNavigate();
  const fields = act.error?.fields ?? preflight.error?.fields ?? {};
  const convert = () =>
    act.mutate(
      { method: "POST", path, body: wanted },
      {
        onSuccess: (made) => {
          notifications.show({ message: `${made.model} version ${made.version} is on its way.`, color: "teal" });
          close();
          go(`/models/${made.project}/${made.model}/${made.version}`);
        },
      },
    );
  const isExisting = known.includes(model);
  return (
    <Modal opened onClose={close} title="Convert to model" size="lg">
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          Makes a version of a model, with a REST endpoint of its own on one pod in staging.
        </Text>
        {choices.length > 1 && (
          <Select
            label="Logged model"
            data={choices}
            value={source}
            onChange={(value) => setSource(value ?? "")}
            allowDeselect={false}
          />
        )}
        <TextInput
          label="Model"
          description={
            isExisting ? "The next version of a model that is there." : "A new model; its name stands in the address."
          }
          error={fields.model}
          value={model}
          onChange={(event) => setModel(event.currentTarget.value)}
          list="known-models"
          data-autofocus
        />
        <datalist id="known-models">
          {known.map((name) => (
            <option key={name} value={name} />
          ))}
        </datalist>
        <SimpleGrid cols={2}>
          <TextInput
            label="Memory of a pod"
            value={memory}
            error={fields.memory}
            onChange={(event) => setMemory(event.currentTarget.value)}
            placeholder="1Gi"
          />
          <TextInput
            label="CPUs of a pod"
            value={cpus}
            error={fields.cpus}
            onChange={(event) => setCpus(event.currentTarget.value)}
            placeholder="1"
          />
        </SimpleGrid>
        <TagsInput
          label="Tags"
          description="Each a name and a value, such as team=risk."
          value={words}
          onChange={setWords}
          error={wrong.length ? `${wrong[0]} has no name or no value: write it as name=value.` : fields.tags}
          clearable
        />
        <Switch
          label="Callers need an access token"
          checked={needsToken}
          onChange={(event) => setNeedsToken(event.currentTarget.checked)}
        />
        {preflight.isPending ? (
          <Waiting rows={1} />
        ) : preflight.error ? (
          <ErrorBox problem={preflight.error} />
        ) : (
          preflight.data && (
            <Alert color="teal" icon={<IconCheck size={16} />} title="It can be converted">
              <Text size="sm">
                {preflight.data.facts.flavors.join(", ")}, Python {preflight.data.python},{" "}
                {preflight.data.facts.requirements.length} packages, {bytes(preflight.data.facts.size_bytes)} in{" "}
                {preflight.data.facts.file_count} files.
                {preflight.data.facts.file_format === "unsafe" &&
                  " Its files can run code when they are loaded (pickles); that happens in its pod alone."}
                {preflight.data.facts.file_format === "unknown" &&
                  " Whether its files can run code when they are loaded is not known; if so, in its pod alone."}
              </Text>
            </Alert>
          )
        )}
        <ErrorBox problem={act.error} />
        <Accordion variant="contained" chevronPosition="left">
          <Accordion.Item value="cli">
            <Accordion.Control>Show as CLI and Python</Accordion.Control>
            <Accordion.Panel>
              <Stack gap="xs">
                <Snippet label="CLI" code={asCommand(run, project, wanted)} />
                <Snippet label="Python" code={asPython(run, project, wanted)} />
              </Stack>
            </Accordion.Panel>
          </Accordion.Item>
        </Accordion>
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button onClick={convert} loading={act.isPending} disabled={!preflight.data || wrong.length > 0}>
            Convert to model
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
