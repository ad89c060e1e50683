import { Link } from "wouter";
import { Page } from "./page";
import { EmptyState } from "./states";
import { texts } from "@/texts";

/** No page has this address. */
export function NotFound() {
  const t = texts.common;
  return (
    <Page title={t.notFound}>
      <EmptyState title={t.notFound} action={<Link href="/fleet">{t.toFleet}</Link>}>
        {t.notFoundHelp}
      </EmptyState>
    </Page>
  );
}
