import { useQuery } from "@tanstack/react-query";
import { api, body } from "@/api/client";
import { Page } from "@/components/page";
import { Loaded } from "@/components/states";
import { texts } from "@/texts";
import { Install } from "./install";
import { Pairs } from "./pairs";
import { Standing } from "./standing";
import "@/pages/admin/admin.scss";
import "./licence.scss";

/** Time alone changes a licence, too. */
const AGAIN_MS = 60_000;

/** Where the licence stands, and what can be done about it. */
export default function Index() {
  const t = texts.licence;
  const query = useQuery({
    queryKey: ["licence", "view"],
    queryFn: () => body(api.GET("/api/v1/licence")),
    refetchInterval: AGAIN_MS,
  });
  return (
    <Page title={t.title} lead={t.lead}>
      <Loaded query={query}>
        {(view) => (
          <>
            <Standing view={view} />
            <div className="licence-sections">
              <Install />
              <Pairs view={view} />
            </div>
          </>
        )}
      </Loaded>
    </Page>
  );
}
