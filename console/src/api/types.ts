/** The API's words, from its OpenAPI document: no shape of an answer is written by hand. */
import type { components } from "./schema";

export type Schema<Name extends keyof components["schemas"]> = components["schemas"][Name];

export type WhoAmI = Schema<"WhoAmIOut">;
export type Load = Schema<"LoadOut">;
export type Series = Schema<"SeriesOut">;
export type Run = Schema<"RunOut">;
export type Version = Schema<"ModelVersionOut">;
export type VersionDetail = Schema<"ModelVersionDetailOut">;
export type Production = Schema<"ProductionOut">;
export type ProductionDetail = Schema<"ProductionDetailOut">;
export type EventPage = Schema<"EventPage">;
export type Phase = Schema<"PhaseOut">;
