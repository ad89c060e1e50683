//! Hand-written writers for the entry types of the demo mix.
//!
//! They are written from the printed layouts, not from the table, so that a slip in the table (or in how it
//! is read) shows: a test compares the two.

use super::record::Record;

/// Writes the entry and says true, or says false for a type without a writer here.
pub(super) fn write(entry_type: &str, record: &mut Record<'_>) -> bool {
    match entry_type {
        "AF" => authority_failure(record),
        "PW" => password(record),
        "ZR" | "ZC" => object_access(record),
        "JS" => job(record),
        "CD" => command(record),
        "CP" => user_profile(record),
        "CO" | "DO" => created_or_deleted(record),
        "SV" => system_value(record),
        "CA" => authority_change(record),
        _ => return false,
    }
    true
}

/// Object, library, type: the beginning of most layouts.
fn object(r: &mut Record<'_>) {
    r.text("Object name", 10);
    r.text("Library name", 10);
    r.text("Object type", 8);
}

/// The name of an object in the integrated file system, then its path.
fn ifs_object(r: &mut Record<'_>) {
    r.binary("Object name length", 2);
    r.binary("Object name CCSID", 4);
    r.text("Object name country or region ID", 2);
    r.text("Object name language ID", 3);
    r.reserved(3);
    r.hex("Parent file ID", 16);
    r.hex("Object file ID (name block)", 16);
    r.unicode("Object name (IFS)", 512);
    r.hex("Object file ID", 16);
    r.text("ASP name", 10);
    r.text("ASP number", 5);
    r.binary("Path name CCSID", 4);
    r.text("Path name country or region ID", 2);
    r.text("Path name language ID", 3);
    r.binary("Path name length", 2);
    r.text("Path name indicator", 1);
    r.hex("Relative directory file ID", 16);
    r.varying("Path name", 5002);
}

fn authority_failure(r: &mut Record<'_>) {
    r.text("Violation type", 1);
    object(r);
    r.text("Validation error action", 1);
    r.text("Job name", 10);
    r.text("Job user name", 10);
    r.zoned("Job number", 6);
    r.text("Program name", 10);
    r.text("Program library", 10);
    r.text("User profile", 10);
    r.text("Work station name", 10);
    r.zoned("Program instruction number", 7);
    r.text("Field name", 10);
    r.text("Operation violation code", 3);
    r.text("Office user", 10);
    r.text("Folder or document name", 12);
    r.reserved(8);
    r.text("Folder path", 63);
    r.text("Office on behalf of user", 10);
    r.reserved(18);
    ifs_object(r);
    r.text("ASP program library name", 10);
    r.text("ASP program library number", 5);
}

fn password(r: &mut Record<'_>) {
    r.text("Violation type", 1);
    r.text("User name", 10);
    r.text("Device name", 40);
    r.text("Remote location name", 8);
    r.text("Local location name", 8);
    r.text("Network ID", 8);
    r.text("Object name", 10);
    r.text("Object library", 10);
    r.text("Object type", 8);
    r.text("ASP name", 10);
    r.text("ASP number", 5);
}

fn object_access(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    object(r);
    r.packed("Access type", 5);
    r.text("Access specific data", 50);
    r.reserved(18);
    ifs_object(r);
}

fn job(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    r.text("Job type", 1);
    r.text("Job subtype", 1);
    r.text("Job name", 10);
    r.text("Job user name", 10);
    r.text("Job number", 6);
    r.text("Device name", 10);
    r.text("Effective user profile", 10);
    r.text("Job description name", 10);
    r.text("Job description library", 10);
    r.text("Job queue name", 10);
    r.text("Job queue library", 10);
    r.text("Output queue name", 10);
    r.text("Output queue library", 10);
    r.text("Printer device", 10);
    r.text("Library list", 430);
    r.text("Effective group profile name", 10);
    r.text("Supplemental group profiles", 150);
    r.text("JUID description", 1);
    r.text("JUID", 10);
    r.text("Real user profile", 10);
    r.text("Saved user profile", 10);
    r.text("Real group profile", 10);
    r.text("Saved group profile", 10);
}

fn command(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    object(r);
    r.text("Where run", 1);
    r.text("Command string", 6000);
    r.text("ASP name for command library", 10);
    r.text("ASP number for command library", 5);
}

/// The special authorities in the order in which the entry has them.
const SPECIAL: [&str; 8] = [
    "all object",
    "job control",
    "save system",
    "security administrator",
    "spool control",
    "service",
    "audit",
    "system configuration",
];

fn user_profile(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    r.text("User profile name", 10);
    r.text("Library name", 10);
    r.text("Object type", 8);
    r.text("Command name", 3);
    r.text("Password changed", 1);
    r.text("Password *NONE", 1);
    r.text("Password expired", 1);
    for name in SPECIAL {
        let (initial, rest) = name.split_at(1);
        r.text(&format!("{}{rest} special authority", initial.to_ascii_uppercase()), 1);
    }
    for name in SPECIAL {
        r.text(&format!("Previous {name} special authority"), 1);
    }
    r.reserved(5);
    r.text("Group profile", 10);
    r.text("Owner", 10);
    r.text("Group authority", 10);
    r.text("Initial program", 10);
    r.text("Initial program library", 10);
    r.text("Initial menu", 10);
    r.text("Initial menu library", 10);
    r.text("Current library", 10);
    r.text("Limited capabilities", 10);
    r.text("User class", 10);
    r.text("Priority limit", 1);
    r.text("Profile status", 10);
    r.text("Group authority type", 10);
    r.text("Supplemental group profiles", 150);
}

fn created_or_deleted(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    object(r);
    r.text("Object attribute", 10);
    r.reserved(10);
    r.text("Office user", 10);
    r.text("DLO name", 12);
    r.reserved(8);
    r.text("Folder path", 63);
    r.text("Office on behalf of user", 10);
    r.reserved(18);
    ifs_object(r);
}

fn system_value(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    r.text("System value or service attribute", 10);
    r.text("New value", 250);
    r.text("Old value", 250);
    r.text("New value continued", 250);
    r.text("Old value continued", 250);
    r.text("New value continued extension", 1000);
    r.text("Old value continued extension", 1000);
}

fn authority_change(r: &mut Record<'_>) {
    r.text("Entry type", 1);
    object(r);
    r.text("User name", 10);
    r.text("Authorization list name", 10);
    r.text("Object existence", 1);
    r.text("Object management", 1);
    r.text("Object operational", 1);
    r.text("Authorization list management", 1);
    r.text("Authorization list", 1);
    for right in ["Read", "Add", "Update", "Delete", "Exclude", "Execute"] {
        r.text(&format!("{right} authority"), 1);
    }
    r.text("Object alter authority", 1);
    r.text("Object reference authority", 1);
    r.reserved(4);
    r.text("Command type", 3);
    r.text("Field name", 10);
    r.text("Object attribute", 10);
    r.text("Office user", 10);
    r.text("DLO name", 12);
    r.reserved(8);
    r.text("Folder path", 63);
    r.text("Office on behalf of user", 10);
    r.text("Personal status", 1);
    r.text("Access code action", 1);
    r.text("Access code", 4);
    r.reserved(18);
    ifs_object(r);
}
