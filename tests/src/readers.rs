//! Readers of the formats, written from the formats' own rules and not from our writers: what a SIEM
//! would make of a message.

use std::collections::BTreeMap;

/// What a SIEM sees of one message.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Host of the syslog header.
    pub host: String,
    /// Number between `<` and `>`.
    pub priority: u16,
    /// Time of the syslog header as it stands there.
    pub time: String,
    /// What CEF has for people in its header, and the text behind the structured data of RFC 5424.
    pub text: String,
    /// Event id of CEF and LEEF; the `id` of the structured data or pairs otherwise.
    pub event_id: String,
    /// Severity as the format has it.
    pub severity: String,
    /// All keys and values, unescaped.
    pub values: BTreeMap<String, String>,
}

impl Seen {
    /// Receiver and sequence of a journal entry, as [`crate::partition::Partition::entry_ids`] tells them: the end of its
    /// event id.
    #[must_use]
    pub fn journal_entry(&self) -> Option<&str> {
        let id = self.values.get("eventId")?.splitn(4, '/').nth(3)?;
        Some(id.split_once('/').map_or(id, |(_, rest)| rest))
    }
}

/// Formats as their readers are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 5424 with structured data.
    Rfc5424,
    /// RFC 3164 with `key="value"` pairs.
    Rfc3164,
    /// CEF behind a syslog header.
    Cef,
    /// LEEF 1.0 or 2.0 behind a syslog header.
    Leef,
}

/// Reads one message.
///
/// # Errors
/// Says what is wrong with it.
pub fn read(dialect: Dialect, message: &str) -> Result<Seen, String> {
    match dialect {
        Dialect::Rfc5424 => rfc5424(message),
        Dialect::Rfc3164 => rfc3164(message),
        Dialect::Cef => cef(message),
        Dialect::Leef => leef(message),
    }
}

/// `<PRI>` in front; gives its number and the rest.
fn priority(message: &str) -> Result<(u16, &str), String> {
    let rest = message.strip_prefix('<').ok_or("no PRI")?;
    let (number, rest) = rest.split_once('>').ok_or("PRI has no end")?;
    let number: u16 = number.parse().map_err(|_| format!("PRI {number:?} is no number"))?;
    if number > 191 { Err(format!("PRI {number} is above 191")) } else { Ok((number, rest)) }
}

/// RFC 5424 section 6: header, structured data, text.
fn rfc5424(message: &str) -> Result<Seen, String> {
    let (priority, rest) = priority(message)?;
    let rest = rest.strip_prefix("1 ").ok_or("version is not 1")?;
    let parts: Vec<&str> = rest.splitn(6, ' ').collect();
    let [time, host, _app, _proc, _id, data] = parts[..] else {
        return Err("the header has fewer than five parts".to_owned());
    };
    let _: jiff::Timestamp = time.parse().map_err(|error| format!("TIMESTAMP {time:?}: {error}"))?;
    let mut seen = Seen { host: host.to_owned(), priority, time: time.to_owned(), ..Seen::default() };
    let rest = structured_data(data, &mut seen.values)?;
    seen.text = rest.strip_prefix(' ').unwrap_or(rest).to_owned();
    seen.event_id = seen.values.get("event").cloned().unwrap_or_default();
    seen.severity = seen.values.get("severity").cloned().unwrap_or_default();
    Ok(seen)
}

/// Takes in all elements and gives what follows them.
fn structured_data<'a>(mut data: &'a str, values: &mut BTreeMap<String, String>) -> Result<&'a str, String> {
    while let Some(element) = data.strip_prefix('[') {
        let id_end = element.find([' ', ']']).ok_or("SD-ELEMENT has no end")?;
        data = &element[id_end..];
        while let Some(parameter) = data.strip_prefix(' ') {
            let (name, rest) = parameter.split_once("=\"").ok_or("SD-PARAM has no value")?;
            let (value, rest) = quoted(rest)?;
            if values.insert(name.to_owned(), value).is_some() {
                return Err(format!("{name} stands twice"));
            }
            data = rest;
        }
        data = data.strip_prefix(']').ok_or("SD-ELEMENT is not closed")?;
    }
    Ok(data)
}

/// Text up to the closing quote, backslash escapes taken out; and what follows it.
fn quoted(text: &str) -> Result<(String, &str), String> {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((value, &text[at + 1..])),
            '\\' => match characters.next() {
                Some((_, escaped @ ('"' | '\\' | ']'))) => value.push(escaped),
                Some((_, other)) => value.extend(['\\', other]),
                None => break,
            },
            other => value.push(other),
        }
    }
    Err("a quoted value has no end".to_owned())
}

/// `Mmm dd hh:mm:ss HOST ` behind the priority; gives what it says and the content.
fn bsd_header(message: &str) -> Result<(Seen, &str), String> {
    let (priority, rest) = priority(message)?;
    if !rest.is_char_boundary(16) || rest.len() < 17 {
        return Err("too short for an RFC 3164 header".to_owned());
    }
    let (time, rest) = rest.split_at(16);
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    if !months.contains(&&time[..3]) || &time[15..] != " " {
        return Err(format!("{time:?} is no RFC 3164 time"));
    }
    let (host, content) = rest.split_once(' ').ok_or("no host")?;
    let seen = Seen { host: host.to_owned(), priority, time: time[..15].to_owned(), ..Seen::default() };
    Ok((seen, content))
}

