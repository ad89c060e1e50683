//! Pure: which rows to ask for, which of those that came are new, and where that leaves the reader.
//!
//! A reader stands at a [`TimedCursor`]: everything before `from_us` is done with, and of the rows from there on `seen`
//! names those that were handed over. A look asks for all rows from `from_us` on, as many as are seen and a batch more,
//! so that rows of one time can fill any number of replies and each still brings something new. Then the beginning of
//! the window follows the clock, some seconds behind it. Rows far ahead of the clock wait until it comes near them.
//!
//! When the partition's clock was set back, rows of the time that comes twice cannot be told by their time. The reader
//! goes back with its window and keeps where it stood before as `doubt_us`. Rows before that are told apart so: what
//! lies ahead of the clock was written before the clock was set back, and is noted as seen before the clock gets there;
//! what lies behind it is looked up in [`Recent`]; anything else is new.

use super::clock::{Moment, TOLERANCE_US};
use super::recent::Recent;
use muster_shared::cursor::{MOST_SEEN, Seen, TimedCursor};
use std::collections::HashMap;

const SECOND_US: i64 = 1_000_000;

/// How far ahead of the clock rows are looked at. After the clock was set back, a reader that does not look for longer
/// than this may hand a row over twice.
const AHEAD_US: i64 = 120 * SECOND_US;

/// A window goes back by this more than the clock was set back: the clock is asked for every 15 s only.
const BACK_US: i64 = 30 * SECOND_US;

/// Rows between two places to go on from.
const MARK_EVERY: usize = 256;

/// A place is renewed after this long without a new row, so that it tells when it was looked at last.
const RENEW_US: i64 = 60 * SECOND_US;

/// Fewer rows than this in a place are no burden.
const HEAVY: usize = 32;

/// A reader that has not looked for longer than this, its own pauses apart, is behind: what vanished meanwhile may
/// never have been read.
const BEHIND_US: i64 = 90 * SECOND_US;

/// What tells a row, and where it lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowKey {
    /// Its local time.
    pub at_us: i64,
    /// Hash of its content, 48 bits.
    pub hash: u64,
}

/// Rows to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// From this time on.
    pub from_us: i64,
    /// Up to and with this time; none: to the end.
    pub to_us: Option<i64>,
    /// So many are wanted at least.
    pub rows: u32,
    /// There is more to be read at once behind `to_us`.
    pub more: bool,
    /// It ends where a slice of time ends.
    pub sliced: bool,
}

/// What came.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'r> {
    /// Rows by rising time, those of one time in the order of the source.
    pub rows: &'r [RowKey],
    /// There are more than these in the range.
    pub full: bool,
    /// The range.
    pub range: Range,
}

/// A row to be handed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TakenRow {
    /// Its place in the reply.
    pub index: usize,
    /// Of rows that are the same in everything: the how manieth, from 1.
    pub nth: u32,
    /// Grows from row to row, also from reply to reply.
    pub sequence: u64,
    /// A place to go on from behind this row.
    pub mark: Option<TimedCursor>,
}

/// What a reply means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// Rows to be handed over, in order.
    pub rows: Vec<TakenRow>,
    /// The place behind them.
    pub last: TimedCursor,
    /// More is to be read at once.
    pub more: bool,
    /// Of the rows that were seen none is there any more.
    pub vanished: bool,
}

impl Taken {
    /// Whether the place is to be kept although there is no new row.
    #[must_use]
    pub fn moved_from(&self, from: &TimedCursor) -> bool {
        self.more
            || self.vanished
            || self.last.doubt_us != from.doubt_us
            || self.last.sequence != from.sequence
            || self.is_lighter_than(from)
            || self.last.looked_us.saturating_sub(from.looked_us).abs() >= RENEW_US
    }

    /// After a burst: every look asks for all rows that the place names, so it is renewed when they become few.
    fn is_lighter_than(&self, from: &TimedCursor) -> bool {
        let (now, before) = (self.last.seen.len(), from.seen.len());
        before >= HEAVY && now * 2 <= before
    }
}

/// The place of a reader ahead, if the reader at `from` can join it. None joins another while either is in doubt about
/// the clock: such a place does not name all that was handed over, so that a row would be missed or come twice. Nor can
/// one be joined whose window begins earlier: it is ahead by its number only, and what lies behind would be read again.
#[must_use]
pub fn to_join<'u>(
    from: &TimedCursor,
    until: Option<&'u TimedCursor>,
    set_back: Option<i64>,
) -> Option<&'u TimedCursor> {
    let sure = set_back.is_none() && from.doubt_us.is_none();
    until.filter(|until| sure && until.doubt_us.is_none() && until.from_us >= from.from_us)
}

