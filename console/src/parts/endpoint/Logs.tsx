import { Anchor, Button, Checkbox, Group, Select, Stack, Text, TextInput } from "@mantine/core";
import { useDebouncedValue } from "@mantine/hooks";
import { IconDownload } from "@tabler/icons-react";
import { useVirtualizer } from "@tanstack/react-virtual";
import { useEffect, useRef, useState } from "react";
import { get, Problem } from "../../api/client";
import { useGet } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox } from "../Bits";
import { useUrl } from "../useUrl";
import { accessOf } from "./access";

type LogPage = Schema<"LogPageOut">;
type LogLine = Schema<"LogLineOut">;
const LOOK_MS = 1000;
const PAGE = 10_000;
const TAIL = 2000;
const MOST_LINES = 100_000;
/** Pixels, as in the style sheet. */
const LINE = 18;

/** The build log and the pods' logs of a deployment: follow, search, wrap, download, a link to a line. */
export function Logs({ base }: { base: string }) {
  const [kind, setKind] = useUrl("log", "pod");
  const [pod, setPod] = useUrl("pod");
  const [wraps, setWraps] = useUrl("wrap", "no");
  const [contains, setContains] = useUrl("contains");
  const [settled] = useDebouncedValue(contains, 300);
  const [line, setLine] = useUrl("line");
  const [follows, setFollows] = useState(line === "");
  const pods = useGet<Schema<"PodLogList">>(`${base}/pods`);
  // Who follows wants the end; all of it is read for a search, for a link to a line, and for who asks for it.
  const [isWhole, setWhole] = useState(line !== "");
  const fromEnd = !isWhole && settled === "";
  const { lines, error, isComplete } = useLines(`${base}/logs/${kind}`, kind === "pod" ? pod : "", settled, fromEnd);
  return (
    <Stack gap="xs">
      <Group gap="xs">
        <Select
          w={150}
          aria-label="Which log"
          value={kind}
          onChange={(value) => setKind(value ?? "pod")}
          allowDeselect={false}
          data={[
            { value: "pod", label: "Container log" },
            { value: "build", label: "Build log" },
            { value: "access", label: "Access log" },
          ]}
        />
        {kind === "pod" && (
          <Select
            w={300}
            aria-label="Pod"
            value={pod}
            onChange={(value) => setPod(value ?? "")}
            allowDeselect={false}
            data={[
              { value: "", label: "The newest pod" },
              ...(pods.data?.items ?? []).map((each) => ({
                value: each.id,
                label: `${each.id.slice(-12)} · revision ${each.revision} · ${each.phase ?? "gone"}`,
              })),
            ]}
          />
        )}
        <TextInput
          flex={1}
          miw={140}
          placeholder="Only lines with"
          aria-label="Only lines with"
          value={contains}
          onChange={(event) => setContains(event.currentTarget.value)}
        />
        <Checkbox label="Follow" checked={follows} onChange={(event) => setFollows(event.currentTarget.checked)} />
        <Checkbox
          label="Wrap"
          checked={wraps === "yes"}
          onChange={(event) => setWraps(event.currentTarget.checked ? "yes" : "no")}
        />
        <Button
          variant="default"
          leftSection={<IconDownload size={14} />}
          onClick={() => download(lines, `${kind}.log`)}
          disabled={lines.length === 0}
        >
          Download
        </Button>
      </Group>
      {error && <ErrorBox problem={error} />}
      <Lines
        of={lines}
        wraps={wraps === "yes"}
        follows={follows}
        marks={settled}
        chosen={line}
        choose={(sequence) => {
          setFollows(false);
          setLine(sequence === line ? "" : sequence);
        }}
        isAccess={kind === "access"}
      />
      <Text size="xs" c="dimmed">
        {fromEnd && lines.length >= TAIL && (
          <>
            <Anchor component="button" type="button" size="xs" onClick={() => setWhole(true)}>
              Show all of the log
            </Anchor>
            {"; these are the last "}
          </>
        )}
        {lines.length} lines{isComplete ? "; nothing more will come" : "; more appear as they are written"}
      </Text>
    </Stack>
  );
}

