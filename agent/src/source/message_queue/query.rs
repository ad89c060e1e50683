//! The SQL text. Every name that stands in it was checked by [`super::Settings`].

use super::Settings;

/// Columns that not every level has. What a level lacks is asked for as an empty text.
pub const OPTIONAL: [&str; 3] = ["MESSAGE_FILE_LIBRARY", "MESSAGE_FILE_NAME", "MESSAGE_TOKENS"];

/// Which columns the service has: the view of the same name has the same ones.
pub const COLUMNS: &str = "select COLUMN_NAME from QSYS2.SYSCOLUMNS2 where TABLE_SCHEMA = 'QSYS2' \
    and TABLE_NAME = 'MESSAGE_QUEUE_INFO'";

/// Messages of a span of time, in its order. Parameters: first and last time, both included.
#[must_use]
pub fn messages(settings: &Settings, columns: &[String], rows: u32) -> String {
    let has = |name: &str| columns.iter().any(|column| column == name);
    let column = |name: &str| if has(name) { format!("Q.{name}") } else { format!("'' as {name}") };
    let tokens = if has(OPTIONAL[2]) { "hex(Q.MESSAGE_TOKENS) as TOKENS" } else { "'' as TOKENS" };
    format!(
        "select Q.MESSAGE_TIMESTAMP, Q.MESSAGE_ID, Q.MESSAGE_TYPE, Q.MESSAGE_SUBTYPE, Q.SEVERITY, Q.FROM_USER, \
         Q.FROM_JOB, Q.FROM_PROGRAM, {}, {}, {tokens}, Q.MESSAGE_TEXT, Q.MESSAGE_SECOND_LEVEL_TEXT, \
         hex(Q.MESSAGE_KEY) as KEY, hex(Q.ASSOCIATED_MESSAGE_KEY) as LINKED from {} \
         where Q.MESSAGE_TIMESTAMP >= cast(? as timestamp) and Q.MESSAGE_TIMESTAMP <= cast(? as timestamp) \
         order by Q.MESSAGE_TIMESTAMP, Q.MESSAGE_KEY fetch first {rows} rows only",
        column(OPTIONAL[0]),
        column(OPTIONAL[1]),
        function(settings)
    )
}

/// Key, identifier and text of the messages with so many keys, by time. Parameters: the keys, hexadecimal.
#[must_use]
pub fn by_keys(settings: &Settings, keys: usize) -> String {
    let marks = vec!["?"; keys].join(", ");
    format!(
        "select hex(Q.MESSAGE_KEY) as KEY, Q.MESSAGE_ID, Q.MESSAGE_TEXT from {} where hex(Q.MESSAGE_KEY) in ({marks}) \
         order by Q.MESSAGE_TIMESTAMP",
        function(settings)
    )
}

/// Whether the queue exists.
#[must_use]
pub fn exists(settings: &Settings) -> String {
    format!(
        "select O.OBJNAME from table(QSYS2.OBJECT_STATISTICS('{}', '*MSGQ', '{}')) as O fetch first 1 rows only",
        settings.library, settings.name
    )
}

fn function(settings: &Settings) -> String {
    format!(
        "table(QSYS2.MESSAGE_QUEUE_INFO(QUEUE_LIBRARY => '{}', QUEUE_NAME => '{}')) as Q",
        settings.library, settings.name
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_shared::policy::model::MessageQueueSpec;

    #[test]
    fn the_statements_are_these_texts() {
        let settings = Settings::new(&MessageQueueSpec::default()).unwrap();
        let all: Vec<String> = OPTIONAL.iter().map(ToString::to_string).collect();
        let from =
            "from table(QSYS2.MESSAGE_QUEUE_INFO(QUEUE_LIBRARY => 'QSYS', QUEUE_NAME => 'QSYSOPR')) as Q";
        assert_eq!(
            messages(&settings, &all, 500),
            format!(
                "select Q.MESSAGE_TIMESTAMP, Q.MESSAGE_ID, Q.MESSAGE_TYPE, Q.MESSAGE_SUBTYPE, Q.SEVERITY, Q.FROM_USER, \
                 Q.FROM_JOB, Q.FROM_PROGRAM, Q.MESSAGE_FILE_LIBRARY, Q.MESSAGE_FILE_NAME, hex(Q.MESSAGE_TOKENS) as \
                 TOKENS, Q.MESSAGE_TEXT, Q.MESSAGE_SECOND_LEVEL_TEXT, hex(Q.MESSAGE_KEY) as KEY, \
                 hex(Q.ASSOCIATED_MESSAGE_KEY) as LINKED {from} where Q.MESSAGE_TIMESTAMP >= cast(? as timestamp) and \
                 Q.MESSAGE_TIMESTAMP <= cast(? as timestamp) order by Q.MESSAGE_TIMESTAMP, Q.MESSAGE_KEY fetch first \
                 500 rows only"
            )
        );
        let old = messages(&settings, &[], 500);
        assert!(
            old.contains("'' as MESSAGE_FILE_LIBRARY, '' as MESSAGE_FILE_NAME, '' as TOKENS, Q."),
            "{old}"
        );
        assert_eq!(
            by_keys(&settings, 2),
            format!(
                "select hex(Q.MESSAGE_KEY) as KEY, Q.MESSAGE_ID, Q.MESSAGE_TEXT {from} where hex(Q.MESSAGE_KEY) in \
                 (?, ?) order by Q.MESSAGE_TIMESTAMP"
            )
        );
        assert!(exists(&settings).contains("OBJECT_STATISTICS('QSYS', '*MSGQ', 'QSYSOPR')"));
    }
}
