//! Finds the place of a path in YAML text, for people: line and column of the key.
//!
//! The parser tells places only of what it cannot read; problems of meaning have a path such as
//! `spec.rules[2].match.users[0]`. This walks the block style that people write by its indentation. Where it
//! cannot follow (flow style, anchors) it tells the nearest place above.

/// One step of a path.
#[derive(Debug, PartialEq, Eq)]
enum Step<'a> {
    Key(&'a str),
    Item(usize),
}

/// A line that holds something.
struct Line<'a> {
    number: u64,
    indent: usize,
    text: &'a str,
}

/// Line and column, from 1, of the deepest part of `path` that can be found; `None` if not even its first.
#[must_use]
pub fn locate(text: &str, path: &str) -> Option<(u64, u64)> {
    let lines = lines(text);
    let mut found = None;
    let mut range = 0..lines.len();
    let mut least = 0;
    for step in steps(path) {
        let Some((at, indent)) = find(&lines, range.clone(), least, &step) else { break };
        found = lines.get(at).map(|l| (l.number, indent as u64 + 1));
        let end = (at + 1..range.end)
            .find(|&i| lines.get(i).is_some_and(|l| l.indent < indent || ends(l, indent, &step)))
            .unwrap_or(range.end);
        // The rest of an item's own line holds its first key.
        let (start, next) = match step {
            Step::Key(_) => (at + 1, indent),
            Step::Item(_) => (at, indent + 1),
        };
        range = start..end;
        least = next;
    }
    found
}

/// A line at the same indentation ends a block, except the items of a list below a key.
fn ends(line: &Line<'_>, indent: usize, step: &Step<'_>) -> bool {
    let item = line.text.starts_with("- ") || line.text == "-";
    line.indent == indent && (matches!(step, Step::Item(_)) || !item)
}

fn lines(text: &str) -> Vec<Line<'_>> {
    text.lines()
        .enumerate()
        .filter_map(|(i, line)| {
            let content = line.trim_start_matches(' ');
            let empty = content.trim().is_empty() || content.starts_with('#');
            (!empty).then(|| Line {
                number: i as u64 + 1,
                indent: line.len() - content.len(),
                text: content.trim_end(),
            })
        })
        .collect()
}

fn steps(path: &str) -> Vec<Step<'_>> {
    let mut steps = Vec::new();
    for part in path.split('.').filter(|p| !p.is_empty()) {
        let (key, rest) = part.split_once('[').map_or((part, ""), |(k, r)| (k, r));
        if !key.is_empty() {
            steps.push(Step::Key(key));
        }
        let items = rest.trim_end_matches(']').split("][");
        steps.extend(items.filter_map(|n| n.parse().ok()).map(Step::Item));
    }
    steps
}

/// Index of the line and indentation of the step within the lines; nothing is below `least`.
fn find(
    lines: &[Line<'_>],
    range: std::ops::Range<usize>,
    least: usize,
    step: &Step<'_>,
) -> Option<(usize, usize)> {
    match step {
        Step::Item(wanted) => {
            let items = |i: &usize| lines.get(*i).is_some_and(|l| l.text.starts_with("- ") || l.text == "-");
            let first = range.clone().find(items)?;
            let indent = lines.get(first)?.indent;
            let at = range
                .filter(items)
                .filter(|&i| lines.get(i).is_some_and(|l| l.indent == indent))
                .nth(*wanted)?;
            Some((at, indent))
        }
        Step::Key(key) => {
            let mut level = None;
            for i in range {
                let line = lines.get(i)?;
                // `- key: value`: the key stands behind the dash.
                let inner = line.text.trim_start_matches("- ").trim_start();
                let indent = line.indent + (line.text.len() - inner.len());
                if indent < least {
                    continue;
                }
                let level = *level.get_or_insert(indent);
                let name = inner.split_once(':').map(|(k, _)| k.trim().trim_matches(['"', '\'']));
                if indent == level && name == Some(key) {
                    return Some((i, indent));
                }
            }
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
# a policy
api_version: muster/v1
name: base
spec:
  sources:
    audit:
      kind: audit_journal
  rules:
    - name: first
      match:
        users: [A, B]
      action: drop
    - match:
        objects:
        - PAYROLL/EMP
        - BAD
      name: second
  destinations:
    \"siem\":
      transport: {kind: udp, address: x}
";

    #[test]
    fn places() {
        let cases = [
            ("name", Some((3, 1))),
            ("spec.sources.audit", Some((6, 5))),
            ("spec.rules[0]", Some((9, 5))),
            ("spec.rules[0].name", Some((9, 7))),
            ("spec.rules[0].match.users[1]", Some((11, 9))),
            ("spec.rules[1].match.objects[1]", Some((16, 9))),
            ("spec.rules[1].name", Some((17, 7))),
            ("spec.destinations.siem.transport.address", Some((20, 7))),
            ("spec.routes.all", Some((4, 1))),
            ("nothing", None),
        ];
        for (path, expected) in cases {
            assert_eq!(locate(TEXT, path), expected, "{path}");
        }
    }

    #[test]
    fn any_text_is_survived() {
        for text in ["", "-", "- - -\n-", ":", "a:\n-", "\t\u{a0}é: x"] {
            for path in ["a", "a[0]", "[0][1]", "a.b[x].c", "]["] {
                let _ = locate(text, path);
            }
        }
    }
}
