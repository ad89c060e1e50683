//! Texts of messages in the partition's language. The English ones follow what public logs show; the others are
//! translations of our own.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// One message description.
#[derive(Debug)]
pub struct Description {
    /// `INFORMATIONAL`, `INQUIRY` ….
    pub kind: String,
    /// 0 to 99.
    pub severity: i64,
    /// Program that sends it.
    pub program: String,
    /// Text by language: English, German, French.
    texts: [String; 3],
}

static DESCRIPTIONS: LazyLock<BTreeMap<String, Description>> = LazyLock::new(|| {
    let mut reader = csv::Reader::from_reader(include_str!("../../data/messages.csv").as_bytes());
    reader
        .records()
        .filter_map(|record| {
            let record = record.ok()?;
            let description = Description {
                kind: record[1].to_owned(),
                severity: record[2].parse().ok()?,
                program: record[3].to_owned(),
                texts: [record[4].to_owned(), record[5].to_owned(), record[6].to_owned()],
            };
            Some((record[0].to_owned(), description))
        })
        .collect()
});

/// The description of a message, if the message file has it.
#[must_use]
pub fn description(id: &str) -> Option<&'static Description> {
    DESCRIPTIONS.get(id)
}

/// Whether texts of that language are there: `ENU`, `DEU`, `FRA`.
#[must_use]
pub fn has_language(language: &str) -> bool {
    matches!(language, "ENU" | "DEU" | "FRA")
}

impl Description {
    /// The text with its fields put in; a field that is not given stays empty.
    #[must_use]
    pub fn text(&self, language: &str, fields: &BTreeMap<String, String>) -> String {
        let [english, german, french] = &self.texts;
        let mut rest = match language {
            "DEU" => german.as_str(),
            "FRA" => french.as_str(),
            _ => english.as_str(),
        };
        let mut out = String::with_capacity(rest.len() + 64);
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let (name, after) = after.split_once('}').unwrap_or((after, ""));
            out.push_str(fields.get(name).map_or("", String::as_str));
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// Date as the language writes it: `11/26/26`, `26.11.26`, `26/11/26`.
#[must_use]
pub fn date(language: &str, at: i64) -> String {
    let (year, month, day) = crate::time::civil(at.div_euclid(crate::time::DAY));
    let year = year.rem_euclid(100);
    match language {
        "DEU" => format!("{day:02}.{month:02}.{year:02}"),
        "FRA" => format!("{day:02}/{month:02}/{year:02}"),
        _ => format!("{month:02}/{day:02}/{year:02}"),
    }
}

/// Time of day: `08:43:48`.
#[must_use]
pub fn time_of_day(at: i64) -> String {
    let mut out = String::new();
    crate::time::write_time(at, ':', &mut out);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_filled_in_each_language() {
        let fields = BTreeMap::from([
            ("job".to_owned(), "370690/ICESYS/LEADUPLOAD".to_owned()),
            ("date".to_owned(), date("ENU", 0)),
            ("time".to_owned(), time_of_day(31_428_000_000)),
            ("cpu".to_owned(), ".024".to_owned()),
            ("code".to_owned(), "0".to_owned()),
        ]);
        let end = description("CPF1164").expect("there");
        assert_eq!(
            end.text("ENU", &fields),
            "Job 370690/ICESYS/LEADUPLOAD ended on 01/01/70 at 08:43:48; .024 seconds used; end code 0 ."
        );
        assert!(end.text("DEU", &fields).ends_with("beendet; .024 Sekunden verbraucht; Endecode 0 ."));
        assert!(end.text("FRA", &fields).contains("s'est arrêté le"));
        assert_eq!((date("DEU", 0), date("FRA", 0)), ("01.01.70".to_owned(), "01/01/70".to_owned()));
        assert!(description("XYZ0001").is_none() && has_language("DEU") && !has_language("ITA"));
    }
}
