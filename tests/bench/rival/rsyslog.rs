//! rsyslog: imfile to omfwd.

use super::Forwarding;

/// Inotify mode, the default of imfile and faster than polling; no limit of lines or bytes a minute, which is
/// the default too; no metadata of the file in each message. The main queue as it comes. The action has a queue
/// of its own, as is advised for forwarding: reading and sending then run side by side, which gave as much as
/// or more than larger batches or more workers of the main queue. One worker of that queue: omfwd has one connection for
/// each, and messages would leave out of order. A full queue makes rsyslog wait, where it would throw messages
/// away after two seconds. Messages up to 64 KiB, so that none is cut.
pub(super) fn configuration(forwarding: &Forwarding<'_>) -> String {
    format!(
        "global(workDirectory=\"{folder}\" maxMessageSize=\"64k\")\n\
         module(load=\"imfile\" mode=\"inotify\")\n\
         input(type=\"imfile\" file=\"{lines}\" tag=\"muster\" addMetadata=\"off\")\n\
         template(name=\"line\" type=\"string\" string=\"%msg%\\n\")\n\
         action(type=\"omfwd\" target=\"127.0.0.1\" port=\"{port}\" protocol=\"tcp\" template=\"line\" \
         tcp_framing=\"traditional\" queue.type=\"LinkedList\" queue.size=\"100000\" \
         queue.dequeueBatchSize=\"1024\" queue.timeoutEnqueue=\"60000\")\n",
        folder = forwarding.folder.display(),
        lines = forwarding.lines.display(),
        port = forwarding.port
    )
}
