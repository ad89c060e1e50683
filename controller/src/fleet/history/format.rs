//! The bytes of a history segment. Pure.
//!
//! A segment holds one hour: a head, then frames. A frame is its kind, the lengths of its index and its body, a
//! CRC-32 over the index, the index, the body. Names and agents get numbers when they first appear (frames `N` and
//! `A`, without body). A frame `M` is one moment: its index has the sums over the fleet and, for every sixteen
//! agents, where their rows lie in the body and their CRC-32; so one agent is found by reading the index and a few
//! hundred bytes. Numbers are varints; what is 0 is left out.

use muster_proto::api::AgentState;

/// What every segment begins with.
pub(super) const MAGIC: &[u8; 8] = b"MUSTHST1";
/// Bytes of the head: magic and the hour.
pub(super) const HEAD: usize = 12;
/// Bytes before an index: kind, two lengths, CRC.
pub(super) const FRAME_HEAD: usize = 13;
/// Agents whose rows are found together.
pub(super) const GROUP: usize = 16;
/// Longest index or body that is read: far above what 20,000 agents need.
pub(super) const MAX_FRAME: u32 = 64 * 1024 * 1024;

/// Kinds of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// New names.
    Names,
    /// New agents.
    Agents,
    /// A moment.
    Moment,
}

impl Kind {
    pub(super) const fn byte(self) -> u8 {
        match self {
            Self::Names => b'N',
            Self::Agents => b'A',
            Self::Moment => b'M',
        }
    }

    pub(super) const fn of(byte: u8) -> Option<Self> {
        match byte {
            b'N' => Some(Self::Names),
            b'A' => Some(Self::Agents),
            b'M' => Some(Self::Moment),
            _ => None,
        }
    }
}

/// What one source or destination did in the span before a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// Number of its name.
    pub name: u32,
    /// A destination.
    pub destination: bool,
    /// Received, kept, dropped; a destination's deliveries are in the first.
    pub counts: [u64; 3],
    /// Lag in milliseconds; kept to a tenth of a second.
    pub lag_ms: u64,
}

/// What one agent did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its number.
    pub slot: u32,
    /// Its state.
    pub state: AgentState,
    /// Its sources and destinations.
    pub components: Vec<Counts>,
}

/// Sums over the fleet at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Seconds since the beginning of the hour.
    pub second: u64,
    /// Seconds that the counts cover.
    pub span: u64,
    /// Agents with a row.
    pub agents: u64,
    /// Received, kept, dropped, delivered.
    pub counts: [u64; 4],
    /// Greatest lag in milliseconds.
    pub lag_ms: u64,
}

/// Where the rows of a group lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) offset: usize,
    pub(super) length: usize,
    pub(super) crc: u32,
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads from the front of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reader<'b>(pub(super) &'b [u8]);

impl<'b> Reader<'b> {
    pub(super) fn take(&mut self, length: usize) -> Option<&'b [u8]> {
        let (head, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(head)
    }

    pub(super) fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    pub(super) fn varint(&mut self) -> Option<u64> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }
}

/// Head of a segment.
pub(super) fn head(hour: u32) -> Vec<u8> {
    let mut out = MAGIC.to_vec();
    out.extend_from_slice(&hour.to_le_bytes());
    out
}