function useLines(path: string, pod: string, contains: string, fromEnd: boolean) {
  const [lines, setLines] = useState<LogLine[]>([]);
  const [error, setError] = useState<Problem | null>(null);
  const [isComplete, setComplete] = useState(false);
  useEffect(() => {
    let isOver = false;
    let timer: ReturnType<typeof setTimeout>;
    let after: number | undefined = fromEnd ? undefined : 0;
    setLines([]);
    setComplete(false);
    const look = async () => {
      let pause = LOOK_MS;
      try {
        const page = await get<LogPage>(path, {
          pod,
          contains,
          ...(after === undefined ? { tail: TAIL } : { after, limit: PAGE }),
        });
        if (isOver) return;
        setError(null);
        const moved = page.next_sequence !== after;
        after = page.next_sequence;
        if (page.lines.length) setLines((before) => [...before, ...page.lines].slice(-MOST_LINES));
        setComplete(page.is_complete && !moved);
        if (page.is_complete && !moved) pause = LOOK_MS * 5;
        if (page.lines.length === PAGE) pause = 0;
      } catch (caught) {
        if (isOver) return;
        if (caught instanceof Problem && caught.status !== 0) setError(caught);
      }
      timer = setTimeout(look, pause);
    };
    void look();
    return () => {
      isOver = true;
      clearTimeout(timer);
    };
  }, [path, pod, contains, fromEnd]);
  return { lines, error, isComplete };
}

function Lines({
  of,
  wraps,
  follows,
  marks,
  chosen,
  choose,
  isAccess,
}: {
  of: LogLine[];
  wraps: boolean;
  follows: boolean;
  marks: string;
  chosen: string;
  choose: (sequence: string) => void;
  isAccess: boolean;
}) {
  const place = useRef<HTMLDivElement>(null);
  const rows = useVirtualizer({
    count: of.length,
    getScrollElement: () => place.current,
    estimateSize: () => LINE,
    overscan: 12,
  });
  // Only wrapped lines are higher than one; to measure every line that passes by makes scrolling stutter.
  // biome-ignore lint/correctness/useExhaustiveDependencies: what was measured wrapped does not hold unwrapped
  useEffect(() => rows.measure(), [wraps, rows]);
  useEffect(() => {
    if (follows && of.length) rows.scrollToIndex(of.length - 1);
  }, [follows, of.length, rows]);
  const at = chosen ? of.findIndex((line) => String(line.sequence) === chosen) : -1;
  useEffect(() => {
    if (at >= 0) rows.scrollToIndex(at, { align: "center" });
  }, [at, rows]);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reached by the keyboard
    <div ref={place} className={`log ${wraps ? "wraps" : ""}`} role="log" aria-live="off" tabIndex={0} aria-label="Log">
      <div style={{ height: rows.getTotalSize(), position: "relative" }}>
        {rows.getVirtualItems().map((item) => {
          const line = of[item.index];
          return line ? (
            <div
              key={item.key}
              data-index={item.index}
              ref={wraps ? rows.measureElement : undefined}
              className={String(line.sequence) === chosen ? "chosen" : undefined}
              style={{
                position: "absolute",
                top: 0,
                left: 0,
                right: wraps ? 0 : undefined,
                transform: `translateY(${item.start}px)`,
              }}
            >
              <button
                type="button"
                className="stamp"
                title="Link to this line"
                aria-pressed={String(line.sequence) === chosen}
                onClick={() => choose(String(line.sequence))}
              >
                {line.at.slice(11, 23)}
              </button>{" "}
              <Marked text={isAccess ? accessOf(line.text) : line.text} by={marks} />
            </div>
          ) : null;
        })}
      </div>
    </div>
  );
}

function Marked({ text, by }: { text: string; by: string }) {
  if (!by) return <>{text}</>;
  const parts = text.split(by);
  return (
    <>
      {parts.map((part, at) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: pieces of one line, which never changes
        <span key={at}>
          {at > 0 && <mark>{by}</mark>}
          {part}
        </span>
      ))}
    </>
  );
}

function download(lines: LogLine[], name: string) {
  const url = URL.createObjectURL(
    new Blob([lines.map((line) => `${line.at} ${line.text}`).join("\n")], { type: "text/plain" }),
  );
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.click();
  URL.revokeObjectURL(url);
}
