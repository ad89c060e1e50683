//! The documents that are made from the tables: `docs/audit-layouts.md` and `docs/fields.md`. The test fails
//! when one of them is stale; `MUSTER_WRITE_DOCS=1 cargo test -p muster-ibmi documents` writes them anew.

use super::tables::{FieldRow, Source, field_rows, severity_rows, type_rows, value_rows};
use muster_shared::event::{FieldType, dictionary, field};
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;
use std::path::Path;

const LAYOUTS_HEAD: &str = include_str!("audit-layouts.head.md");
const FIELDS_HEAD: &str = include_str!("fields.head.md");

#[test]
#[expect(
    clippy::disallowed_methods,
    reason = "compares files of the repository, and writes them if asked to"
)]
fn documents_are_fresh() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs");
    for (name, text) in [("audit-layouts.md", layouts()), ("fields.md", fields())] {
        let path = docs.join(name);
        if std::env::var_os("MUSTER_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(&docs).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let found = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            found == text,
            "docs/{name} is stale; run MUSTER_WRITE_DOCS=1 cargo test -p muster-ibmi documents"
        );
    }
}

fn layouts() -> String {
    let (types, fields) = (type_rows(), field_rows());
    let mut out = LAYOUTS_HEAD.to_owned();
    let placed = |source: &dyn Fn(Source) -> bool| {
        fields.iter().filter(|row| row.offset.is_some() && source(row.source)).count()
    };
    let unplaced = fields.iter().filter(|row| row.offset.is_none()).count();
    let (trusted, unverified) = (placed(&Source::trusted), placed(&|source| !source.trusted()));
    writeln!(
        out,
        "In numbers: {} entry types; {trusted} documented or derived rows, {unverified} unverified ones, \
         {unplaced} values whose place is not known.\n",
        types.len()
    )
    .unwrap();
    type_table(&mut out);
    severity_table(&mut out);
    unverified_table(&mut out, &fields);
    unplaced_table(&mut out, &fields);
    unverified_values(&mut out);
    out
}

fn type_table(out: &mut String) {
    out.push_str("## Entry types\n\nWritten when one of the audit values is active. Values in parentheses are unverified.\n\n");
    out.push_str("| type | event name | severity | audit values |\n|---|---|---|---|\n");
    for row in type_rows() {
        let values: Vec<String> = row.audited_by.split("; ").map(audit_value).collect();
        let mark = if row.source.trusted() { "" } else { " (unverified)" };
        writeln!(out, "| {} | {}{mark} | {} | {} |", row.key, row.name, row.severity, values.join(", "))
            .unwrap();
    }
}

fn audit_value(value: &str) -> String {
    match value.strip_suffix(" (unverified)") {
        Some(value) => format!("({value})"),
        None => value.trim_end_matches(" (documented)").to_owned(),
    }
}

fn severity_table(out: &mut String) {
    out.push_str("\n## Severities that depend on the entry\n\n| type | severity | when |\n|---|---|---|\n");
    for row in severity_rows() {
        let when = row
            .when
            .replace('|', ", ")
            .replace("!=", " is not ")
            .replace('=', " is ")
            .replace(" & ", " and ");
        writeln!(out, "| {} | {} | {when} |", row.key, row.severity).unwrap();
    }
}

fn unverified_table(out: &mut String, fields: &[FieldRow]) {
    out.push_str("\n## Unverified rows\n\nDecoded, and their bytes are kept in `raw` as well. Offsets count from 0.\n\n");
    out.push_str("| type | offset | length | row | field |\n|---|---|---|---|---|\n");
    for row in fields.iter().filter(|row| !row.source.trusted() && !row.field.is_empty()) {
        let offset = row.offset.unwrap_or_default();
        writeln!(out, "| {} | {offset} | {} | {} | {} |", row.key, row.length, row.name, field_cell(row))
            .unwrap();
    }
}

fn field_cell(row: &FieldRow) -> String {
    match row.field {
        "-reserved" => "(reserved)".to_owned(),
        "-length" => "(length of a text)".to_owned(),
        "-ccsid" => "(CCSID of a text)".to_owned(),
        field => field.split('|').map(|keyword| format!("`{keyword}`")).collect::<Vec<_>>().join(" or "),
    }
}

fn unplaced_table(out: &mut String, fields: &[FieldRow]) {
    out.push_str("\n## Values whose place is not known\n\nThese exist, but where they lie is not. Their bytes are in `raw`.\n\n");
    out.push_str("| type | values |\n|---|---|\n");
    let mut by_type: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for row in fields.iter().filter(|row| row.offset.is_none()) {
        by_type.entry(row.key).or_default().push(row.name);
    }
    for (key, names) in by_type {
        writeln!(out, "| {key} | {} |", names.join("; ")).unwrap();
    }
}

fn unverified_values(out: &mut String) {
    out.push_str("\n## Unverified meanings\n\n| types | row | value | meaning |\n|---|---|---|---|\n");
    for row in value_rows().iter().filter(|row| !row.source.trusted()) {
        writeln!(out, "| {} | {} | {} | {} |", row.keys, row.name, row.value, row.meaning).unwrap();
    }
}

