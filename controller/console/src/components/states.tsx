import { Button, InlineNotification, Loading } from "@carbon/react";
import type { ReactNode } from "react";
import { wordsOf } from "@/api/problem";
import { texts } from "@/texts";

/** While something is loaded. */
export function LoadingState() {
  return (
    <div className="empty" role="status">
      <Loading withOverlay={false} description={texts.common.loading} small /> {texts.common.loading}
    </div>
  );
}

/** Something could not be loaded: why, and the way to try again. */
export function ErrorState({ error, retry }: { error: unknown; retry?: () => void }) {
  return (
    <div className="stack">
      <InlineNotification
        kind="error"
        lowContrast
        hideCloseButton
        title={texts.common.failedTitle}
        subtitle={wordsOf(error)}
      />
      {retry ? (
        <div>
          <Button kind="tertiary" size="sm" onClick={retry}>
            {texts.common.retry}
          </Button>
        </div>
      ) : null}
    </div>
  );
}

/** There is nothing: what would be here, and how it gets here. */
export function EmptyState(props: { title: string; children?: ReactNode; action?: ReactNode }) {
  return (
    <div className="empty">
      <h2>{props.title}</h2>
      {props.children ? <p>{props.children}</p> : null}
      {props.action}
    </div>
  );
}

/** What a query of TanStack tells, as far as it is shown. */
interface Asked<T> {
  data: T | undefined;
  error: unknown;
  isPending: boolean;
  refetch: () => unknown;
}

/** Loading, error or content. What was loaded stays while it is loaded anew, even if that goes wrong. */
export function Loaded<T>({ query, children }: { query: Asked<T>; children: (data: T) => ReactNode }) {
  if (query.data !== undefined) return children(query.data);
  if (query.error) return <ErrorState error={query.error} retry={() => void query.refetch()} />;
  return <LoadingState />;
}