/// A whole frame.
pub(super) fn frame(kind: Kind, index: &[u8], body: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(FRAME_HEAD + index.len() + body.len());
    out.push(kind.byte());
    // Bounded by the number of agents; a frame that is larger than 4 GiB cannot be made of 20,000.
    out.extend_from_slice(&(index.len() as u32).to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    out.extend_from_slice(&crc32fast::hash(index).to_le_bytes());
    out.extend_from_slice(index);
    out.extend_from_slice(body);
    out
}

/// Kind, length of the index, length of the body, CRC of the index.
pub(super) fn frame_head(bytes: &[u8; FRAME_HEAD]) -> Option<(Kind, u32, u32, u32)> {
    let mut reader = Reader(bytes);
    let kind = Kind::of(reader.byte()?)?;
    let (index, body, crc) = (reader.u32()?, reader.u32()?, reader.u32()?);
    (index <= MAX_FRAME && body <= MAX_FRAME).then_some((kind, index, body, crc))
}

/// Names by their order.
pub(super) fn names(names: &[&str]) -> Vec<u8> {
    let mut out = Vec::new();
    for name in names {
        put_varint(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
    }
    out
}

pub(super) fn read_names(index: &[u8]) -> Option<Vec<String>> {
    let mut reader = Reader(index);
    let mut names = Vec::new();
    while !reader.0.is_empty() {
        let length = usize::try_from(reader.varint()?).ok()?;
        names.push(String::from_utf8(reader.take(length)?.to_vec()).ok()?);
    }
    Some(names)
}

/// Index and body of a moment. Rows are in the order of their slots.
pub(super) fn moment(sums: &Sums, rows: &[Row]) -> (Vec<u8>, Vec<u8>) {
    let groups = rows.last().map_or(0, |row| row.slot as usize / GROUP + 1);
    let mut index = Vec::with_capacity(64 + groups * 7);
    for value in [sums.second, sums.span, sums.agents].into_iter().chain(sums.counts).chain([sums.lag_ms]) {
        put_varint(&mut index, value);
    }
    put_varint(&mut index, groups as u64);
    let mut body = Vec::with_capacity(rows.len() * 32);
    let mut rest = rows;
    for group in 0..groups {
        let count = rest.iter().take_while(|row| row.slot as usize / GROUP == group).count();
        let (mine, others) = rest.split_at(count);
        rest = others;
        let start = body.len();
        for row in mine {
            put_row(&mut body, row);
        }
        put_varint(&mut index, (body.len() - start) as u64);
        index.extend_from_slice(&crc32fast::hash(&body[start..]).to_le_bytes());
    }
    (index, body)
}

/// Sums, and where each group lies.
pub(super) fn read_moment(index: &[u8]) -> Option<(Sums, Vec<Place>)> {
    let mut reader = Reader(index);
    let sums = read_sums(&mut reader)?;
    let groups = reader.varint()?;
    let mut places = Vec::new();
    let mut offset = 0;
    for _ in 0..groups {
        let length = usize::try_from(reader.varint()?).ok()?;
        places.push(Place { offset, length, crc: reader.u32()? });
        offset = offset.checked_add(length)?;
    }
    Some((sums, places))
}

/// The sums alone.
pub(super) fn read_sums(reader: &mut Reader<'_>) -> Option<Sums> {
    Some(Sums {
        second: reader.varint()?,
        span: reader.varint()?,
        agents: reader.varint()?,
        counts: [reader.varint()?, reader.varint()?, reader.varint()?, reader.varint()?],
        lag_ms: reader.varint()?,
    })
}

const fn state_code(state: AgentState) -> u8 {
    match state {
        AgentState::Healthy => 0,
        AgentState::Degraded => 1,
        AgentState::Failed => 2,
        AgentState::Reconnecting => 3,
        AgentState::Offline => 4,
        AgentState::PlannedOutage => 5,
        AgentState::Quarantined => 6,
        AgentState::NeverConnected => 7,
    }
}

const fn state_of(code: u8) -> Option<AgentState> {
    Some(match code {
        0 => AgentState::Healthy,
        1 => AgentState::Degraded,
        2 => AgentState::Failed,
        3 => AgentState::Reconnecting,
        4 => AgentState::Offline,
        5 => AgentState::PlannedOutage,
        6 => AgentState::Quarantined,
        7 => AgentState::NeverConnected,
        _ => return None,
    })
}

fn put_row(out: &mut Vec<u8>, row: &Row) {
    out.push((row.slot as usize % GROUP) as u8 | state_code(row.state) << 4);
    put_varint(out, row.components.len() as u64);
    for component in &row.components {
        let [received, kept, dropped] = component.counts;
        let (counts, lag) = (component.counts != [0; 3], component.lag_ms.div_ceil(100));
        let flags = u64::from(component.destination) << 2 | u64::from(lag > 0) << 1 | u64::from(counts);
        put_varint(out, u64::from(component.name) << 3 | flags);
        if counts {
            put_varint(out, received);
            if !component.destination {
                put_varint(out, dropped);
                // Nearly always 0: what was received was kept or dropped.
                let rest = received.saturating_sub(dropped).wrapping_sub(kept) as i64;
                put_varint(out, (rest << 1 ^ rest >> 63) as u64);
            }
        }
        if lag > 0 {
            put_varint(out, lag);
        }
    }
}

/// The row of an agent in the bytes of its group.
pub(super) fn find_row(group: &[u8], slot: u32) -> Option<Row> {
    let mut reader = Reader(group);
    while !reader.0.is_empty() {
        let head = reader.byte()?;
        let state = state_of(head >> 4)?;
        let count = reader.varint()?;
        let mut components = Vec::new();
        for _ in 0..count {
            components.push(read_component(&mut reader)?);
        }
        if usize::from(head & 0x0f) == slot as usize % GROUP {
            return Some(Row { slot, state, components });
        }
    }
    None
}

fn read_component(reader: &mut Reader<'_>) -> Option<Counts> {
    let head = reader.varint()?;
    let (destination, lag, counted) = (head & 4 != 0, head & 2 != 0, head & 1 != 0);
    let mut counts = [0; 3];
    if counted {
        counts[0] = reader.varint()?;
        if !destination {
            counts[2] = reader.varint()?;
            let rest = reader.varint()?;
            let rest = (rest >> 1) as i64 ^ -((rest & 1) as i64);
            counts[1] = counts[0].saturating_sub(counts[2]).wrapping_sub(rest as u64);
        }
    }
    let lag_ms = if lag { reader.varint()?.saturating_mul(100) } else { 0 };
    Some(Counts { name: u32::try_from(head >> 3).ok()?, destination, counts, lag_ms })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(name: u32, counts: [u64; 3], lag_ms: u64) -> Counts {
        Counts { name, destination: false, counts, lag_ms }
    }

    #[test]
    fn what_is_written_is_read() {
        let states =
            [AgentState::Healthy, AgentState::Failed, AgentState::PlannedOutage, AgentState::NeverConnected];
        let rows: Vec<Row> = [0, 3, 15, 16, 200]
            .into_iter()
            .map(|slot| Row {
                slot,
                state: states[slot as usize % 4],
                components: vec![
                    source(1, [3_600, 3_500, 100], 0),
                    source(2, [0; 3], 0),
                    source(3, [10, 25, 4], 1_500),
                    source(4, [u64::MAX, 0, u64::MAX], u64::MAX / 200),
                    Counts { name: 70_000, destination: true, counts: [u64::from(slot), 0, 0], lag_ms: 100 },
                ],
            })
            .collect();
        let sums = Sums { second: 61, span: 60, agents: 5, counts: [1, 2, 3, u64::MAX], lag_ms: 7 };
        let (index, body) = moment(&sums, &rows);
        let (read, places) = read_moment(&index).unwrap();
        assert_eq!((read, places.len()), (sums, 13));
        for row in &rows {
            let place = places[row.slot as usize / GROUP];
            let group = &body[place.offset..place.offset + place.length];
            assert_eq!(crc32fast::hash(group), place.crc);
            let mut found = find_row(group, row.slot).unwrap();
            found.components[3].lag_ms = row.components[3].lag_ms;
            assert_eq!(&found, row);
            assert_eq!(find_row(group, row.slot ^ 1), None);
        }
        assert_eq!(read_names(&names(&["audit", "", "é"])).unwrap(), ["audit", "", "é"]);
    }

    #[test]
    fn rows_are_small() {
        let busy = |n| source(n, [3_600, 3_500, 100], 700);
        let siem = Counts { name: 4, destination: true, counts: [10_500, 0, 0], lag_ms: 700 };
        let size = |components: Vec<Counts>| {
            let rows: Vec<Row> = (0..1_000)
                .map(|slot| Row { slot, state: AgentState::Healthy, components: components.clone() })
                .collect();
            let (index, body) = moment(&Sums::default(), &rows);
            (index.len() + body.len()) as f64 / 1_000.0
        };
        let busy_size = size(vec![busy(1), busy(2), busy(3), siem]);
        assert!(busy_size < 28.0, "{busy_size}");
        let idle = Counts { counts: [0; 3], lag_ms: 0, ..siem };
        let idle_size = size(vec![source(1, [0; 3], 0), source(2, [0; 3], 0), source(3, [0; 3], 0), idle]);
        assert!(idle_size < 7.0, "{idle_size}");
    }

    #[test]
    fn damaged_bytes_are_refused_not_believed() {
        assert_eq!(read_moment(&[1, 2]), None);
        assert_eq!(find_row(&[0x90, 0], 0), None, "no such state");
        assert_eq!(find_row(&[0x00, 200], 0), None, "cut off");
        assert_eq!(Reader(&[0xff; 11]).varint(), None);
        let mut head = [0; FRAME_HEAD];
        assert_eq!(frame_head(&head), None);
        head[0] = b'M';
        head[4] = 0xff;
        assert_eq!(frame_head(&head), None, "too long");
    }
}
