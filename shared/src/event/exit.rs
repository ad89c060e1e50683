//! What is seen at exit points, as events: one row a function of a server, and what happens to the programs that
//! are registered there.
//!
//! An exit program is called before the request is carried out, so the texts say what was asked for, not what
//! came of it.

/// An action at an exit point, as a SIEM sees it.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct ExitAction {
    /// Event id.
    pub id: &'static str,
    /// Fixed English text.
    pub text: &'static str,
    /// Severity, 1 to 10.
    pub severity: u8,
}

const fn row(id: &'static str, text: &'static str, severity: u8) -> ExitAction {
    ExitAction { id, text, severity }
}

/// A record of a format that this release does not know.
pub static EXIT_UNKNOWN: ExitAction = row("EXIT_UNKNOWN", "Request of an unknown kind at an exit point", 4);
/// One of our own programs was registered, or another one where nobody watches.
pub static EXIT_PROGRAM_ADDED: ExitAction = row("EXIT_PROGRAM_ADDED", "Exit program registered", 7);
/// A program that was registered is so no more.
pub static EXIT_PROGRAM_REMOVED: ExitAction = row("EXIT_PROGRAM_REMOVED", "Exit program removed", 9);
/// Another program, or the same one with other settings, stands where one was registered.
pub static EXIT_PROGRAM_CHANGED: ExitAction =
    row("EXIT_PROGRAM_CHANGED", "Registration of an exit program changed", 8);
/// A program that nobody named as belonging there is registered at a watched exit point.
pub static EXIT_PROGRAM_FOREIGN: ExitAction =
    row("EXIT_PROGRAM_FOREIGN", "Foreign exit program at a watched exit point", 8);
/// An exit point at which one of our programs is expected has none.
pub static EXIT_PROGRAM_MISSING: ExitAction =
    row("EXIT_PROGRAM_MISSING", "Expected exit program is not registered", 8);

/// What becomes of registered programs.
static REGISTRY: [&ExitAction; 5] = [
    &EXIT_PROGRAM_ADDED,
    &EXIT_PROGRAM_REMOVED,
    &EXIT_PROGRAM_CHANGED,
    &EXIT_PROGRAM_FOREIGN,
    &EXIT_PROGRAM_MISSING,
];