/// The rows to ask for from a place on, not beyond the place of a reader ahead. `slice_us` bounds how much time is
/// asked for at once while the reader is behind. `set_back`: the clock was just set back, so that rows of a moment ago
/// lie ahead of it.
#[must_use]
pub fn range(
    from: &TimedCursor,
    until: Option<&TimedCursor>,
    now: &Moment,
    slice_us: Option<i64>,
    batch: u32,
    set_back: bool,
) -> Range {
    let mut to = (!set_back).then_some((now.local_us.saturating_add(AHEAD_US), false));
    let bound = |to: &mut Option<(i64, bool)>, at_us: i64| {
        let is_less = to.is_none_or(|(bound, _)| at_us < bound);
        if is_less {
            *to = Some((at_us, true));
        }
        is_less
    };
    let mut sliced = false;
    if let Some(slice) = slice_us {
        let reached = from.through_us.unwrap_or(from.from_us).max(from.from_us);
        if now.local_us.saturating_sub(reached) > slice {
            sliced = bound(&mut to, reached.saturating_add(slice));
        }
    }
    if let Some(until) = until {
        sliced &= !bound(&mut to, end_of(until));
    }
    let rows = u32::try_from(from.seen.len()).unwrap_or(u32::MAX).saturating_add(batch);
    Range {
        from_us: from.from_us,
        to_us: to.map(|(at_us, _)| at_us.max(from.from_us)),
        rows,
        more: to.is_some_and(|(_, more)| more),
        sliced,
    }
}

/// Up to where a reader has handed over rows. It may be in the middle of the rows of that time: those that it was handed
/// it names.
fn end_of(place: &TimedCursor) -> i64 {
    place.at_us.max(place.from_us)
}

/// A place where reading begins now: the rows that are there already are not wanted.
#[must_use]
pub fn begin(rows: &[RowKey], from_us: i64, now: &Moment, utc: impl Fn(i64) -> i64) -> TimedCursor {
    let newest = rows.last().map_or(now.local_us, |row| row.at_us);
    let mut place = TimedCursor::starting(from_us, now.earliest_us(), now.utc_us);
    place.at_us = newest;
    place.sequence = number_of(utc(newest.min(now.local_us)));
    let member =
        |(index, row): (usize, &RowKey)| Member { at_us: row.at_us, hash: row.hash, index, fresh: false };
    let members: Vec<Member> = rows.iter().enumerate().map(member).collect();
    let window = Window {
        highest: newest.min(now.settled_us).max(from_us),
        latest: newest.min(now.local_us),
        ahead_us: now.local_us + TOLERANCE_US,
    };
    settle(&mut place, rows, &members, Vec::new(), &window);
    place
}

/// A place before the first row of a local time.
#[must_use]
pub fn before(from_us: i64, now: &Moment, utc: impl Fn(i64) -> i64) -> TimedCursor {
    let sequence = number_of(utc(from_us.min(now.local_us)));
    TimedCursor { sequence, ..TimedCursor::starting(from_us, now.earliest_us(), now.utc_us) }
}

/// Numbers of rows grow with their time, so that places can be compared however they came to be; some rows of one
/// microsecond have numbers of their own.
fn number_of(utc_us: i64) -> u64 {
    u64::try_from(utc_us).unwrap_or(0).saturating_mul(1_000)
}

/// The place behind a gap: what was seen is gone, and what is there is new. `set_back`: how far the clock was set back
/// since, where the same look found that too.
#[must_use]
pub fn after_gap(from: &TimedCursor, now: &Moment, set_back_by: Option<i64>) -> TimedCursor {
    let next = TimedCursor {
        looked_us: now.earliest_us(),
        clock_us: now.utc_us,
        seen: Seen::default(),
        ..from.clone()
    };
    match set_back_by {
        Some(back) => set_back(next, from.looked_us, back),
        None => next,
    }
}

