import { Anchor, Box, Button, Code, Group, Image, SimpleGrid, Stack, Text, UnstyledButton } from "@mantine/core";
import { IconFile, IconFolder } from "@tabler/icons-react";
import { useQuery } from "@tanstack/react-query";
import { useEffect, useState } from "react";
import { Problem, urlOf } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { Empty, ErrorBox, Panel, Shown, Waiting } from "../../parts/Bits";
import { bytes } from "../../parts/format";
import { useUrl } from "../../parts/useUrl";

const TEXTS = /\.(txt|md|json|ya?ml|csv|tsv|log|py|toml|cfg|ini|xml|html?|sql|MLmodel)$|MLmodel$|requirements/i;
const PICTURES = /\.(png|jpe?g|gif|webp)$/i;
const MOST_BYTES = 512 * 1024;

/** Folders on the left, a file on the right. Whatever a file says, it is shown as text or as a picture and never run. */
export function Artifacts({ base }: { base: string }) {
  const [folder, setFolder] = useUrl("folder");
  const [file, setFile] = useUrl("file");
  const found = useGet<Schema<"ArtifactList">>(`${base}/artifacts`, { query: { path: folder } });
  const parts = folder.split("/").filter(Boolean);
  return (
    <SimpleGrid cols={{ base: 1, md: 2 }}>
      <Panel
        title={
          <Group gap={4}>
            <Anchor component="button" size="sm" onClick={() => setFolder("")}>
              artifacts
            </Anchor>
            {parts.map((name, at) => (
              <Group gap={4} key={parts.slice(0, at + 1).join("/")}>
                /
                <Anchor component="button" size="sm" onClick={() => setFolder(parts.slice(0, at + 1).join("/"))}>
                  {name}
                </Anchor>
              </Group>
            ))}
          </Group>
        }
      >
        <Shown of={found}>
          {(list) =>
            list.items.length ? (
              <Stack gap={2}>
                {list.items.map((each) => (
                  <UnstyledButton
                    key={each.path}
                    py={3}
                    onClick={() => (each.is_folder ? setFolder(each.path) : setFile(each.path))}
                    aria-current={each.path === file}
                  >
                    <Group gap={8} wrap="nowrap">
                      {each.is_folder ? <IconFolder size={15} /> : <IconFile size={15} />}
                      <Text size="sm" flex={1} truncate fw={each.path === file ? 600 : 400}>
                        {each.path.split("/").pop()}
                      </Text>
                      <Text size="xs" c="dimmed">
                        {each.is_folder ? "" : bytes(each.size_bytes)}
                      </Text>
                    </Group>
                  </UnstyledButton>
                ))}
              </Stack>
            ) : (
              <Empty title="Nothing is here">Models that the run logged stand on its overview.</Empty>
            )
          }
        </Shown>
      </Panel>
      <Panel
        title={file ? (file.split("/").pop() ?? file) : "Preview"}
        actions={
          file && (
            <Button component="a" variant="default" href={urlOf(`${base}/artifacts/content`, { path: file })} download>
              Download
            </Button>
          )
        }
      >
        {file ? (
          <Preview base={base} file={file} />
        ) : (
          <Text size="sm" c="dimmed">
            Choose a file.
          </Text>
        )}
      </Panel>
    </SimpleGrid>
  );
}

function Preview({ base, file }: { base: string; file: string }) {
  const isPicture = PICTURES.test(file);
  const canShow = isPicture || TEXTS.test(file);
  const found = useQuery<Blob, Problem>({
    queryKey: ["artifact", base, file],
    queryFn: async () => {
      const answer = await fetch(urlOf(`${base}/artifacts/content`, { path: file }));
      if (!answer.ok)
        throw new Problem(answer.status, "NotFound", "The file cannot be read.", "Look whether it is still there.", {});
      return answer.blob();
    },
    enabled: canShow,
    staleTime: 60_000,
    meta: { follows: false },
  });
  const [shown, setShown] = useState("");
  useEffect(() => {
    if (!found.data) return;
    if (!isPicture) {
      void found.data.slice(0, MOST_BYTES).text().then(setShown);
      return;
    }
    const url = URL.createObjectURL(found.data);
    setShown(url);
    return () => URL.revokeObjectURL(url);
  }, [found.data, isPicture]);
  if (!canShow)
    return (
      <Text size="sm" c="dimmed">
        This kind of file has no preview. Download it to look at it.
      </Text>
    );
  if (found.error) return <ErrorBox problem={found.error} />;
  if (!found.data) return <Waiting />;
  if (isPicture) return <Image src={shown} alt={file} fit="contain" mah={480} />;
  return (
    <Box mah={480} style={{ overflow: "auto" }} tabIndex={0}>
      <Code block fz={12}>
        {shown}
      </Code>
      {found.data.size > MOST_BYTES && (
        <Text size="xs" c="dimmed">
          The first {bytes(MOST_BYTES)} of {bytes(found.data.size)}.
        </Text>
      )}
    </Box>
  );
}
