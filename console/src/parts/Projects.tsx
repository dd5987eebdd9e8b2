import { Select } from "@mantine/core";
import { useGet } from "../api/hooks";
import type { Schema } from "../api/types";

export function useProjects() {
  return useGet<Schema<"ProjectPage">>("/projects", { query: { limit: 200 } });
}

export function ProjectChoice({
  value,
  onChange,
  all = false,
}: {
  value: string;
  onChange: (value: string) => void;
  all?: boolean;
}) {
  const projects = useProjects();
  const names = (projects.data?.items ?? []).map((project) => project.name);
  return (
    <Select
      aria-label="Project"
      w={170}
      allowDeselect={false}
      value={value || (all ? "" : (names[0] ?? null))}
      data={[
        ...(all ? [{ value: "", label: "All projects" }] : []),
        ...names.map((name) => ({ value: name, label: name })),
      ]}
      onChange={(chosen) => onChange(chosen ?? "")}
    />
  );
}
