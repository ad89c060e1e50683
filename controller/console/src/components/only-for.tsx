import type { ReactNode } from "react";
import { useMay, type Role } from "@/api/session";
import { texts } from "@/texts";

/**
 * What only some may do, for those who may: to all others it is not offered. `told`: instead they read which role it needs,
 * where they would look for it.
 */
export function OnlyFor({ least, told, children }: { least: Role; told?: boolean; children: ReactNode }) {
  if (useMay(least)) return children;
  return told ? <span className="muted">{texts.common.needs(least)}</span> : null;
}
