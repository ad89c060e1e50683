import type { ReactNode } from "react";
import { useTitle } from "@/hooks/title";

/** The frame of a page: its heading, what it is for, what can be done, and its content. */
export function Page(props: {
  title: string;
  /** For the browser's tab, where the heading is not enough. */
  tab?: string;
  lead?: ReactNode;
  actions?: ReactNode;
  above?: ReactNode;
  children: ReactNode;
}) {
  useTitle(props.tab ?? props.title);
  return (
    <>
      {props.above}
      <div className="page-head">
        <div>
          <h1>{props.title}</h1>
          {props.lead ? <p className="lead">{props.lead}</p> : null}
        </div>
        {props.actions ? <div className="actions">{props.actions}</div> : null}
      </div>
      {props.children}
    </>
  );
}
