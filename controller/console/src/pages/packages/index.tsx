import {
  Button,
  CodeSnippet,
  Table,
  TableBody,
  TableCell,
  TableContainer,
  TableHead,
  TableHeader,
  TableRow,
} from "@carbon/react";
import type { PackageView } from "@/api/schema";
import { OnlyFor } from "@/components/only-for";
import { Page } from "@/components/page";
import { EmptyState, Loaded } from "@/components/states";
import { Time } from "@/components/time";
import { useAddress } from "@/hooks/address";
import { bytes } from "@/hooks/format";
import { texts } from "@/texts";
import { keyOf, usePackages } from "./data";
import { Details } from "./details";
import "./packages.scss";
import { PackageStanding } from "./standing";
import { UploadButton, UploadProgress, useUpload } from "./upload";

const t = texts.packages;

/** Release packages that agents can be upgraded with. */
export default function Index() {
  const query = usePackages();
  const [, choose] = useChosen();
  const upload = useUpload((one) => choose(keyOf(one)));
  const button = (
    <OnlyFor least="admin">
      <UploadButton disabled={upload.sending !== undefined && !upload.sending.error} start={upload.start} />
    </OnlyFor>
  );
  return (
    <Page title={t.title} lead={t.lead} actions={button}>
      {upload.sending ? (
        <UploadProgress sending={upload.sending} start={upload.start} cancel={upload.cancel} />
      ) : null}
      <Loaded query={query}>
        {(packages) => (packages.length ? <Packages packages={packages} /> : <Empty />)}
      </Loaded>
    </Page>
  );
}

function Empty() {
  return (
    <EmptyState title={t.emptyTitle} action={<CodeSnippet type="single">{t.command}</CodeSnippet>}>
      {t.empty}
    </EmptyState>
  );
}

/** The package whose details are shown, and the version that is asked for, in the address. */
function useChosen() {
  const [params, set] = useAddress();
  const choose = (key: string | undefined) => set({ version: undefined, package: key });
  return [{ key: params.get("package"), version: params.get("version") }, choose] as const;
}

function Packages({ packages }: { packages: PackageView[] }) {
  const [{ key, version }, choose] = useChosen();
  const chosen = packages.find((one) => (key ? keyOf(one) === key : one.version === version));
  const close = () => {
    choose(undefined);
    // The focus goes back to where it came from.
    if (chosen) document.getElementById(idOf(chosen))?.focus();
  };
  return (
    <div className={chosen ? "packages packages-split" : "packages"}>
      <TableContainer>
        <Table size="md" aria-label={t.title}>
          <TableHead>
            <TableRow>
              {(chosen ? SHORT : COLUMNS).map((name) => (
                <TableHeader key={name}>{t.columns[name]}</TableHeader>
              ))}
            </TableRow>
          </TableHead>
          <TableBody>
            {packages.map((one) => (
              <Row
                key={keyOf(one)}
                one={one}
                short={Boolean(chosen)}
                chosen={one === chosen}
                choose={() => choose(keyOf(one))}
              />
            ))}
          </TableBody>
        </Table>
      </TableContainer>
      {chosen ? <Details key={keyOf(chosen)} one={chosen} close={close} /> : null}
    </div>
  );
}

const COLUMNS = [
  "package",
  "platform",
  "state",
  "size",
  "digest",
  "from",
  "floor",
  "uploaded",
  "by",
] as const;
const SHORT = ["package", "platform", "state"] as const;

function idOf(one: PackageView): string {
  return `package-${one.sha256}`;
}

function Row(props: { one: PackageView; short: boolean; chosen: boolean; choose: () => void }) {
  const { one } = props;
  return (
    <TableRow isSelected={props.chosen}>
      <TableCell>
        <Button
          id={idOf(one)}
          kind="ghost"
          size="sm"
          className="package-name"
          aria-expanded={props.chosen}
          onClick={props.choose}
        >
          {`${one.name} ${one.version}`}
        </Button>
      </TableCell>
      <TableCell>{one.platform}</TableCell>
      <TableCell>
        <PackageStanding one={one} />
      </TableCell>
      {props.short ? null : (
        <>
          <TableCell className="nowrap">{bytes(one.size)}</TableCell>
          <TableCell>
            <code title={one.sha256}>{one.sha256.slice(0, 12)}…</code>
          </TableCell>
          <TableCell>{one.upgrade_from}</TableCell>
          <TableCell>{one.floor}</TableCell>
          <TableCell className="nowrap">
            <Time at={one.uploaded_at} relative />
          </TableCell>
          <TableCell>{one.uploaded_by}</TableCell>
        </>
      )}
    </TableRow>
  );
}
