import { useMutation, useQuery, useQueryClient } from "@tanstack/react-query";
import { all, api, body } from "@/api/client";
import type { PackageView } from "@/api/schema";
import { useToasts } from "@/components/toasts";
import { texts } from "@/texts";

/** Packages, the newest version first. */
export function usePackages() {
  return useQuery({
    queryKey: ["packages", "list"],
    queryFn: () =>
      all((cursor) => api.GET("/api/v1/packages", { params: { query: { cursor, limit: 1_000 } } })),
    select: (packages) =>
      packages.toSorted(
        (a, b) =>
          a.name.localeCompare(b.name) ||
          byVersion(b.version, a.version) ||
          a.platform.localeCompare(b.platform),
      ),
  });
}

/** Order of versions: `0.10.0` after `0.9.0`, and `1.0.0-rc.1` before `1.0.0`. */
export function byVersion(a: string, b: string): number {
  const parts = (version: string) => {
    const [core = "", ...pre] = (version.split("+")[0] ?? "").split("-");
    return { core, pre: pre.join("-") };
  };
  const [left, right] = [parts(a), parts(b)];
  const order = left.core.localeCompare(right.core, "en", { numeric: true });
  if (order !== 0 || left.pre === right.pre) return order;
  if (!left.pre || !right.pre) return left.pre ? -1 : 1;
  return left.pre.localeCompare(right.pre, "en", { numeric: true });
}

/** A version with its packages for all platforms. */
export interface VersionOf {
  /** `muster-agent@0.2.0`. */
  title: string;
  platforms: string[];
  /** At least one of them can be rolled out. */
  offered: boolean;
}

/** Whether a package can be rolled out. */
export function isOffered({ present, retired }: PackageView): boolean {
  return present && !retired;
}

/** Versions, in the order of the packages. */
export function versionsOf(packages: readonly PackageView[]): VersionOf[] {
  const found = new Map<string, VersionOf>();
  for (const one of packages) {
    const title = titleOf(one);
    const version = found.get(title) ?? { title, platforms: [], offered: false };
    if (isOffered(one)) {
      version.platforms.push(one.platform);
      version.offered = true;
    }
    found.set(title, version);
  }
  return [...found.values()];
}

/** `muster-agent@0.2.0`. */
export function titleOf({ name, version }: PackageView): string {
  return `${name}@${version}`;
}

/** One name for a package in the address: `muster-agent@0.2.0/x86_64-linux`. */
export function keyOf(one: PackageView): string {
  return `${titleOf(one)}/${one.platform}`;
}

/** How many agents run a version; asked for only where it is shown. */
export function useRunning(version: string) {
  return useQuery({
    queryKey: ["package-agents", version],
    queryFn: () =>
      body(api.GET("/api/v1/fleet/partitions", { params: { query: { version: `=${version}`, limit: 0 } } })),
    select: ({ matching }) => matching,
    staleTime: 30_000,
  });
}

/** Rollouts that brought a version, newest first. */
export function useRolloutsOf({ name, version }: PackageView) {
  return useQuery({
    queryKey: ["rollouts", "list"],
    queryFn: () =>
      all((cursor) => api.GET("/api/v1/rollouts", { params: { query: { cursor, limit: 1_000 } } })),
    select: (rollouts) =>
      rollouts.filter(({ package: brought }) => brought?.name === name && brought.version === version),
  });
}

/** Retires a package. */
export function useRetire(one: PackageView) {
  const client = useQueryClient();
  const toasts = useToasts();
  return useMutation({
    mutationFn: (reason: string) =>
      body(
        api.POST("/api/v1/packages/{name}/{version}/{platform}/retire", {
          params: { path: { name: one.name, version: one.version, platform: one.platform } },
          body: { reason },
        }),
      ),
    onSuccess: () => {
      toasts.done(texts.packages.retired(titleOf(one), one.platform));
      return client.invalidateQueries({ queryKey: ["packages"] });
    },
  });
}
