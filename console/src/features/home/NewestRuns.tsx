import { Anchor, Table, Text } from "@mantine/core";
import { useQueries } from "@tanstack/react-query";
import { Link } from "react-router";
import { get, part } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Run, Schema } from "../../api/types";
import { Panel, Time } from "../../parts/Bits";
import { figure } from "../../parts/format";
import { Status } from "../../parts/Status";

/** Each project is another question to MLflow. */
const MOST_PROJECTS = 5;
const MOST_RUNS = 6;

/** The newest runs of the projects that one sees: whoever trains looks here first. */
export function NewestRuns() {
  const projects = useGet<Schema<"ProjectPage">>("/projects", { query: { limit: MOST_PROJECTS } });
  const names = (projects.data?.items ?? []).map((each) => each.name);
  const found = useQueries({
    queries: names.map((project) => ({
      queryKey: [`/projects/${project}/runs`, { limit: MOST_RUNS }],
      queryFn: () => get<Schema<"RunPage">>(`/projects/${part(project)}/runs`, { limit: MOST_RUNS }),
      retry: false,
      staleTime: 10_000,
    })),
  });
  const runs = found
    .flatMap((each, at) => (each.data?.items ?? []).map((run) => ({ run, project: names[at] ?? "" })))
    .sort((one, other) => (other.run.started_at ?? "").localeCompare(one.run.started_at ?? ""))
    .slice(0, MOST_RUNS);
  if (runs.length === 0) return null;
  return (
    <Panel title="Newest runs" pad={0}>
      <Table.ScrollContainer minWidth={420}>
        <Table>
          <Table.Thead>
            <Table.Tr>
              <Table.Th>Run</Table.Th>
              <Table.Th>Project</Table.Th>
              <Table.Th>Status</Table.Th>
              <Table.Th>Started</Table.Th>
              <Table.Th>First metric</Table.Th>
            </Table.Tr>
          </Table.Thead>
          <Table.Tbody>
            {runs.map(({ run, project }) => (
              <Table.Tr key={run.id}>
                <Table.Td>
                  <Anchor component={Link} to={`/runs/${project}/${run.id}`} size="sm">
                    {run.name || run.id.slice(0, 12)}
                  </Anchor>
                </Table.Td>
                <Table.Td>{project}</Table.Td>
                <Table.Td>
                  <Status word={run.status} />
                </Table.Td>
                <Table.Td>
                  <Time at={run.started_at} />
                </Table.Td>
                <Table.Td>
                  <First of={run} />
                </Table.Td>
              </Table.Tr>
            ))}
          </Table.Tbody>
        </Table>
      </Table.ScrollContainer>
    </Panel>
  );
}

function First({ of }: { of: Run }) {
  const [found] = Object.entries(of.metrics);
  if (!found) return <>–</>;
  return (
    <Text size="sm">
      {found[0]} <b>{figure(found[1])}</b>
    </Text>
  );
}
