import { NumberInput, SimpleGrid, Switch, TextInput } from "@mantine/core";

/** How big a production deployment is, and who may call it how often; quotas of 0 are none. */
export interface Size {
  memory: string;
  cpus: string;
  least: number | string;
  most: number | string;
  needsToken: boolean;
  quota: number | string;
  burst: number | string;
}

export const sizeBody = (size: Size) => ({
  memory: size.memory,
  cpus: size.cpus,
  min_pods: Number(size.least),
  max_pods: Number(size.most),
  needs_token: size.needsToken,
});

/** What a changed quota sends; null leaves it as it is. */
export const quotaBody = (size: Size, was: { quota: number; burst: number | string }) =>
  Number(size.quota) === was.quota && String(size.burst) === String(was.burst)
    ? {}
    : {
        quota_per_second: Number(size.quota),
        quota_burst: Number(size.quota) > 0 && size.burst !== "" ? Number(size.burst) : null,
      };

export function SizeFields({
  value,
  onChange,
  errors,
}: {
  value: Size;
  onChange: (value: Size) => void;
  errors: Record<string, string>;
}) {
  return (
    <>
      <SimpleGrid cols={{ base: 2, sm: 4 }}>
        <TextInput
          label="Memory of a pod"
          value={value.memory}
          onChange={(event) => onChange({ ...value, memory: event.currentTarget.value })}
          error={errors.memory}
        />
        <TextInput
          label="CPUs of a pod"
          value={value.cpus}
          onChange={(event) => onChange({ ...value, cpus: event.currentTarget.value })}
          error={errors.cpus}
        />
        <NumberInput
          label="Pods at least"
          min={0}
          max={100}
          value={value.least}
          onChange={(least) => onChange({ ...value, least })}
          error={errors.min_pods}
        />
        <NumberInput
          label="Pods at most"
          min={1}
          max={100}
          value={value.most}
          onChange={(most) => onChange({ ...value, most })}
          error={errors.max_pods}
        />
      </SimpleGrid>
      <SimpleGrid cols={{ base: 1, sm: 2 }}>
        <NumberInput
          label="Requests per second of each caller"
          description="0: as many as they like. More are answered 429."
          min={0}
          value={value.quota}
          onChange={(quota) => onChange({ ...value, quota })}
          error={errors.quota_per_second}
        />
        {Number(value.quota) > 0 && (
          <NumberInput
            label="Above it at once"
            description="Empty: twice the rate."
            min={1}
            value={value.burst}
            onChange={(burst) => onChange({ ...value, burst })}
            error={errors.quota_burst}
          />
        )}
      </SimpleGrid>
      <Switch
        label="Callers need an access token"
        checked={value.needsToken}
        onChange={(event) => onChange({ ...value, needsToken: event.currentTarget.checked })}
      />
    </>
  );
}
