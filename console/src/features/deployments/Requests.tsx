import { Button, Group, Modal, Stack, Text, TextInput } from "@mantine/core";
import { notifications } from "@mantine/notifications";
import { useState } from "react";
import { useAct, useGet, useWhoAmI } from "../../api/hooks";
import type { Schema } from "../../api/types";
import { ErrorBox, Panel, Time } from "../../parts/Bits";
import { Rows } from "../../parts/Rows";
import { Status } from "../../parts/Status";

type Approval = Schema<"ApprovalOut">;
type Decision = Schema<"DecisionIn">["decision"];
const WORDS: Record<Approval["decision"], string> = {
  waiting: "Waiting",
  approved: "Approved",
  rejected: "Rejected",
  withdrawn: "Withdrawn",
};

/** Promotions that wait for a second administrator, with what was decided last; nothing where none ever did. */
export function Requests() {
  const found = useGet<Schema<"ApprovalList">>("/production/requests", { every: 5000 });
  const who = useWhoAmI();
  const act = useAct<Approval>();
  const [rejecting, setRejecting] = useState<Approval | null>(null);
  const items = found.data?.items ?? [];
  if (items.length === 0) return null;
  const decide = (of: Approval, decision: Decision, reason = "") =>
    act.mutate(
      { method: "POST", path: `/production/requests/${of.id}`, body: { decision, reason } },
      {
        onSuccess: (done) => {
          setRejecting(null);
          notifications.show({
            message: `${done.model} ${done.version} to ${done.name}: ${done.decision}.`,
            color: "teal",
          });
        },
      },
    );
  return (
    <Panel title="Promotions that another administrator decides" pad={0}>
      <ErrorBox problem={rejecting ? null : act.error} />
      <Rows
        of={items}
        minWidth={820}
        keyOf={(each) => each.id}
        isFaded={(each) => each.decision !== "waiting"}
        columns={[
          { label: "To", cell: (each) => each.name },
          { label: "Model", cell: (each) => `${each.model} ${each.version}` },
          { label: "Why", cell: (each) => each.reason },
          { label: "Asked by", cell: (each) => each.asked_by },
          { label: "When", cell: (each) => <Time at={each.asked_at} /> },
          {
            label: "Decision",
            cell: (each) => (
              <Status
                word={WORDS[each.decision]}
                says={each.decided_by && `${each.decision} by ${each.decided_by}. ${each.decision_reason}`}
              />
            ),
          },
          {
            label: "",
            cell: (each) =>
              each.decision !== "waiting" ? null : each.asked_by === who.data?.name ? (
                <Button
                  size="compact-sm"
                  variant="default"
                  loading={act.isPending}
                  onClick={() => decide(each, "withdrawn")}
                >
                  Withdraw
                </Button>
              ) : (
                <Group gap="xs" wrap="nowrap" justify="flex-end">
                  <Button size="compact-sm" variant="default" onClick={() => setRejecting(each)}>
                    Reject
                  </Button>
                  <Button size="compact-sm" loading={act.isPending} onClick={() => decide(each, "approved")}>
                    Approve
                  </Button>
                </Group>
              ),
          },
        ]}
      />
      {rejecting && (
        <Reject
          of={rejecting}
          problem={act.error}
          isPending={act.isPending}
          close={() => setRejecting(null)}
          reject={(reason) => decide(rejecting, "rejected", reason)}
        />
      )}
    </Panel>
  );
}

function Reject({
  of,
  problem,
  isPending,
  close,
  reject,
}: {
  of: Approval;
  problem: Parameters<typeof ErrorBox>[0]["problem"];
  isPending: boolean;
  close: () => void;
  reject: (reason: string) => void;
}) {
  const [reason, setReason] = useState("");
  return (
    <Modal opened onClose={close} title={`Reject ${of.model} ${of.version} to ${of.name}`}>
      <Stack gap="sm">
        <Text size="sm">
          {of.asked_by} asked for it: {of.reason}
        </Text>
        <TextInput
          label="Why not"
          value={reason}
          onChange={(event) => setReason(event.currentTarget.value)}
          data-autofocus
        />
        <ErrorBox problem={problem} />
        <Group justify="flex-end">
          <Button variant="default" onClick={close}>
            Cancel
          </Button>
          <Button color="red" disabled={!reason.trim()} loading={isPending} onClick={() => reject(reason)}>
            Reject
          </Button>
        </Group>
      </Stack>
    </Modal>
  );
}
