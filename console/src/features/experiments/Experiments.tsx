import { Anchor, Table, TextInput } from "@mantine/core";
import { IconSearch } from "@tabler/icons-react";
import { Link } from "react-router";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, Page, Panel, Shown, Snippet, Time } from "../../parts/Bits";
import { ProjectChoice, useProjects } from "../../parts/Projects";
import { useUrl } from "../../parts/useUrl";

export default function Experiments() {
  const [chosen, setProject] = useUrl("project");
  const [contains, setContains] = useUrl("contains");
  const projects = useProjects();
  const project = chosen || (projects.data?.items[0]?.name ?? "");
  const found = useGet<Schema<"ExperimentPage">>(`/projects/${project}/experiments`, {
    query: { contains, limit: 200 },
    enabled: project !== "",
    keeps: true,
  });
  return (
    <Page
      title="Experiments"
      actions={
        <>
          <TextInput
            aria-label="Part of the name"
            placeholder="Part of the name"
            leftSection={<IconSearch size={14} />}
            value={contains}
            onChange={(event) => setContains(event.currentTarget.value)}
          />
          <ProjectChoice value={project} onChange={setProject} />
        </>
      }
    >
      <Panel pad={0}>
        {projects.data && projects.data.items.length === 0 ? (
          <Empty title="You are in no project yet">An administrator adds you to one.</Empty>
        ) : (
          <Shown of={found}>
            {(page) =>
              page.items.length ? (
                <Table.ScrollContainer minWidth={420}>
                  <Table highlightOnHover>
                    <Table.Thead>
                      <Table.Tr>
                        <Table.Th>Name</Table.Th>
                        <Table.Th>Created</Table.Th>
                        <Table.Th>Changed</Table.Th>
                      </Table.Tr>
                    </Table.Thead>
                    <Table.Tbody>
                      {page.items.map((each) => (
                        <Table.Tr key={each.id}>
                          <Table.Td>
                            <Anchor component={Link} to={`/experiments/${project}/${each.id}`} size="sm">
                              {each.name}
                            </Anchor>
                          </Table.Td>
                          <Table.Td>
                            <Time at={each.created_at} />
                          </Table.Td>
                          <Table.Td>
                            <Time at={each.updated_at} />
                          </Table.Td>
                        </Table.Tr>
                      ))}
                    </Table.Tbody>
                  </Table>
                </Table.ScrollContainer>
              ) : (
                <Empty title={contains ? "No experiment has this in its name" : "No experiments yet"}>
                  {!contains && <Teach project={project} />}
                </Empty>
              )
            }
          </Shown>
        )}
      </Panel>
    </Page>
  );
}

function Teach({ project }: { project: string }) {
  const platform = useGet<Schema<"PlatformOut">>("/platform");
  const uri = platform.data?.tracking_uri;
  if (!uri) return null;
  return (
    <Snippet
      label="Python"
      code={`# MLFLOW_TRACKING_TOKEN: from your account page, with ${project} as its project\nimport mlflow\n\nmlflow.set_tracking_uri("${uri}")\nmlflow.set_experiment("first")\nwith mlflow.start_run():\n    mlflow.log_metric("auc", 0.93)`}
    />
  );
}