/// Decides on a reply to the [`range`] of `from`. `utc` gives the UTC of a local time.
pub fn absorb(
    from: &TimedCursor,
    until: Option<&TimedCursor>,
    reply: Reply<'_>,
    now: &Moment,
    recent: &mut Recent,
    utc: impl Fn(i64) -> i64,
) -> Taken {
    let (ahead, mut until) = (until, until);
    let mut sorted = Sorted::of(from, until, &reply, now, recent, &utc);
    if until.is_some() && (sorted.apart || (reply.full && sorted.rows.is_empty())) {
        // To join a reader that does not know of rows that were handed over here would be to hand them over again; and
        // where a reply holds nothing but rows that are new for both, and has no room for others, to wait for the other
        // reader would be to ask for the same rows for ever.
        until = None;
        sorted = Sorted::of(from, None, &reply, now, recent, &utc);
    }
    let Sorted { mut rows, members, unmet, met, apart: _ } = sorted;
    let to_reaches = |at_us: i64| reply.range.to_us.is_none_or(|to| to >= at_us);
    let judged = !reply.full && from.doubt_us.is_none() && to_reaches(from.at_us);
    let vanished = judged && !from.seen.is_empty() && met == 0;
    let look = Look { from, until, reply, now, members, unmet, vanished };
    for (position, row) in rows.iter_mut().enumerate() {
        if ahead.is_none() {
            // What only a lane that lags was handed says nothing of the others.
            recent.note(reply.rows[row.index].hash);
        }
        if until.is_none() && from.doubt_us.is_none() && (position + 1) % MARK_EVERY == 0 {
            row.mark = Some(look.place_within(row));
        }
    }
    let mut last = match until {
        Some(until) if !reply.full && to_reaches(end_of(until)) => until.clone(),
        Some(_) | None => look.place_after(&rows),
    };
    if let Some(passed) = ahead.filter(|ahead| until.is_none() && !reply.full && to_reaches(end_of(ahead))) {
        // It came as far on its own, so it is not behind any more.
        last.sequence = last.sequence.max(passed.sequence);
    }
    Taken { rows, last, more: reply.full || reply.range.more, vanished }
}

/// The place from which a reader goes on when the clock was set back by `back_us` since it looked at `looked_us`. One
/// that has not come as far as the time that comes twice just reads on.
#[must_use]
pub fn set_back(place: TimedCursor, looked_us: i64, back_us: i64) -> TimedCursor {
    let from_us = looked_us.saturating_sub(back_us).saturating_sub(BACK_US);
    if place.from_us <= from_us {
        return place;
    }
    let doubt = place.doubt_us.map_or(place.from_us, |doubt| doubt.max(place.from_us));
    TimedCursor { from_us, through_us: None, doubt_us: Some(doubt), ..place }
}

/// Whether rows that vanished may never have been read, and the time since which that is not known. `pause_us`: the
/// longest that a reader which keeps up lets the partition alone.
#[must_use]
pub fn lost_since(from: &TimedCursor, now: &Moment, pause_us: i64) -> Option<i64> {
    let away = now.local_us.saturating_sub(from.looked_us).saturating_sub(now.uncertain_us);
    (away > BEHIND_US.saturating_add(pause_us.saturating_mul(2))).then_some(from.at_us)
}

/// A row that the reader has handed over, now or before.
#[derive(Debug, Clone, Copy)]
struct Member {
    at_us: i64,
    hash: u64,
    /// Place in the reply.
    index: usize,
    /// It is handed over now.
    fresh: bool,
}

/// The rows of a reply, sorted by what they are.
struct Sorted {
    rows: Vec<TakenRow>,
    /// By rising time.
    members: Vec<Member>,
    /// Rows that were seen and did not come.
    unmet: Vec<u64>,
    /// How many that were seen came.
    met: usize,
    /// Rows that were seen here are unknown to the reader ahead.
    apart: bool,
}

impl Sorted {
    fn of(
        from: &TimedCursor,
        until: Option<&TimedCursor>,
        reply: &Reply<'_>,
        now: &Moment,
        recent: &Recent,
        utc: &impl Fn(i64) -> i64,
    ) -> Self {
        let mut ours = Handed::by(from, reply.rows);
        let mut theirs = until.map(|until| Handed::by(until, reply.rows));
        let mut occurrences: HashMap<RowPlace, u32> = HashMap::new();
        let mut sorted =
            Self { rows: Vec::new(), members: Vec::new(), unmet: Vec::new(), met: 0, apart: false };
        let mut sequence = from.sequence;
        let asked = |at_us: i64| at_us >= from.from_us && reply.range.to_us.is_none_or(|to| at_us <= to);
        for (index, row) in reply.rows.iter().enumerate().filter(|(_, row)| asked(row.at_us)) {
            let nth = occurrences.entry((row.at_us, row.hash)).or_default();
            *nth += 1;
            let (is_ours, is_theirs) = (
                ours.has(row),
                theirs.as_mut().is_none_or(|theirs| row.at_us < theirs.from_us || theirs.has(row)),
            );
            let mut member = Member { at_us: row.at_us, hash: row.hash, index, fresh: false };
            if is_ours {
                sorted.met += 1;
                sorted.apart |= !is_theirs;
            } else if !is_theirs {
                // New for both: they are read for together.
                continue;
            } else if !is_of_before(from, row, now, recent) {
                sequence = sequence.saturating_add(1).max(number_of(utc(row.at_us)));
                sorted.rows.push(TakenRow { index, nth: *nth, sequence, mark: None });
                member.fresh = true;
            }
            sorted.members.push(member);
        }
        sorted.unmet = ours.rest();
        sorted
    }
}

