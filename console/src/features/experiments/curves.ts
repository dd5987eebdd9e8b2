/** Long curves: a part of the steps as the address has it, and what is said of an even choice. */

/** How many values of a metric are asked for: more than a screen has pixels. */
export const MOST_POINTS = 2000;

/** The part between two places of a chart, which lie between steps: no step of it is lost. */
export const rangeOf = (low: number, high: number) => `${Math.floor(low)}~${Math.ceil(high)}`;

/** The first and the last step of a part, as an address may have them; of anything else none. */
export function stepsOf(range: string): { from?: string; until?: string } {
  const [, from, until] = /^(-?\d{1,18})~(-?\d{1,18})$/.exec(range) ?? [];
  return from !== undefined && until !== undefined && BigInt(from) <= BigInt(until) ? { from, until } : {};
}

/** Said below a curve of which not all values are drawn. How many were logged MLflow does not tell, only until where. */
export function chosenOf(points: { step: number }[]): string {
  const [first, last] = [points[0], points.at(-1)];
  if (points.length < MOST_POINTS || !first || !last) return "";
  const steps = `${first.step.toLocaleString("en")} to ${last.step.toLocaleString("en")}`;
  return `${points.length.toLocaleString("en")} values, evenly chosen from those of steps ${steps}`;
}
