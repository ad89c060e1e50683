import { Button, InlineNotification, Stack, TextInput } from "@carbon/react";
import { useMutation, useQueryClient } from "@tanstack/react-query";
import { useState } from "react";
import { api } from "@/api/client";
import { wordsOf } from "@/api/problem";
import { useProposal, useProposals } from "@/api/proposals";
import type { ProposalView } from "@/api/schema";
import { useMay, useSession } from "@/api/session";
import { Dialog } from "@/components/dialog";
import { Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useToasts } from "@/components/toasts";
import { useAddress } from "@/hooks/address";
import { Listing, type Column } from "@/pages/admin/listing";
import { plain } from "@/pages/admin/plain";
import { texts } from "@/texts";

function columns(look: (id: string) => void): Column<ProposalView>[] {
  const t = texts.users;
  return [
    {
      name: t.proposalColumns.what,
      cell: (one) => (
        <>
          <div>{one.summary}</div>
          <div className="sub">{t.kind[one.kind]}</div>
        </>
      ),
    },
    {
      name: t.proposalColumns.by,
      cell: (one) => (
        <>
          <div>{one.proposed_by}</div>
          <div className="sub">
            <Time at={one.proposed_at} relative />
          </div>
        </>
      ),
    },
    {
      name: t.proposalColumns.state,
      cell: (one) => (
        <>
          <div>{t.proposalState[one.state]}</div>
          {one.decided_by ? (
            <div className="sub">
              {t.decidedBy(one.decided_by)} <Time at={one.decided_at} relative />
            </div>
          ) : null}
          {one.note ? <div className="sub">{one.note}</div> : null}
        </>
      ),
    },
    {
      name: t.proposalColumns.expires,
      cell: (one) => (one.state === "pending" ? <Time at={one.expires_at} relative /> : null),
    },
    {
      name: t.proposalColumns.actions,
      kind: "actions",
      cell: (one) => (
        <Button kind="ghost" size="sm" aria-label={t.lookOf(one.summary)} onClick={() => look(one.id)}>
          {t.look}
        </Button>
      ),
    },
  ];
}

/** What waits for a second person, and what became of the rest. The one that is open stands in the address. */
export function Proposals() {
  const t = texts.users;
  const query = useProposals();
  const [params, set] = useAddress();
  const open = params.get("proposal");
  const look = (id: string | undefined) => set({ proposal: id });
  return (
    <>
      <Loaded query={query}>
        {(proposals) =>
          proposals.length ? (
            <Listing label={t.proposals} columns={columns(look)} rows={proposals} rowKey={(one) => one.id} />
          ) : (
            <p className="muted">{t.proposalsEmpty}</p>
          )
        }
      </Loaded>
      {open ? <Decision id={open} close={() => look(undefined)} /> : null}
    </>
  );
}

/** Approves or rejects on the version of the proposal that is shown. */
function useDecide(id: string, etag: string | undefined, close: () => void) {
  const t = texts.users;
  const client = useQueryClient();
  const toasts = useToasts();
  return useMutation({
    mutationFn: async ({ approve, note }: { approve: boolean; note: string }) => {
      const options = {
        params: { path: { id } },
        body: { note },
        headers: etag ? { "If-Match": etag } : {},
      };
      if (approve) await api.POST("/api/v1/proposals/{id}/approve", options);
      else await api.POST("/api/v1/proposals/{id}/reject", options);
      return approve;
    },
    onSuccess: (approved) => {
      toasts.done(approved ? t.approvedDone : t.rejectedDone);
      close();
      return client.invalidateQueries({ queryKey: ["proposals"] });
    },
  });
}

/** One proposal in full, and the decision about it. */
function Decision({ id, close }: { id: string; close: () => void }) {
  const t = texts.users;
  const { who } = useSession();
  const approver = useMay("approver");
  const query = useProposal(id);
  const [note, setNote] = useState("");
  const decide = useDecide(id, query.data?.etag, close);
  const one = query.data?.data;
  const pending = one?.state === "pending";
  const own = one?.proposed_by === who?.user;
  const mayReject = pending && (approver || own);
  const no = own ? t.takeBack : t.reject;
  return (
    <Dialog
      size="md"
      busy={decide.isPending}
      passiveModal={!mayReject}
      modalHeading={one?.summary ?? t.proposalTitle}
      primaryButtonText={t.approve}
      primaryButtonDisabled={own || !approver}
      secondaryButtonText={no}
      loadingDescription={decide.variables?.approve ? t.approve : no}
      onRequestSubmit={() => decide.mutate({ approve: true, note })}
      onSecondarySubmit={() => decide.mutate({ approve: false, note })}
      onRequestClose={close}
      closeButtonLabel={texts.common.close}
    >
      <Loaded query={query}>
        {({ data }) => (
          <Stack gap={5}>
            {pending && own ? <p>{t.ownProposal}</p> : null}
            {pending && !own && !approver ? <p>{texts.common.needs("approver")}</p> : null}
            {data.payload ? (
              <div>
                <h3>{t.payload}</h3>
                <pre className="pre scroll" tabIndex={0} aria-label={t.payload}>
                  {plain(data.payload).join("\n")}
                </pre>
              </div>
            ) : null}
            {mayReject ? (
              <TextInput
                id="proposal-note"
                labelText={t.note}
                helperText={t.noteHelp}
                maxLength={200}
                data-modal-primary-focus
                value={note}
                onChange={(event) => setNote(event.target.value)}
              />
            ) : null}
            {decide.error ? (
              <InlineNotification
                kind="error"
                lowContrast
                hideCloseButton
                title={texts.common.notDone}
                subtitle={wordsOf(decide.error)}
              />
            ) : null}
          </Stack>
        )}
      </Loaded>
    </Dialog>
  );
}