type RowPlace = (i64, u64);

/// Whether a row that is not among those seen was handed over before the clock was set back.
fn is_of_before(from: &TimedCursor, row: &RowKey, now: &Moment, recent: &Recent) -> bool {
    let doubtful = from.doubt_us.is_some_and(|doubt| row.at_us < doubt)
        && from.through_us.is_none_or(|through| row.at_us > through);
    doubtful && (row.at_us > now.local_us + TOLERANCE_US || recent.is_of_before(row.hash))
}

/// Rows that a reader has handed over, to be met in a reply one by one.
struct Handed {
    from_us: i64,
    rows: HashMap<u64, u32>,
    /// Rows of `from_us` still to come that it knows by their number.
    first: u32,
}

impl Handed {
    fn by(place: &TimedCursor, reply: &[RowKey]) -> Self {
        let mut rows: HashMap<u64, u32> = HashMap::new();
        for hash in place.seen.rows.iter() {
            *rows.entry(*hash).or_default() += 1;
        }
        let count = place.seen.first as usize;
        let of_first = reply.iter().filter(|row| row.at_us == place.from_us).take(count);
        let (there, digest) =
            of_first.fold((0, 0_u64), |(there, sum), row| (there + 1, sum.wrapping_add(row.hash)));
        let same = there == count && digest == place.seen.digest;
        Self { from_us: place.from_us, rows, first: if same { place.seen.first } else { 0 } }
    }

    fn has(&mut self, row: &RowKey) -> bool {
        if row.at_us == self.from_us && self.first > 0 {
            self.first -= 1;
            return true;
        }
        match self.rows.get_mut(&row.hash) {
            Some(count) if *count > 0 => {
                *count -= 1;
                true
            }
            Some(_) | None => false,
        }
    }

    fn rest(self) -> Vec<u64> {
        let mut rows: Vec<u64> = self
            .rows
            .into_iter()
            .flat_map(|(hash, count)| std::iter::repeat_n(hash, count as usize))
            .collect();
        // Places of two readers that saw the same are the same. A hash does not tell the time of its row.
        rows.sort_unstable();
        rows
    }
}

/// A reply and what it was found to hold.
struct Look<'l> {
    from: &'l TimedCursor,
    until: Option<&'l TimedCursor>,
    reply: Reply<'l>,
    now: &'l Moment,
    members: Vec<Member>,
    unmet: Vec<u64>,
    vanished: bool,
}