fn rfc3164(message: &str) -> Result<Seen, String> {
    let (mut seen, content) = bsd_header(message)?;
    let mut rest = content.strip_prefix("muster: ").ok_or("the tag is not muster")?;
    while !rest.is_empty() {
        let (name, value) = rest.split_once("=\"").ok_or_else(|| format!("no pair at {rest:?}"))?;
        let (value, after) = quoted(value)?;
        if seen.values.insert(name.to_owned(), value).is_some() {
            return Err(format!("{name} stands twice"));
        }
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    seen.event_id = seen.values.get("event").cloned().unwrap_or_default();
    seen.severity = seen.values.get("severity").cloned().unwrap_or_default();
    Ok(seen)
}

/// Splits at unescaped pipes, at most into `count` parts; the last one is the rest.
fn pipes(text: &str, count: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut escaped = false;
    for character in text.chars() {
        if parts.len() == count {
            parts[count - 1].push(character);
        } else if escaped {
            parts.last_mut().expect("never empty").push(character);
            escaped = false;
        } else if character == '\\' {
            escaped = true;
        } else if character == '|' {
            parts.push(String::new());
        } else {
            parts.last_mut().expect("never empty").push(character);
        }
    }
    parts
}

/// CEF: seven header fields, then `key=value` pairs; a value ends where ` key=` begins.
fn cef(message: &str) -> Result<Seen, String> {
    let at = message.find("CEF:").ok_or("no CEF:")?;
    let (head, _) = bsd_header(message)?;
    let parts = pipes(&message[at..], 8);
    if parts.len() != 8 || parts[0] != "CEF:0" {
        return Err(format!("the CEF header has {} parts, begins with {:?}", parts.len(), parts[0]));
    }
    let mut seen =
        Seen { event_id: parts[4].clone(), text: parts[5].clone(), severity: parts[6].clone(), ..head };
    let extension = parts[7].trim_start();
    let bytes = extension.as_bytes();
    let is_key = |byte: u8| byte.is_ascii_alphanumeric();
    // Positions of unescaped `=` and of the key before each.
    let mut keys = Vec::new();
    for (at, _) in extension.match_indices('=') {
        let backslashes = bytes[..at].iter().rev().take_while(|byte| **byte == b'\\').count();
        let start = at - bytes[..at].iter().rev().take_while(|byte| is_key(**byte)).count();
        if backslashes % 2 == 0 && start < at && (start == 0 || bytes[start - 1] == b' ') {
            keys.push((start, at));
        }
    }
    for (position, (start, equals)) in keys.iter().enumerate() {
        let end = keys.get(position + 1).map_or(extension.len(), |(next, _)| next - 1);
        let value = unescape_cef(&extension[equals + 1..end]);
        if seen.values.insert(extension[*start..*equals].to_owned(), value).is_some() {
            return Err(format!("{} stands twice", &extension[*start..*equals]));
        }
    }
    Ok(seen)
}

fn unescape_cef(text: &str) -> String {
    let mut value = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        if character != '\\' {
            value.push(character);
            continue;
        }
        match characters.next() {
            Some('n') => value.push('\n'),
            Some('r') => value.push('\r'),
            Some(other) => value.push(other),
            None => value.push('\\'),
        }
    }
    value
}

/// LEEF 1.0 (TAB) and 2.0 (delimiter named in the header); no escaping.
fn leef(message: &str) -> Result<Seen, String> {
    let at = message.find("LEEF:").ok_or("no LEEF:")?;
    let (head, _) = bsd_header(message)?;
    let payload = &message[at..];
    let two = payload.starts_with("LEEF:2.0|");
    let parts: Vec<&str> = payload.splitn(if two { 7 } else { 6 }, '|').collect();
    let delimiter = match (two, parts.len()) {
        (false, 6) => '\t',
        (true, 7) => match parts[5] {
            one if one.chars().count() == 1 => one.chars().next().expect("one character"),
            hex => {
                let digits = hex.trim_start_matches('0').trim_start_matches('x');
                let code = u32::from_str_radix(digits, 16).map_err(|_| format!("delimiter {hex:?}"))?;
                char::from_u32(code).ok_or("no such character")?
            }
        },
        (_, count) => return Err(format!("the LEEF header has {count} parts")),
    };
    let mut seen = Seen { event_id: parts[4].to_owned(), ..head };
    for pair in parts[parts.len() - 1].split(delimiter).filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?} is no pair"))?;
        if seen.values.insert(key.to_owned(), value.to_owned()).is_some() {
            return Err(format!("{key} stands twice"));
        }
    }
    seen.severity = seen.values.get("sev").cloned().unwrap_or_default();
    Ok(seen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hand_written_messages() {
        let cef = r"<110>Nov  2 03:04:05 PROD01 CEF:0|A|B|1|AF_A|Na\|me|7|suser=BOB msg=a \= b c\\ cs1=x y";
        let seen = read(Dialect::Cef, cef).unwrap();
        assert_eq!((seen.event_id.as_str(), seen.values["msg"].as_str()), ("AF_A", r"a = b c\"));
        assert_eq!(seen.values["cs1"], "x y");
        let leef = "<110>Nov  2 03:04:05 PROD01 LEEF:2.0|A|B|1|AF_A|^|sev=7^usrName=B=OB";
        let seen = read(Dialect::Leef, leef).unwrap();
        assert_eq!((seen.severity.as_str(), seen.values["usrName"].as_str()), ("7", "B=OB"));
        let syslog = r#"<110>1 2026-11-22T01:02:03.000004Z h muster - ID [a@1 x="q\"\]" y="z"][meta sequenceId="1"] text"#;
        let seen = read(Dialect::Rfc5424, syslog).unwrap();
        assert_eq!((seen.values["x"].as_str(), seen.values["sequenceId"].as_str()), ("q\"]", "1"));
        let pairs = r#"<110>Nov 22 01:02:03 h muster: a="1" b="two words""#;
        assert_eq!(read(Dialect::Rfc3164, pairs).unwrap().values["b"], "two words");
    }
}