fn fields() -> String {
    let mut out = FIELDS_HEAD.to_owned();
    out.push_str(
        "| keyword | ECS | LEEF | CEF | holds | description | entry types |\n|---|---|---|---|---|---|---|\n",
    );
    let rows = field_rows();
    for field in dictionary().rows() {
        let types: BTreeSet<&str> = rows
            .iter()
            .filter(|row| {
                row.offset.is_some() && row.field.split('|').any(|keyword| keyword == field.keyword)
            })
            .map(|row| row.key)
            .collect();
        let holds = match field.field_type {
            FieldType::Text => "text",
            FieldType::Integer => "number",
            FieldType::Address => "IP address",
            FieldType::Hex => "hex digits",
        };
        let cef = if field.cef_label.is_empty() {
            field.cef.clone()
        } else {
            format!("{} ({})", field.cef, field.cef_label)
        };
        let types = if types.len() > 12 {
            "most".to_owned()
        } else {
            types.into_iter().collect::<Vec<_>>().join(" ")
        };
        writeln!(
            out,
            "| `{}` | {} | {} | {cef} | {holds} | {} | {types} |",
            field.keyword, field.ecs, field.leef, field.description
        )
        .unwrap();
    }
    out
}

/// Keys that the LEEF and CEF specifications define. Ours must not reuse one with another meaning; the
/// named fields (the first rows of the dictionary) use some with the meaning that is defined.
const PREDEFINED: &str = "cat devTime proto sev src dst srcPort dstPort srcPreNAT dstPreNAT srcPostNAT dstPostNAT \
    usrName srcMAC dstMAC srcPreNATPort dstPreNATPort srcPostNATPort dstPostNATPort identSrc identNetBios \
    identGrpName identHostName identMAC devTimeFormat vSrc vSrcName accountName srcBytes dstBytes srcPackets \
    dstPackets totalPackets role realm policy resource url groupID domain isLoginEvent isLogoutEvent \
    identSecondlp calLanguage calCountryOrRegion act app c6a1 c6a2 c6a3 c6a4 cfp1 cfp2 cfp3 cfp4 cn1 cn2 cn3 cnt \
    cs1 cs2 cs3 cs4 cs5 cs6 destinationDnsDomain destinationServiceName destinationTranslatedAddress \
    destinationTranslatedPort deviceCustomDate1 deviceCustomDate2 deviceDirection deviceDnsDomain \
    deviceExternalId deviceFacility deviceInboundInterface deviceNtDomain deviceOutboundInterface \
    devicePayloadId deviceProcessName deviceTranslatedAddress dhost dmac dntdom dpid dpriv dproc dpt dtz duid \
    duser dvc dvchost dvcmac dvcpid end externalId fileCreateTime fileHash fileId fileModificationTime filePath \
    filePermission fileType flexDate1 flexNumber1 flexNumber2 flexString1 flexString2 fname fsize in msg \
    oldFileCreateTime oldFileHash oldFileId oldFileModificationTime oldFileName oldFilePath oldFilePermission \
    oldFileSize oldFileType out outcome reason request requestClientApplication requestContext requestCookies \
    requestMethod rt shost smac sntdom sourceDnsDomain sourceServiceName sourceTranslatedAddress \
    sourceTranslatedPort spid spriv sproc spt start suid suser type agentAddress agentHost agentId \
    reportedDuration frameworkName threatActor threatAttackID";

#[test]
fn keys_are_distinct_and_none_is_predefined() {
    let predefined: HashSet<String> = PREDEFINED.split_whitespace().map(str::to_lowercase).collect();
    let (mut leef, mut cef, mut ecs) = (HashSet::new(), HashSet::new(), HashSet::new());
    for row in dictionary().rows() {
        assert!(leef.insert(row.leef.to_lowercase()), "LEEF key {} stands twice", row.leef);
        assert!(cef.insert(row.cef.to_lowercase()), "CEF key {} stands twice", row.cef);
        assert!(ecs.insert(row.ecs.clone()), "ECS name {} stands twice", row.ecs);
        assert!(!row.description.is_empty() && !row.description.contains('|'), "{}", row.keyword);
        if (row.id.0 as usize) < field::NAMED.len() || !row.ecs.starts_with("ibmi.audit.") {
            continue;
        }
        for key in [&row.leef, &row.cef] {
            assert!(!predefined.contains(&key.to_lowercase()), "{key} is predefined");
            assert!(
                key.starts_with(|c: char| c.is_ascii_lowercase())
                    && key.chars().all(|c| c.is_ascii_alphanumeric())
            );
        }
        assert_eq!(row.ecs, format!("ibmi.audit.{}", row.keyword));
    }
}

#[test]
fn every_placed_row_is_a_field_or_says_what_else_it_is() {
    for row in field_rows().iter().filter(|row| row.offset.is_some()) {
        let known = matches!(row.field, "-reserved" | "-length" | "-ccsid");
        let fields = row.field.split('|').all(|keyword| dictionary().find(keyword).is_some());
        assert!(known || fields, "{} {}: {}", row.key, row.name, row.field);
    }
    let rows = field_rows();
    for value in value_rows() {
        for key in value.keys.split(' ') {
            assert!(
                rows.iter().any(|row| row.key == key && row.name == value.name),
                "audit-values.csv: {key} has no row {}",
                value.name
            );
        }
    }
}
