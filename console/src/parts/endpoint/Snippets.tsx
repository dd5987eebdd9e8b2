import { Anchor, SegmentedControl, Stack, Text } from "@mantine/core";
import { useGet } from "../../api/hooks";
import { Panel, Snippet, Waiting } from "../Bits";
import { useUrl } from "../useUrl";
import { contractOf } from "./contract";

const MOST_ROWS = 2;

/** MLflow's deployments client, with Taxiway's plugin; a table is a DataFrame there. */
function mlflowSnippet(url: string, body: object): string {
  const isTable = "dataframe_records" in body;
  const json = JSON.stringify(isTable ? body.dataframe_records : body, null, 4).replaceAll("\\", "\\\\");
  return [
    "import json",
    "",
    ...(isTable ? ["import pandas as pd"] : []),
    "from mlflow.deployments import get_deploy_client",
    "",
    `inputs = json.loads('''${json}''')`,
    `client = get_deploy_client("taxiway:${new URL(url).origin}")`,
    `answer = client.predict(endpoint="${url}", inputs=${isTable ? "pd.DataFrame(inputs)" : "inputs"})`,
    'print(answer["predictions"])',
  ].join("\n");
}

/** How programs call the endpoint, with its own address and its own example. */
export function Snippets({
  base,
  url,
  needsToken,
  isAvailable,
}: {
  base: string;
  url: string;
  needsToken: boolean;
  isAvailable: boolean;
}) {
  const [language, setLanguage] = useUrl("language", "curl");
  const found = useGet<unknown>(`${base}/endpoint`, { enabled: isAvailable });
  if (isAvailable && found.data === undefined && !found.error) return <Waiting />;
  const contract = found.data === undefined ? null : contractOf(found.data);
  const body = contract?.rows.length
    ? { dataframe_records: contract.rows.slice(0, MOST_ROWS) }
    : (contract?.example ?? { inputs: [] });
  const text = JSON.stringify(body);
  const pretty = JSON.stringify(body, null, 4);
  const snippets: Record<string, string> = {
    curl: `curl ${url}/invocations \\\n${needsToken ? `  -H "Authorization: Bearer $TAXIWAY_ACCESS_TOKEN" \\\n` : ""}  -H "Content-Type: application/json" \\\n  -d '${text.replaceAll("'", "'\\''")}'`,
    python: `import json\n${needsToken ? "import os\n" : ""}import urllib.request\n\nrequest = urllib.request.Request(\n    "${url}/invocations",\n    data=json.dumps(json.loads('''${pretty.replaceAll("\\", "\\\\")}''')).encode(),\n    headers={\n        "Content-Type": "application/json",\n${needsToken ? `        "Authorization": "Bearer " + os.environ["TAXIWAY_ACCESS_TOKEN"],\n` : ""}    },\n)\nwith urllib.request.urlopen(request) as answer:\n    print(json.load(answer)["predictions"])`,
    mlflow: mlflowSnippet(url, body),
    javascript: `const answer = await fetch("${url}/invocations", {\n  method: "POST",\n  headers: {\n    "Content-Type": "application/json",\n${needsToken ? `    Authorization: \`Bearer \${process.env.TAXIWAY_ACCESS_TOKEN}\`,\n` : ""}  },\n  body: JSON.stringify(${text}),\n});\nconsole.log((await answer.json()).predictions);`,
  };
  return (
    <Stack gap="md">
      <Panel
        title="Call it"
        actions={
          <SegmentedControl
            value={language}
            onChange={setLanguage}
            data={[
              { value: "curl", label: "curl" },
              { value: "python", label: "Python" },
              { value: "mlflow", label: "MLflow" },
              { value: "javascript", label: "JavaScript" },
            ]}
            aria-label="Language"
          />
        }
      >
        <Stack gap="xs">
          <Snippet code={snippets[language] ?? ""} label={language} />
          {language === "mlflow" && (
            <Text size="xs" c="dimmed">
              Needs MLflow and Taxiway's Python package, which brings the plugin.
            </Text>
          )}
          {needsToken && (
            <Text size="xs" c="dimmed">
              TAXIWAY_ACCESS_TOKEN is an access token of this endpoint; issue one under Access tokens.
            </Text>
          )}
        </Stack>
      </Panel>
      <Panel title="Addresses">
        <Stack gap={4}>
          {["/invocations", "/v2", "/openapi.json", "/docs", "/health", "/version"].map((path) => (
            <Text key={path} size="sm" ff="monospace" style={{ overflowWrap: "anywhere" }}>
              {url}
              {path}
            </Text>
          ))}
          <Text size="xs" c="dimmed">
            MLflow's protocol, the Open Inference Protocol, and a description of the endpoint.{" "}
            <Anchor href="/api/v1/openapi.json" size="xs" underline="always">
              The control API
            </Anchor>{" "}
            is another.
          </Text>
        </Stack>
      </Panel>
    </Stack>
  );
}
