//! Segments on disk: one file an hour, appended to by one writer, read by anybody.

use super::format::{self, FRAME_HEAD, GROUP, HEAD, Kind, MAGIC, Place, Row, Sums};
use muster_shared::id::AgentId;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// File of an hour, counted since 1970.
pub(super) fn path(folder: &Path, hour: u32) -> PathBuf {
    folder.join(format!("{hour:010}.seg"))
}

/// Hours of the segments in a folder, oldest first, with their sizes.
pub(super) fn list(folder: &Path) -> io::Result<Vec<(u32, u64)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let hour =
            name.to_str().and_then(|name| name.strip_suffix(".seg")).and_then(|hour| hour.parse().ok());
        if let Some(hour) = hour {
            found.push((hour, entry.metadata()?.len()));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// A frame in a file.
#[derive(Debug, Clone, Copy)]
struct Found {
    kind: Kind,
    index_at: u64,
    index: usize,
    body: usize,
}

impl Found {
    fn end(&self) -> u64 {
        self.index_at + (self.index + self.body) as u64
    }
}

/// A segment that is read.
pub(super) struct Segment {
    file: File,
    length: u64,
    at: u64,
}

/// A moment of a segment.
pub(super) struct Moment {
    pub(super) sums: Sums,
    places: Vec<Place>,
    body_at: u64,
}

/// What comes next in a segment.
pub(super) enum Next {
    /// New names.
    Names(Vec<String>),
    /// New agents.
    Agents(Vec<AgentId>),
    /// A moment.
    Moment(Moment),
}

impl Segment {
    /// Opens a segment; `None` if the file is none.
    pub(super) fn open(path: &Path, hour: u32) -> io::Result<Option<Self>> {
        let file = File::open(path)?;
        let length = file.metadata()?.len();
        let mut head = [0; HEAD];
        let whole = length >= HEAD as u64 && file.read_exact_at(&mut head, 0).is_ok();
        let ours = whole && head[..8] == MAGIC[..] && head[8..] == hour.to_le_bytes();
        Ok(ours.then_some(Self { file, length, at: HEAD as u64 }))
    }

    /// The next frame; `None` at the end, or where the file is damaged.
    pub(super) fn next(&mut self) -> io::Result<Option<Next>> {
        let Some((found, index)) = self.frame()? else { return Ok(None) };
        self.at = found.end();
        Ok(match found.kind {
            Kind::Names => format::read_names(&index).map(Next::Names),
            Kind::Agents => Some(Next::Agents(agents(&index))),
            Kind::Moment => format::read_moment(&index).map(|(sums, places)| {
                Next::Moment(Moment { sums, places, body_at: found.index_at + found.index as u64 })
            }),
        })
    }

    fn frame(&self) -> io::Result<Option<(Found, Vec<u8>)>> {
        let mut head = [0; FRAME_HEAD];
        if self.at + FRAME_HEAD as u64 > self.length {
            return Ok(None);
        }
        self.file.read_exact_at(&mut head, self.at)?;
        let Some((kind, index, body, crc)) = format::frame_head(&head) else { return Ok(None) };
        let (index, body) = (index as usize, body as usize);
        let found = Found { kind, index_at: self.at + FRAME_HEAD as u64, index, body };
        if found.end() > self.length {
            return Ok(None);
        }
        let mut bytes = vec![0; index];
        self.file.read_exact_at(&mut bytes, found.index_at)?;
        Ok((crc32fast::hash(&bytes) == crc).then_some((found, bytes)))
    }

    /// The row of an agent at a moment; `None` if it has none, or its bytes are damaged.
    pub(super) fn row(&self, moment: &Moment, slot: u32) -> io::Result<Option<Row>> {
        let Some(place) = moment.places.get(slot as usize / GROUP) else { return Ok(None) };
        let group = self.group(moment, place)?;
        Ok(group.and_then(|group| format::find_row(&group, slot)))
    }

    /// Shows the rows of several agents at a moment: `wanted` has their slots, rising, each with what to show it with.
    /// What lies between the first and the last of them is read at once, into `memory`.
    pub(super) fn rows(
        &self,
        moment: &Moment,
        wanted: &[(u32, usize)],
        memory: &mut Vec<u8>,
        mut show: impl FnMut(Row, usize),
    ) -> io::Result<()> {
        let place = |slot: u32| moment.places.get(slot as usize / GROUP);
        // Agents that are new since then have no place in this moment.
        let known = wanted.partition_point(|(slot, _)| place(*slot).is_some());
        let ends = wanted[..known].first().zip(wanted[..known].last());
        let Some((first, last)) = ends.and_then(|(a, b)| place(a.0).zip(place(b.0))) else { return Ok(()) };
        let (from, length) = (first.offset, last.offset + last.length - first.offset);
        if moment.body_at + (from + length) as u64 > self.length {
            return Ok(());
        }
        memory.resize(length, 0);
        self.file.read_exact_at(memory, moment.body_at + from as u64)?;
        for wanted in wanted[..known].chunk_by(|a, b| a.0 as usize / GROUP == b.0 as usize / GROUP) {
            let Some(place) = place(wanted[0].0) else { continue };
            let group = &memory[place.offset - from..place.offset - from + place.length];
            if crc32fast::hash(group) == place.crc {
                let rows =
                    wanted.iter().filter_map(|(slot, with)| Some((format::find_row(group, *slot)?, *with)));
                rows.for_each(|(row, with)| show(row, with));
            }
        }
        Ok(())
    }

    fn group(&self, moment: &Moment, place: &Place) -> io::Result<Option<Vec<u8>>> {
        let at = moment.body_at + place.offset as u64;
        if at + place.length as u64 > self.length {
            return Ok(None);
        }
        let mut group = vec![0; place.length];
        self.file.read_exact_at(&mut group, at)?;
        Ok((crc32fast::hash(&group) == place.crc).then_some(group))
    }

    fn is_whole(&self, moment: &Moment) -> io::Result<bool> {
        for place in &moment.places {
            if self.group(moment, place)?.is_none() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn agents(index: &[u8]) -> Vec<AgentId> {
    index.chunks_exact(16).filter_map(|id| Some(AgentId(uuid::Uuid::from_slice(id).ok()?))).collect()
}

/// The segment that is written.
pub(super) struct Writer {
    /// Its hour.
    pub(super) hour: u32,
    file: File,
    names: HashMap<String, u32>,
    slots: HashMap<AgentId, u32>,
    new_names: Vec<String>,
    new_agents: Vec<AgentId>,
}

impl Writer {
    /// Opens the segment of an hour, or makes it; a torn tail is cut off.
    pub(super) fn open(folder: &Path, hour: u32) -> io::Result<Self> {
        let path = path(folder, hour);
        let mut writer = Self {
            hour,
            file: OpenOptions::new().append(true).create(true).mode(0o600).open(&path)?,
            names: HashMap::new(),
            slots: HashMap::new(),
            new_names: Vec::new(),
            new_agents: Vec::new(),
        };
        match Segment::open(&path, hour)? {
            Some(segment) => {
                let end = writer.learn(segment)?;
                writer.file.set_len(end)?;
            }
            None => {
                writer.file.set_len(0)?;
                writer.file.write_all(&format::head(hour))?;
            }
        }
        Ok(writer)
    }

    /// Reads what the segment has; the end of what is whole.
    fn learn(&mut self, mut segment: Segment) -> io::Result<u64> {
        let mut end = segment.at;
        while let Some(next) = segment.next()? {
            match next {
                Next::Names(names) => names.into_iter().for_each(|name| {
                    let number = self.names.len() as u32;
                    self.names.insert(name, number);
                }),
                Next::Agents(agents) => agents.into_iter().for_each(|agent| {
                    let slot = self.slots.len() as u32;
                    self.slots.insert(agent, slot);
                }),
                // Torn if nothing whole follows; if something does, it is only damaged and stays.
                Next::Moment(moment) if !segment.is_whole(&moment)? => continue,
                Next::Moment(_) => {}
            }
            end = segment.at;
        }
        Ok(end)
    }

    /// Number of a name.
    pub(super) fn name(&mut self, name: &str) -> u32 {
        if let Some(number) = self.names.get(name) {
            return *number;
        }
        let number = self.names.len() as u32;
        self.names.insert(name.to_owned(), number);
        self.new_names.push(name.to_owned());
        number
    }

    /// Number of an agent.
    pub(super) fn slot(&mut self, agent: AgentId) -> u32 {
        if let Some(slot) = self.slots.get(&agent) {
            return *slot;
        }
        let slot = self.slots.len() as u32;
        self.slots.insert(agent, slot);
        self.new_agents.push(agent);
        slot
    }

    /// Appends a moment, with the names and agents that are new in it.
    pub(super) fn append(&mut self, sums: &Sums, mut rows: Vec<Row>) -> io::Result<()> {
        rows.sort_unstable_by_key(|row| row.slot);
        let mut out = Vec::new();
        if !self.new_names.is_empty() {
            let names: Vec<&str> = self.new_names.iter().map(String::as_str).collect();
            out.extend(format::frame(Kind::Names, &format::names(&names), &[]));
        }
        if !self.new_agents.is_empty() {
            let ids: Vec<u8> = self.new_agents.iter().flat_map(|agent| agent.0.into_bytes()).collect();
            out.extend(format::frame(Kind::Agents, &ids, &[]));
        }
        let (index, body) = format::moment(sums, &rows);
        out.extend(format::frame(Kind::Moment, &index, &body));
        let before = self.file.metadata()?.len();
        if let Err(error) = self.file.write_all(&out).and_then(|()| self.file.sync_data()) {
            // A half of it would hide what comes after.
            self.file.set_len(before)?;
            return Err(error);
        }
        self.new_names.clear();
        self.new_agents.clear();
        Ok(())
    }
}
