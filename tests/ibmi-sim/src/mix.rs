//! Everyday traffic: a pool of entries in the weights of the scenario, drawn from again and again.
//!
//! A pool keeps the cost of an entry at a few bytes: entries of the pool share their data.

use std::sync::Arc;

use crate::ebcdic::Page;
use crate::encode::{Facts, FieldType, coded_values, encode, layout};
use crate::journal::Body;
use crate::rng::Rng;
use crate::scenario::Scenario;

/// Different entries in the pool; enough that neighbours differ, few enough to stay in the cache.
const POOL: usize = 1024;

/// The pool and where in it we are.
#[derive(Debug)]
pub struct Mix {
    pool: Vec<Arc<Body>>,
    rng: Rng,
}

impl Mix {
    /// Makes the pool of a scenario.
    #[must_use]
    pub fn new(scenario: &Scenario, page: &'static Page) -> Self {
        let mut rng = Rng::new(scenario.traffic.seed);
        let total: usize = scenario.traffic.mix.values().map(|weight| *weight as usize).sum();
        let mut pool = Vec::with_capacity(POOL);
        while total > 0 && pool.len() < POOL {
            // Every type of the mix gets its share of the pool, at least one entry each.
            for (entry_type, weight) in &scenario.traffic.mix {
                let share = if *weight == 0 { 0 } else { (*weight as usize * POOL / total).max(1) };
                for _ in 0..share {
                    pool.extend(make(entry_type, scenario, page, &mut rng).map(Arc::new));
                }
            }
            if pool.is_empty() {
                break;
            }
        }
        // Shuffled, so that types alternate.
        for index in (1..pool.len()).rev() {
            pool.swap(index, rng.below(index + 1));
        }
        Self { pool, rng }
    }

    /// The next entry and the port its job came from; none where the mix is empty.
    pub fn next(&mut self) -> Option<(Arc<Body>, u16)> {
        let body = self.pool.get(self.rng.below(self.pool.len()))?;
        let port = 1024 + u16::try_from(self.rng.below(60_000)).unwrap_or(0);
        Some((Arc::clone(body), port))
    }
}

/// One entry of a type with values from the scenario's texts.
fn make(entry_type: &str, scenario: &Scenario, page: &'static Page, rng: &mut Rng) -> Option<Body> {
    let texts = &scenario.texts;
    let user = rng.pick(&texts.users).to_owned();
    let library = rng.pick(&texts.libraries).to_owned();
    let program = rng.pick(&texts.programs).to_owned();
    let number = format!("{:06}", 100_000 + rng.below(800_000));
    let job =
        if rng.below(2) == 0 { "QZDASOINIT".to_owned() } else { format!("QPADEV{:04}", rng.below(10_000)) };
    let mut facts = Facts::new();
    for field in layout(entry_type)? {
        if let Some(value) = value(entry_type, &field.name, field.kind, field.length, scenario, rng) {
            facts.insert(field.name.clone(), value);
        }
    }
    for (name, value) in [
        ("Job name", &job),
        ("Job user name", &user),
        ("Job number", &number),
        ("Program name", &program),
        ("Program library", &library),
        ("Library name", &library),
    ] {
        facts.insert(name.to_owned(), value.clone());
    }
    name_object(entry_type, &mut facts);
    let encoded = encode(entry_type, page, &facts)?;
    let address = if rng.below(3) == 0 { None } else { Some(rng.pick(&texts.addresses).to_owned()) };
    let body = Body {
        code: "T".into(),
        entry_type: entry_type.to_owned(),
        job_user: user.clone(),
        user,
        job_name: job,
        job_number: number,
        program,
        program_library: library,
        remote_address: address.filter(|address| !address.is_empty()),
        fields: encoded.fields,
        ..Body::default()
    };
    Some(body.with_data(encoded.data))
}

/// The object of types whose object is not just any: a command, a user profile, none at a sign-on.
fn name_object(entry_type: &str, facts: &mut Facts) {
    let (name, library, kind) = match entry_type {
        "CD" => {
            let command = facts.get("Command string").and_then(|text| text.split(' ').next());
            (command.map(str::to_owned), "QSYS", "*CMD")
        }
        "CP" => (None, "QSYS", "*USRPRF"),
        "PW" => (Some(String::new()), "", ""),
        _ => return,
    };
    if let Some(name) = name {
        facts.insert("Object name".to_owned(), name);
    }
    for (field, value) in [("Library name", library), ("Object library", library), ("Object type", kind)] {
        facts.insert(field.to_owned(), value.to_owned());
    }
}

