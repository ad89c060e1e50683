//! syslog-ng: `file()` to `network()`.

use super::Forwarding;
use muster_tests::receiver::syslog_ng::preamble;

/// Flow control, without which lines are lost as soon as the receiver is slower than the file. Messages are
/// not parsed and leave as they came. Up to 1,000 lines are read and sent at once, and the window of flow control
/// has room for many such reads, as its guide advises for throughput. That costs memory: with reads of 100 lines
/// and a window of 10,000 it takes a sixth of it.
pub(super) fn configuration(forwarding: &Forwarding<'_>) -> String {
    format!(
        "{preamble}\
         options {{ stats-freq(0); log-msg-size(65536); threaded(yes); }};\n\
         source lines {{ file(\"{lines}\" flags(no-parse) log-fetch-limit(1000) log-iw-size(100000)); }};\n\
         destination receiver {{ network(\"127.0.0.1\" port({port}) transport(\"tcp\") template(\"$MSG\\n\") \
         flush-lines(1000) log-fifo-size(200000)); }};\n\
         log {{ source(lines); destination(receiver); flags(flow-control); }};\n",
        preamble = preamble(),
        lines = forwarding.lines.display(),
        port = forwarding.port
    )
}
