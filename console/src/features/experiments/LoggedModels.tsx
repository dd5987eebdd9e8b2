import { SimpleGrid, Stack, Text } from "@mantine/core";
import { useQuery } from "@tanstack/react-query";
import { type Problem, part, send } from "../../api/client";
import type { Schema } from "../../api/types";
import { Facts, Panel, Shown } from "../../parts/Bits";
import { bytes } from "../../parts/format";
import { Signature } from "../../parts/Signature";

type LoggedModel = Schema<"LoggedModelOut">;
type Preflight = Schema<"PreflightOut">;

/** Each model that the run logged: its signature, what it needs, and why it could not be converted. */
export function LoggedModels({ project, run, of }: { project: string; run: string; of: LoggedModel[] }) {
  return (
    <>
      {of.map((model) => (
        <One key={model.model_id ?? model.path ?? model.name} project={project} run={run} model={model} />
      ))}
    </>
  );
}

function One({ project, run, model }: { project: string; run: string; model: LoggedModel }) {
  const source = model.model_id ?? model.path ?? model.name;
  const path = `/projects/${project}/runs/${part(run)}/conversions/preflight`;
  // The check of a conversion reads what stands beside the model and changes nothing; the name is not kept.
  const found = useQuery<Preflight, Problem>({
    queryKey: [path, source],
    queryFn: () => send<Preflight>("POST", path, { body: { model: "model", logged_model: source } }),
    retry: false,
    staleTime: 60_000,
    meta: { follows: false },
  });
  return (
    <Panel title={`Logged model: ${model.name}`}>
      <Shown of={found}>
        {({ facts, python }) => (
          <SimpleGrid cols={{ base: 1, md: 2 }} spacing="md">
            <Signature of={facts.signature} />
            <Stack gap="sm">
              <Facts
                of={[
                  ["Flavours", facts.flavors.join(", ")],
                  ["Python", python],
                  ["MLflow", facts.mlflow_version ?? "–"],
                  ["Files", `${facts.file_count}, ${bytes(facts.size_bytes)}`],
                  ["File formats", facts.file_format],
                  ["Input example", facts.has_input_example ? "there" : "none"],
                ]}
              />
              <div>
                <Text size="xs" c="dimmed">
                  Packages ({facts.requirements.length})
                </Text>
                <Text size="xs" ff="monospace" style={{ overflowWrap: "anywhere" }}>
                  {facts.requirements.join("  ")}
                </Text>
              </div>
            </Stack>
          </SimpleGrid>
        )}
      </Shown>
    </Panel>
  );
}