/// A fitting value for a field; none leaves it blank.
fn value(
    entry_type: &str,
    name: &str,
    kind: FieldType,
    length: usize,
    scenario: &Scenario,
    rng: &mut Rng,
) -> Option<String> {
    let texts = &scenario.texts;
    let codes = coded_values(entry_type, name);
    if !codes.is_empty() && matches!(kind, FieldType::Char | FieldType::Packed) {
        return Some(rng.pick(codes).to_owned())
            .filter(|code| code.chars().count() <= length || kind != FieldType::Char);
    }
    let lower = name.to_ascii_lowercase();
    // Most objects are no IFS objects: their name and path blocks stay blank, as on a real system.
    if lower.contains("ifs")
        || lower.starts_with("path name")
        || lower.contains("file id")
        || lower.contains("ccsid")
        || lower.contains("country")
        || lower.contains("language")
    {
        return None;
    }
    // So do auxiliary storage pools and documents of the office product, which few systems have.
    if ["asp ", "office", "on behalf", "dlo", "folder", "identification"]
        .iter()
        .any(|part| lower.contains(part))
    {
        return None;
    }
    if kind == FieldType::Char && length > 1 {
        let special: &[&str] = match lower.as_str() {
            "profile status" => &["*ENABLED", "*DISABLED"],
            "user class" => &["*USER", "*PGMR", "*SECOFR"],
            "group profile" | "supplemental group profiles" => &["*NONE"],
            "owner" => &["*USRPRF"],
            _ if lower.contains("group") => &[""],
            _ => &[],
        };
        if !special.is_empty() {
            return Some((*special.get(rng.below(special.len()))?).to_owned());
        }
    }
    match kind {
        FieldType::Char if lower.contains("command string") => Some(rng.pick(&texts.commands).to_owned()),
        FieldType::Char if lower.contains("user") || lower.contains("owner") || lower.contains("profile") => {
            Some(rng.pick(&texts.users).to_owned())
        }
        FieldType::Char if lower.contains("object type") => {
            Some(["*FILE", "*PGM", "*USRPRF", "*DTAARA"][rng.below(4)].to_owned())
        }
        FieldType::Char if lower.contains("object name") => Some(rng.pick(&texts.objects).to_owned()),
        FieldType::Char if lower.contains("librar") => Some(rng.pick(&texts.libraries).to_owned()),
        FieldType::Char if lower.contains("program") => Some(rng.pick(&texts.programs).to_owned()),
        FieldType::Char if lower.contains("system value") => {
            Some(["QSECURITY", "QPWDMINLEN", "QAUDLVL", "QTIME"][rng.below(4)].to_owned())
        }
        FieldType::Char if lower == "new value" || lower == "old value" => Some(format!("{}", rng.below(60))),
        FieldType::Char if length == 1 => Some(if rng.below(2) == 0 { "Y".into() } else { " ".into() }),
        FieldType::Char if lower.contains("device") => Some(format!("DSP{:02}", rng.below(40))),
        FieldType::Timestamp => Some("2026-11-22-10.11.12.000013".into()),
        FieldType::Zoned | FieldType::Bin if lower.contains("number") => Some(rng.below(100).to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mix_has_its_weights_and_repeats_with_its_seed() {
        let scenario = Scenario::default();
        let page = scenario.page().expect("known");
        let (mut one, mut two) = (Mix::new(&scenario, page), Mix::new(&scenario, page));
        let mut reads = 0;
        for _ in 0..10_000 {
            let (body, port) = one.next().expect("a pool");
            assert_eq!(Some((Arc::clone(&body), port)), two.next());
            reads += usize::from(body.entry_type == "ZR");
            assert!(body.fields.len() > 4 && !body.user.is_empty());
        }
        assert!((3_400..4_600).contains(&reads), "{reads}");
    }

    #[test]
    fn objects_of_libraries_have_no_block_of_the_integrated_file_system() {
        let scenario = Scenario::default();
        let mut mix = Mix::new(&scenario, scenario.page().expect("known"));
        for _ in 0..1_000 {
            let (body, _) = mix.next().expect("a pool");
            let of_block = |name: &str| {
                let name = name.to_ascii_lowercase();
                ["ccsid", "country", "language", "file id", "ifs"].iter().any(|part| name.contains(part))
            };
            let filled = body.fields.iter().find(|field| {
                of_block(&field.name)
                    && !field.text.bytes().all(|byte| byte == b'0')
                    && !field.text.is_empty()
            });
            assert_eq!(filled, None, "{}", body.entry_type);
        }
    }

    #[test]
    fn a_command_is_the_object_of_its_entry() {
        let scenario = Scenario::default();
        let page = scenario.page().expect("known");
        let body = make("CD", &scenario, page, &mut Rng::new(7)).expect("known");
        let field = |name: &str| {
            body.fields
                .iter()
                .find(|field| field.name == name)
                .map(|field| field.text.as_str())
                .expect("there")
        };
        assert_eq!(Some(field("Object name")), field("Command string").split(' ').next());
        assert_eq!((field("Library name"), field("Object type")), ("QSYS", "*CMD"));
    }

    #[test]
    fn an_empty_mix_makes_nothing() {
        let mut scenario = Scenario::default();
        scenario.traffic.mix.clear();
        assert!(Mix::new(&scenario, scenario.page().expect("known")).next().is_none());
    }
}
