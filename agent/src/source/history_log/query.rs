//! The SQL text.

/// Messages of a span of time, in its order. Parameters: first and last time, both included, and the first again: should
/// the service begin at a whole second, messages before the place would fill the reply.
///
/// ORDINAL_POSITION is numbered anew in each call; it only keeps the order among messages of one time. HEX of the
/// tokens is the same on all versions of the server, while raw bytes are not.
#[must_use]
pub fn messages(rows: u32) -> String {
    format!(
        "select H.MESSAGE_TIMESTAMP, H.MESSAGE_ID, H.MESSAGE_TYPE, H.MESSAGE_SUBTYPE, H.SEVERITY, H.FROM_USER, \
         H.FROM_JOB, H.FROM_PROGRAM, H.MESSAGE_LIBRARY, H.MESSAGE_FILE, hex(H.MESSAGE_TOKENS) as TOKENS, \
         H.MESSAGE_TEXT, H.MESSAGE_SECOND_LEVEL_TEXT from table(QSYS2.HISTORY_LOG_INFO(\
         START_TIME => cast(? as timestamp), END_TIME => cast(? as timestamp))) as H \
         where H.MESSAGE_TIMESTAMP >= cast(? as timestamp) order by H.MESSAGE_TIMESTAMP, H.ORDINAL_POSITION fetch first {rows} rows only"
    )
}

/// The oldest message that is still there. Without an order, so that the first row ends the reading.
pub const OLDEST: &str = "select H.MESSAGE_TIMESTAMP from table(QSYS2.HISTORY_LOG_INFO(\
    START_TIME => cast('1970-01-01-00.00.00.000000' as timestamp))) as H fetch first 1 rows only";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_is_this_text() {
        assert_eq!(
            messages(1_000),
            "select H.MESSAGE_TIMESTAMP, H.MESSAGE_ID, H.MESSAGE_TYPE, H.MESSAGE_SUBTYPE, H.SEVERITY, H.FROM_USER, \
             H.FROM_JOB, H.FROM_PROGRAM, H.MESSAGE_LIBRARY, H.MESSAGE_FILE, hex(H.MESSAGE_TOKENS) as TOKENS, \
             H.MESSAGE_TEXT, H.MESSAGE_SECOND_LEVEL_TEXT from table(QSYS2.HISTORY_LOG_INFO(START_TIME => cast(? as \
             timestamp), END_TIME => cast(? as timestamp))) as H where H.MESSAGE_TIMESTAMP >= cast(? as \
             timestamp) order by H.MESSAGE_TIMESTAMP, H.ORDINAL_POSITION fetch first 1000 rows only"
        );
    }
}