impl Look<'_> {
    fn place(&self, through_us: Option<i64>, at_us: i64, sequence: u64) -> TimedCursor {
        TimedCursor {
            from_us: self.from.from_us,
            through_us,
            doubt_us: self
                .from
                .doubt_us
                .filter(|doubt| through_us.is_some_and(|through| through.saturating_add(1) < *doubt)),
            at_us,
            looked_us: self.now.earliest_us(),
            clock_us: self.now.utc_us,
            sequence,
            seen: Seen::default(),
        }
    }

    /// The place behind the whole reply.
    fn place_after(&self, rows: &[TakenRow]) -> TimedCursor {
        let Self { from, reply, now, .. } = self;
        let end = reply.rows.last().filter(|_| reply.full).map(|row| row.at_us);
        let newest = rows.iter().map(|row| reply.rows[row.index].at_us).max();
        let at_us = if self.vanished {
            // What stood for it is gone.
            newest.unwrap_or(now.settled_us).max(from.from_us)
        } else {
            newest.map_or(from.at_us, |newest| newest.max(from.at_us))
        };
        let through_us = end.map(|end| end.saturating_sub(1)).or(reply.range.to_us);
        let sequence = rows.last().map_or(from.sequence, |row| row.sequence);
        let mut place = self.place(through_us, at_us, sequence);
        // Nothing beyond this was read whole.
        let whole = [end, reply.range.to_us, self.until.map(|until| until.from_us)];
        let whole = whole.into_iter().flatten().min().unwrap_or(i64::MAX);
        let window = Window {
            highest: now.settled_us.min(whole).min(at_us).max(from.from_us),
            latest: now.local_us.min(whole),
            ahead_us: now.local_us + TOLERANCE_US,
        };
        // Those that were not met may lie beyond what came; otherwise they are gone.
        let beyond = reply.full || reply.range.to_us.is_some_and(|to| to < from.at_us);
        let extra = if beyond || from.doubt_us.is_some() { self.unmet.clone() } else { Vec::new() };
        settle(&mut place, reply.rows, &self.members, extra, &window);
        place
    }

    /// The place behind one row of the reply.
    fn place_within(&self, row: &TakenRow) -> TimedCursor {
        let Self { from, reply, now, .. } = self;
        let at_us = reply.rows[row.index].at_us;
        let mut place = self.place(Some(at_us.saturating_sub(1)), from.at_us.max(at_us), row.sequence);
        // What comes behind it in the reply is not handed over yet, but for what was before.
        let done = |member: &&Member| !member.fresh || member.index <= row.index;
        let done: Vec<Member> = self.members.iter().filter(done).copied().collect();
        let window = Window {
            highest: now.settled_us.min(at_us).max(from.from_us),
            latest: now.local_us.min(at_us),
            ahead_us: now.local_us + TOLERANCE_US,
        };
        settle(&mut place, reply.rows, &done, self.unmet.clone(), &window);
        place
    }
}

/// Where a window may begin.
struct Window {
    /// Here, if all that was handed over from here on can be named.
    highest: i64,
    /// Here at the latest.
    latest: i64,
    /// Rows from here on were written before the clock was set back, as long as that is in doubt.
    ahead_us: i64,
}

/// Begins the window of `place` and names what was handed over from there on. Where that is too much, the window
/// begins later: rows of an earlier time that show up only now would be missed.
fn settle(
    place: &mut TimedCursor,
    reply: &[RowKey],
    members: &[Member],
    mut extra: Vec<u64>,
    window: &Window,
) {
    extra.truncate(MOST_SEEN / 2);
    let room = MOST_SEEN - extra.len();
    place.from_us = window.highest;
    let mut end = members.len();
    let start = |from_us: i64| members.partition_point(|member| member.at_us < from_us);
    if place.doubt_us.is_some() {
        // They are noted again when the clock is nearer.
        while end - start(place.from_us) > room && members[end - 1].at_us > window.ahead_us {
            let cut = members[end - 1].at_us;
            place.through_us = Some(cut.saturating_sub(1));
            end = start(cut);
        }
    }
    let mut numbered = 0;
    if end.saturating_sub(start(place.from_us)) > room {
        let fits = end - room;
        // The first time of which all rows fit, else the last one.
        let next = members[fits..end].iter().find(|member| member.at_us > members[fits - 1].at_us);
        let next = next.unwrap_or(&members[end - 1]).at_us;
        place.from_us = next.min(window.latest).max(window.highest);
        if end - start(place.from_us) > room {
            numbered = number_first(place, reply, &members[start(place.from_us)..end]);
        }
    }
    let named = members[start(place.from_us).min(end)..end].iter().skip(numbered).map(|member| member.hash);
    let mut rows: Vec<u64> = named.chain(extra).collect();
    rows.sort_unstable();
    place.seen.rows = rows.into();
}

/// Tells the handed-over rows of the window's first time by their number, and says how many; none where they are not
/// the first ones of that time.
fn number_first(place: &mut TimedCursor, reply: &[RowKey], members: &[Member]) -> usize {
    let begin = reply.partition_point(|row| row.at_us < place.from_us);
    let first: Vec<&Member> = members.iter().take_while(|member| member.at_us == place.from_us).collect();
    if first.iter().zip(begin..).any(|(member, index)| member.index != index) {
        return 0;
    }
    place.seen.first = u32::try_from(first.len()).unwrap_or(u32::MAX);
    place.seen.digest = first.iter().fold(0, |sum, member| sum.wrapping_add(member.hash));
    first.len()
}

#[cfg(test)]
mod tests;
