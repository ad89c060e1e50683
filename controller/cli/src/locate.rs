//! Where in a YAML text a path such as `spec.rules[2].match.users[0]` stands.
//!
//! Checks of meaning know paths only; people want line and column. Never an error: a path that is not in
//! the text is shown at its nearest ancestor that is, and a text that cannot be read has no places.

use muster_proto::api::PolicyFault;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// A value, reduced to what has places in it.
#[derive(Debug)]
enum Node {
    Map(Vec<(String, Spanned<Node>)>),
    List(Vec<Spanned<Node>>),
    Leaf,
}

/// A YAML text with the places of its values.
#[derive(Debug)]
pub(crate) struct Places {
    root: Option<Spanned<Node>>,
}

impl Places {
    /// Reads the text.
    pub(crate) fn of(text: &str) -> Self {
        Self { root: serde_saphyr::from_str(text).ok() }
    }

    /// Line and column of the value at `path`, both from 1.
    pub(crate) fn find(&self, path: &str) -> Option<(u64, u64)> {
        let mut here = self.root.as_ref()?;
        let mut found = None;
        let mut rest = path;
        while !rest.is_empty() {
            let Some((child, more)) = step(&here.value, rest) else { break };
            found = Some((child.referenced.line(), child.referenced.column()));
            here = child;
            rest = more;
        }
        found.filter(|(line, _)| *line > 0)
    }
}

/// Gives line and column to what has only a path.
pub(crate) fn locate(places: &Places, faults: &mut [PolicyFault]) {
    for fault in faults.iter_mut().filter(|fault| fault.line == 0) {
        if let Some((line, column)) = places.find(&fault.path) {
            (fault.line, fault.column) = (line, column);
        }
    }
}

/// One step down: the child that `path` begins with, and what is left of the path.
fn step<'a, 'p>(node: &'a Node, path: &'p str) -> Option<(&'a Spanned<Node>, &'p str)> {
    match node {
        Node::Map(entries) => entries
            .iter()
            .filter_map(|(key, child)| {
                let rest = path.strip_prefix(key.as_str())?;
                let rest = match rest.strip_prefix('.') {
                    Some(rest) => rest,
                    None if rest.is_empty() || rest.starts_with('[') => rest,
                    None => return None,
                };
                Some((child, rest))
            })
            // Keys may hold dots: the longest that fits is meant.
            .min_by_key(|(_, rest)| rest.len()),
        Node::List(items) => {
            let (index, rest) = path.strip_prefix('[')?.split_once(']')?;
            Some((items.get(index.parse::<usize>().ok()?)?, rest.strip_prefix('.').unwrap_or(rest)))
        }
        Node::Leaf => None,
    }
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Node::Map(entries))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Node::List(items))
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        IgnoredAny::deserialize(deserializer).map(|_| Node::Leaf)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_str<E>(self, _: &str) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_bytes<E>(self, _: &[u8]) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_unit<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }

    fn visit_none<E>(self) -> Result<Node, E> {
        Ok(Node::Leaf)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_of_paths() {
        let text = "\
api_version: muster/v1
selector:
  site.name: a
  site: b
spec:
  rules:
    - name: x
      action: drop
      match: { users: [QSYS*, 'A B'] }
  destinations:
    siem:
      transport: {kind: tcp, address: h}
";
        let places = Places::of(text);
        for (path, place) in [
            ("api_version", (1, 14)),
            ("selector.site.name", (3, 14)),
            ("selector.site", (4, 9)),
            ("spec.rules[0].match.users[1]", (9, 31)),
            ("spec.rules[0].action", (8, 15)),
            ("spec.destinations.siem.transport.address", (12, 39)),
            // Not there: its nearest ancestor.
            ("spec.destinations.siem.format.facility", (12, 7)),
        ] {
            assert_eq!(places.find(path), Some(place), "{path}");
        }
        assert_eq!(places.find("nothing"), None);
        assert_eq!(Places::of("a: [").find("a"), None);
    }
}
