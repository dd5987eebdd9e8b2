/** Numbers, sizes and times as people read them; one way everywhere. */

export function ago(text: string | null | undefined, now = Date.now()): string {
  if (!text) return "–";
  const seconds = Math.round((now - Date.parse(text)) / 1000);
  const size = Math.abs(seconds);
  const said =
    size < 60
      ? `${size} s`
      : size < 3600
        ? `${Math.floor(size / 60)} min`
        : size < 86400
          ? `${Math.floor(size / 3600)} h`
          : `${Math.floor(size / 86400)} d`;
  if (size < 2) return "now";
  return seconds >= 0 ? `${said} ago` : `in ${said}`;
}

export const utc = (text: string) => `${new Date(text).toISOString().slice(0, 19).replace("T", " ")} UTC`;

export function duration(seconds: number | null | undefined): string {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60
    ? `${minutes} min ${Math.round(seconds % 60)} s`
    : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

export function bytes(count: number | null | undefined): string {
  if (count === null || count === undefined) return "–";
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let size = count;
  let unit = 0;
  while (size >= 1024 && unit < units.length - 1) {
    size /= 1024;
    unit += 1;
  }
  return `${unit === 0 ? size : size.toFixed(size < 10 ? 1 : 0)} ${units[unit]}`;
}

/** At most four significant digits, without a tail of zeros. */
export function figure(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (!Number.isFinite(value)) return String(value);
  if (value !== 0 && (Math.abs(value) >= 1e6 || Math.abs(value) < 1e-4)) return value.toExponential(2);
  return String(Number(value.toPrecision(4)));
}

export const percent = (share: number | null | undefined) =>
  share === null || share === undefined ? "–" : `${figure(share * 100)} %`;

export function milliseconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  return value < 1000 ? `${figure(Number(value.toPrecision(3)))} ms` : `${(value / 1000).toFixed(2)} s`;
}

/** "1 run", "2 runs": of one and of many. */
export const counted = (count: number, noun: string) => `${count} ${noun}${count === 1 ? "" : "s"}`;

const two = (value: number) => String(value).padStart(2, "0");
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A moment on an axis whose marks are so many seconds apart, by the reader's clock; at midnight the day. */
export function moment(seconds: number, step: number): string {
  const at = new Date(seconds * 1000);
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`;
  if (step >= 86400 || (clock === "00:00" && at.getSeconds() === 0)) return `${at.getDate()} ${MONTHS[at.getMonth()]}`;
  return step < 60 ? `${clock}:${two(at.getSeconds())}` : clock;
}
