//! What follows from a reply that brought nothing new. Pure, beside [`next`](super::next).

/// What was asked, and what is known of the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Empty {
    /// Sequence that was read from: all up to it is handed over.
    pub from: u64,
    /// Not to be read beyond: the place of the next lane ahead in this receiver.
    pub limit: Option<u64>,
    /// The reply held rows, all beyond the limit.
    pub cut: bool,
    /// The reply held as many rows as were asked for, so there may be more.
    pub full: bool,
    /// Whether more may be written to the receiver.
    pub attached: bool,
    /// Sequence of the receiver's last entry as of before the call: the call saw all up to it.
    pub known_last: u64,
    /// Whether the catalogue is too new to be asked again.
    pub recent: bool,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum After {
    /// Nothing wanted lies up to this sequence: go on from there.
    Pass(u64),
    /// Nothing new for now.
    Idle,
    /// Look at the catalogue, in case the end of the receiver was not seen.
    Look,
    /// The receiver is read to its end.
    Exhausted,
    /// A full reply without anything new cannot be: the partition did not begin where it was told to.
    Nonsense,
}

/// From this many unwanted entries on they are passed over, so that they are not searched again at each poll.
const PASSED_OVER: u64 = 100;

/// What follows from a reply that brought nothing new.
#[must_use]
pub fn after(reply: &Empty) -> After {
    if let (true, Some(limit)) = (reply.cut, reply.limit) {
        // Rows come in order: the first one lies beyond the limit, so nothing wanted lies before it. The entry
        // at the limit itself need not be among the rows (filtered, or not shown).
        return After::Pass(limit);
    }
    if reply.full {
        return After::Nonsense;
    }
    if !reply.attached {
        return After::Exhausted;
    }
    let reach = reply.limit.map_or(reply.known_last, |limit| limit.min(reply.known_last));
    let joins = reply.limit == Some(reach) && reach > reply.from;
    if joins || reach.saturating_sub(reply.from) >= PASSED_OVER {
        return After::Pass(reach);
    }
    if reply.recent { After::Idle } else { After::Look }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUIET: Empty = Empty {
        from: 950,
        limit: None,
        cut: false,
        full: false,
        attached: true,
        known_last: 950,
        recent: true,
    };

    #[test]
    fn each_empty_reply_has_its_consequence() {
        let limit = Some(1_000);
        let cases = [
            ("quiet", QUIET, After::Idle),
            ("quiet for long", Empty { recent: false, ..QUIET }, After::Look),
            ("detached", Empty { attached: false, ..QUIET }, After::Exhausted),
            (
                "detached, unwanted at the end",
                Empty { attached: false, known_last: 5_000, ..QUIET },
                After::Exhausted,
            ),
            // All rows lie beyond the lane ahead, which stands at an entry that is not shown.
            ("limit", Empty { limit, cut: true, known_last: 1_003, ..QUIET }, After::Pass(1_000)),
            ("limit, detached", Empty { limit, cut: true, attached: false, ..QUIET }, After::Pass(1_000)),
            ("limit, full", Empty { limit, cut: true, full: true, ..QUIET }, After::Pass(1_000)),
            ("limit, nothing beyond", Empty { limit, known_last: 1_000, ..QUIET }, After::Pass(1_000)),
            ("limit, not seen yet", Empty { limit, known_last: 990, ..QUIET }, After::Idle),
            // Only the entry that was read before, and more may follow.
            ("full", Empty { full: true, ..QUIET }, After::Nonsense),
            ("full, detached", Empty { full: true, attached: false, ..QUIET }, After::Nonsense),
            // Nothing of the wanted types among many.
            ("rare", Empty { known_last: 1_050, ..QUIET }, After::Pass(1_050)),
            ("rare, soon searched again", Empty { known_last: 1_049, ..QUIET }, After::Idle),
            ("rare, limit", Empty { limit: Some(2_000), known_last: 9_000, ..QUIET }, After::Pass(2_000)),
            ("catalogue behind", Empty { known_last: 10, ..QUIET }, After::Idle),
        ];
        for (name, reply, expected) in cases {
            assert_eq!(after(&reply), expected, "{name}");
        }
    }
}
