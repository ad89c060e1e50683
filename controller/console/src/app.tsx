import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { lazy, Suspense, type ComponentType } from "react";
import { Redirect, Route, Switch } from "wouter";
import { useLiveUpdates } from "@/api/live";
import { isFinal } from "@/api/problem";
import { SessionProvider, useSession } from "@/api/session";
import { Boundary } from "@/components/boundary";
import { ErrorState, LoadingState } from "@/components/states";
import { NotFound } from "@/components/not-found";
import { Shell } from "@/components/shell";
import { ToastProvider } from "@/components/toasts";
import { SignInAgain, SignInPage } from "@/pages/sign-in";

const client = new QueryClient({
  defaultOptions: {
    queries: {
      retry: (count, error) => count < 2 && !isFinal(error),
      staleTime: 5_000,
      gcTime: 60_000,
    },
  },
});

/** Pages, each loaded when it is first shown. */
const PAGES: readonly (readonly [string, ComponentType])[] = [
  ["/fleet", lazy(() => import("@/pages/fleet"))],
  ["/partitions/:agent", lazy(() => import("@/pages/partition"))],
  ["/policies/*?", lazy(() => import("@/pages/policies"))],
  ["/rollouts/*?", lazy(() => import("@/pages/rollouts"))],
  ["/packages", lazy(() => import("@/pages/packages"))],
  ["/licence", lazy(() => import("@/pages/licence"))],
  ["/enrolment", lazy(() => import("@/pages/tokens"))],
  ["/users", lazy(() => import("@/pages/users"))],
  ["/audit", lazy(() => import("@/pages/audit"))],
  ["/live", lazy(() => import("@/pages/live"))],
];
const FirstRun = lazy(() => import("@/pages/first-run"));

/** The console. */
export function App() {
  return (
    <QueryClientProvider client={client}>
      <SessionProvider>
        <ToastProvider>
          <Boundary>
            <Entry />
          </Boundary>
        </ToastProvider>
      </SessionProvider>
    </QueryClientProvider>
  );
}

function Entry() {
  const { who, error, expired } = useSession();
  useLiveUpdates(client, Boolean(who) && !expired);
  if (who === undefined) {
    return error ? (
      <ErrorState error={error} retry={() => void client.resetQueries({ queryKey: ["whoami"] })} />
    ) : (
      <LoadingState />
    );
  }
  if (who === null) return <SignInPage />;
  if (who.password_is_initial) {
    return (
      <Suspense fallback={<LoadingState />}>
        <FirstRun />
      </Suspense>
    );
  }
  return (
    <Shell key={who.user} who={who}>
      <Boundary>
        <Suspense fallback={<LoadingState />}>
          <Switch>
            <Route path="/">
              <Redirect to="/fleet" replace />
            </Route>
            {PAGES.map(([path, Page]) => (
              <Route key={path} path={path}>
                <Page />
              </Route>
            ))}
            <Route>
              <NotFound />
            </Route>
          </Switch>
        </Suspense>
      </Boundary>
      {expired ? <SignInAgain user={who.user} /> : null}
    </Shell>
  );
}