/// Requests, one row a function of a server. The last row of each server is for functions that a later release adds.
static REQUESTS: &[ExitAction] = &[
    // FTP, REXEC, TFTP.
    row("EXIT_FTP_CLIENT_SESSION", "FTP client: session started", 5),
    row("EXIT_FTP_CLIENT_CREATE_DIRECTORY", "FTP client: directory to be created", 4),
    row("EXIT_FTP_CLIENT_DELETE_DIRECTORY", "FTP client: directory to be deleted", 5),
    row("EXIT_FTP_CLIENT_SET_DIRECTORY", "FTP client: current directory to be set", 3),
    row("EXIT_FTP_CLIENT_LIST", "FTP client: files to be listed", 3),
    row("EXIT_FTP_CLIENT_DELETE", "FTP client: file to be deleted", 5),
    row("EXIT_FTP_CLIENT_SEND", "FTP client: file to be sent from the partition", 6),
    row("EXIT_FTP_CLIENT_RECEIVE", "FTP client: file to be received by the partition", 5),
    row("EXIT_FTP_CLIENT_RENAME", "FTP client: file to be renamed", 4),
    row("EXIT_FTP_CLIENT_COMMAND", "FTP client: command to be run", 6),
    row("EXIT_FTP_CLIENT_REQUEST", "FTP client: other request", 4),
    row("EXIT_FTP_SERVER_SESSION", "FTP server: session started", 4),
    row("EXIT_FTP_SERVER_CREATE_DIRECTORY", "FTP server: directory to be created", 4),
    row("EXIT_FTP_SERVER_DELETE_DIRECTORY", "FTP server: directory to be deleted", 6),
    row("EXIT_FTP_SERVER_SET_DIRECTORY", "FTP server: current directory to be set", 3),
    row("EXIT_FTP_SERVER_LIST", "FTP server: files to be listed", 3),
    row("EXIT_FTP_SERVER_DELETE", "FTP server: file to be deleted", 6),
    row("EXIT_FTP_SERVER_SEND", "FTP server: file to be sent from the partition", 5),
    row("EXIT_FTP_SERVER_RECEIVE", "FTP server: file to be received by the partition", 5),
    row("EXIT_FTP_SERVER_RENAME", "FTP server: file to be renamed", 5),
    row("EXIT_FTP_SERVER_COMMAND", "FTP server: command to be run", 7),
    row("EXIT_FTP_SERVER_REQUEST", "FTP server: other request", 4),
    row("EXIT_FTP_LOGON", "FTP server: logon to be checked", 4),
    row("EXIT_REXEC_SESSION", "REXEC server: session started", 5),
    row("EXIT_REXEC_COMMAND", "REXEC server: command to be run", 7),
    row("EXIT_REXEC_REQUEST", "REXEC server: other request", 5),
    row("EXIT_REXEC_LOGON", "REXEC server: logon to be checked", 5),
    row("EXIT_REXEC_SELECT", "REXEC server: command processor to be chosen", 5),
    row("EXIT_TFTP_SEND", "TFTP server: file to be sent from the partition", 6),
    row("EXIT_TFTP_RECEIVE", "TFTP server: file to be received by the partition", 6),
    row("EXIT_TFTP_REQUEST", "TFTP server: other request", 5),
    // Telnet, sign-on server.
    row("EXIT_TELNET_START", "Telnet server: session to be started", 3),
    row("EXIT_TELNET_END", "Telnet server: session ended", 2),
    row("EXIT_SIGNON_INFO", "Sign-on server: sign-on to be checked", 3),
    row("EXIT_SIGNON_CHANGE_PASSWORD", "Sign-on server: password to be changed", 5),
    row("EXIT_SIGNON_REQUEST", "Sign-on server: other request", 3),
    // Database server.
    row("EXIT_DATABASE_START", "Database server: connection to be opened", 3),
    row("EXIT_SQL_PREPARE", "SQL: statement to be prepared", 4),
    row("EXIT_SQL_DESCRIBE", "SQL: statement to be described", 3),
    row("EXIT_SQL_DESCRIBE_MARKERS", "SQL: parameter markers to be described", 3),
    row("EXIT_SQL_PREPARE_DESCRIBE", "SQL: statement to be prepared and described", 4),
    row("EXIT_SQL_OPEN_DESCRIBE", "SQL: cursor to be opened and described", 3),
    row("EXIT_SQL_EXECUTE", "SQL: statement to be run", 4),
    row("EXIT_SQL_EXECUTE_IMMEDIATE", "SQL: statement to be run at once", 4),
    row("EXIT_SQL_COMMIT", "SQL: changes to be committed", 2),
    row("EXIT_SQL_ROLLBACK", "SQL: changes to be rolled back", 2),
    row("EXIT_SQL_CONNECT", "SQL: database to be connected to", 4),
    row("EXIT_SQL_CLOSE", "SQL: cursor to be closed", 2),
    row("EXIT_SQL_FETCH", "SQL: rows to be fetched", 2),
    row("EXIT_SQL_STREAM_FETCH", "SQL: rows to be fetched as a stream", 2),
    row("EXIT_SQL_PREPARE_EXECUTE", "SQL: statement to be prepared and run", 4),
    row("EXIT_SQL_OPEN_FETCH", "SQL: cursor to be opened and fetched from", 3),
    row("EXIT_SQL_PACKAGE_CREATE", "SQL: package to be created", 4),
    row("EXIT_SQL_PACKAGE_CLEAR", "SQL: package to be cleared", 4),
    row("EXIT_SQL_PACKAGE_DELETE", "SQL: package to be deleted", 4),
    row("EXIT_SQL_EXECUTE_OPEN", "SQL: statement to be run or cursor to be opened", 4),
    row("EXIT_SQL_STREAM_FETCH_END", "SQL: stream of rows to be ended", 2),
    row("EXIT_SQL_PACKAGE_INFO", "SQL: package information to be returned", 3),
    row("EXIT_SQL_REQUEST", "SQL: other request", 4),
    row("EXIT_NATIVE_CREATE_SOURCE_FILE", "Database server: source file to be created", 5),
    row("EXIT_NATIVE_CREATE_FILE", "Database server: file to be created after another", 5),
    row("EXIT_NATIVE_ADD_MEMBER", "Database server: member to be added", 4),
    row("EXIT_NATIVE_CLEAR_MEMBER", "Database server: member to be cleared", 6),
    row("EXIT_NATIVE_DELETE_MEMBER", "Database server: member to be deleted", 6),
    row("EXIT_NATIVE_OVERRIDE", "Database server: file to be overridden", 4),
    row("EXIT_NATIVE_DELETE_OVERRIDE", "Database server: override to be deleted", 3),
    row("EXIT_NATIVE_CREATE_SAVE_FILE", "Database server: save file to be created", 5),
    row("EXIT_NATIVE_CLEAR_SAVE_FILE", "Database server: save file to be cleared", 6),
    row("EXIT_NATIVE_DELETE_FILE", "Database server: file to be deleted", 7),
    row("EXIT_NATIVE_ADD_LIBRARIES", "Database server: libraries to be added to the list", 3),
    row("EXIT_NATIVE_REQUEST", "Database server: other file request", 4),
    row("EXIT_OBJECT_INFO_LIBRARIES", "Database server: libraries to be listed", 3),
    row("EXIT_OBJECT_INFO_DATABASES", "Database server: databases to be listed", 3),
    row("EXIT_OBJECT_INFO_PACKAGES", "Database server: SQL packages to be listed", 3),
    row("EXIT_OBJECT_INFO_STATEMENTS", "Database server: statements of a package to be listed", 3),
    row("EXIT_OBJECT_INFO_FILES", "Database server: files to be listed", 3),
    row("EXIT_OBJECT_INFO_MEMBERS", "Database server: members to be listed", 3),
    row("EXIT_OBJECT_INFO_FORMATS", "Database server: record formats to be listed", 3),
    row("EXIT_OBJECT_INFO_FIELDS", "Database server: fields to be listed", 3),
    row("EXIT_OBJECT_INFO_INDEXES", "Database server: indexes to be listed", 3),
    row("EXIT_OBJECT_INFO_SPECIAL_COLUMNS", "Database server: special columns to be listed", 3),
    row("EXIT_OBJECT_INFO_FOREIGN_KEYS", "Database server: foreign keys to be listed", 3),
    row("EXIT_OBJECT_INFO_PRIMARY_KEYS", "Database server: primary keys to be listed", 3),
    row("EXIT_OBJECT_INFO_REQUEST", "Database server: other information request", 3),
    // Remote command, data queue, file, central and print servers.
    row("EXIT_REMOTE_COMMAND", "Remote command server: command to be run", 6),
    row("EXIT_REMOTE_PROGRAM", "Remote command server: program to be called", 6),
    row("EXIT_REMOTE_REQUEST", "Remote command server: other request", 6),
    row("EXIT_DATA_QUEUE_QUERY", "Data queue server: attributes to be read", 3),
    row("EXIT_DATA_QUEUE_RECEIVE", "Data queue server: entry to be received", 4),
    row("EXIT_DATA_QUEUE_CREATE", "Data queue server: queue to be created", 5),
    row("EXIT_DATA_QUEUE_DELETE", "Data queue server: queue to be deleted", 6),
    row("EXIT_DATA_QUEUE_SEND", "Data queue server: entry to be sent", 4),
    row("EXIT_DATA_QUEUE_CLEAR", "Data queue server: queue to be cleared", 6),
    row("EXIT_DATA_QUEUE_CANCEL", "Data queue server: pending receive to be cancelled", 3),
    row("EXIT_DATA_QUEUE_PEEK", "Data queue server: entry to be read and left", 4),
    row("EXIT_DATA_QUEUE_REQUEST", "Data queue server: other request", 4),
    row("EXIT_FILE_CHANGE_ATTRIBUTES", "File server: attributes to be changed", 4),
    row("EXIT_FILE_CREATE", "File server: file or directory to be created", 4),
    row("EXIT_FILE_DELETE", "File server: file or directory to be deleted", 6),
    row("EXIT_FILE_LIST", "File server: attributes to be listed", 2),
    row("EXIT_FILE_MOVE", "File server: file to be moved", 5),
    row("EXIT_FILE_OPEN", "File server: file to be opened", 4),
    row("EXIT_FILE_RENAME", "File server: file to be renamed", 5),
    row("EXIT_FILE_CONVERSATION", "File server: conversation to be started", 3),
    row("EXIT_FILE_REQUEST", "File server: other request", 4),
    row("EXIT_CENTRAL_LICENCE_REQUEST", "Central server: licence to be taken", 2),
    row("EXIT_CENTRAL_LICENCE_RELEASE", "Central server: licence to be given back", 2),
    row("EXIT_CENTRAL_LICENCE_INFO", "Central server: licence information to be read", 2),
    row("EXIT_CENTRAL_CLIENT_ACTIVE", "Central server: client became active", 2),
    row("EXIT_CENTRAL_CLIENT_INACTIVE", "Central server: client became inactive", 2),
    row("EXIT_CENTRAL_CONVERSION_MAP", "Central server: conversion map to be read", 2),
    row("EXIT_CENTRAL_REQUEST", "Central server: other request", 2),
    row("EXIT_PRINT_START", "Network print server: session to be started", 3),
    row("EXIT_PRINT_SPOOLED_FILE", "Network print server: spooled file to be processed", 4),
    // DDM and DRDA.
    row("EXIT_DDM_ADD_MEMBER", "DDM: member to be added", 4),
    row("EXIT_DDM_CHANGE", "DDM: file to be changed", 5),
    row("EXIT_DDM_CHANGE_MEMBER", "DDM: member to be changed", 4),
    row("EXIT_DDM_CLEAR", "DDM: member to be cleared", 6),
    row("EXIT_DDM_COMMAND", "DDM: command to be run", 7),
    row("EXIT_DDM_COPY", "DDM: file to be copied", 5),
    row("EXIT_DDM_CREATE", "DDM: file to be created", 5),
    row("EXIT_DDM_DELETE", "DDM: file to be deleted", 7),
    row("EXIT_DDM_EXTRACT", "DDM: file information to be read", 3),
    row("EXIT_DDM_INITIALIZE", "DDM: member to be initialized", 5),
    row("EXIT_DDM_LOAD", "DDM: file to be loaded", 5),
    row("EXIT_DDM_LOCK", "DDM: file to be locked", 4),
    row("EXIT_DDM_MOVE", "DDM: file to be moved", 5),
    row("EXIT_DDM_OPEN", "DDM: file to be opened", 4),
    row("EXIT_DDM_RENAME", "DDM: file to be renamed", 5),
    row("EXIT_DDM_REORGANIZE", "DDM: member to be reorganized", 5),
    row("EXIT_DDM_REMOVE_MEMBER", "DDM: member to be removed", 6),
    row("EXIT_DDM_RENAME_MEMBER", "DDM: member to be renamed", 4),
    row("EXIT_DDM_CHANGE_DATA_AREA", "DDM: data area to be changed", 5),
    row("EXIT_DDM_RETRIEVE_DATA_AREA", "DDM: data area to be read", 4),
    row("EXIT_DDM_SEND_DATA_QUEUE", "DDM: data queue entry to be sent", 4),
    row("EXIT_DDM_RECEIVE_DATA_QUEUE", "DDM: data queue entry to be received", 4),
    row("EXIT_DDM_CLEAR_DATA_QUEUE", "DDM: data queue to be cleared", 6),
    row("EXIT_DDM_REQUEST", "DDM: other request", 5),
    row("EXIT_DRDA_CONNECT", "DRDA: database to be connected to", 4),
    // Sockets, database files.
    row("EXIT_SOCKET_ACCEPT", "Socket: connection to be accepted", 3),
    row("EXIT_SOCKET_CONNECT", "Socket: connection to be made", 3),
    row("EXIT_SOCKET_LISTEN", "Socket: program to listen for connections", 5),
    row("EXIT_DATABASE_OPEN", "Database file to be opened", 3),
];

/// The row of an event id.
#[must_use]
pub fn exit_action(id: &str) -> Option<&'static ExitAction> {
    exit_actions().find(|action| action.id == id)
}

/// All rows.
pub fn exit_actions() -> impl Iterator<Item = &'static ExitAction> {
    REQUESTS.iter().chain(REGISTRY).chain([&EXIT_UNKNOWN])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn ids_and_texts_are_distinct_and_well_formed() {
        let mut ids = HashSet::new();
        let mut texts = HashSet::new();
        for action in exit_actions() {
            assert!(ids.insert(action.id) && texts.insert(action.text), "{}", action.id);
            assert!(action.id.starts_with("EXIT_"), "{}", action.id);
            assert!(action.id.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'), "{}", action.id);
            assert!((1..=10).contains(&action.severity), "{}", action.id);
            assert!(!action.text.contains(['|', '=', '^']) && !action.text.ends_with('.'), "{}", action.text);
            assert_eq!(exit_action(action.id), Some(action));
        }
        assert_eq!(exit_action("EXIT_NOTHING"), None);
    }
}
