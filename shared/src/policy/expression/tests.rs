//! Expressions: what they say of an event, and what is refused.

use super::*;
use crate::event::{EventKind, field};
use proptest::prelude::*;

fn event() -> Event {
    let mut event = Event::new();
    event.kind = EventKind::Audit { code: b'T', entry_type: *b"CP", subtype: b'A' };
    event.name = "User profile changed";
    event.severity = Severity::clamped(7);
    // A Wednesday; a Thursday by the partition's clock.
    event.time_us = "2026-11-25T23:30:05Z".parse::<jiff::Timestamp>().unwrap().as_microsecond();
    event.push(field::USER, "BOB");
    event.push(field::TARGET_USER, "BOB");
    event.push(field::COMMAND, "CHGUSRPRF USRPRF(BOB) SPCAUT(*ALLOBJ)");
    event.push(field::REMOTE_PORT, "8471");
    event.push(field::PATH, "/a");
    event.push(field::PATH, "/b/c");
    event
}

fn evaluate(text: &str, event: &Event) -> Result<bool, String> {
    let expression = Expression::compile(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let source = EventSource::new("audit", 3_600);
    expression.holds(event, source, event.severity).map_err(|fault| fault.to_string())
}

#[test]
fn what_is_true_of_an_event() {
    let cases: [(&str, bool); 64] = [
        ("true", true),
        ("event.user == \"BOB\"", true),
        ("event.user == 'EVE'", false),
        ("event.user != event.target_user", false),
        ("event.user == event.target_user && event.severity >= 7", true),
        ("event.severity > 7 || event.type == \"CP\"", true),
        ("!(event.severity > 7)", true),
        (
            "event.id == \"CP_A\" && event.type == \"CP\" && event.subtype == \"A\" && event.code == \"T\"",
            true,
        ),
        ("event.source == \"audit\" && event.kind == \"audit_journal\"", true),
        ("event.name.contains(\"profile\")", true),
        ("event.command.contains(\"*ALLOBJ\")", true),
        ("event.command.startsWith(\"CHGUSRPRF\") && event.command.endsWith(\")\")", true),
        ("event.command.lowerAscii().contains(\"allobj\")", true),
        ("event.user.upperAscii() == \"BOB\" && \" x \".trim() == \"x\"", true),
        ("event.command.matches(\"USRPRF\\\\((BOB|EVE)\\\\)\")", true),
        ("event.command.matches('^USRPRF')", false),
        ("event.user.matches(r'^[A-Z]{3}$')", true),
        ("size(event.user) == 3 && event.user.size() == 3", true),
        ("event.remote_port > 1024 && event.remote_port < 65536", true),
        ("event.remote_port in [21, 8471]", true),
        ("event.user in [\"ALICE\", \"BOB\"]", true),
        ("!(event.user in [\"ALICE\"])", true),
        ("event.fields[\"user\"] == \"BOB\"", true),
        ("event.fields.user == \"BOB\"", true),
        ("event.fields[\"subtype\"] == \"\"", true),
        // A text that is not there is empty.
        ("event.job_name == \"\"", true),
        ("has(event.job_name)", false),
        ("has(event.user)", true),
        ("has(event.fields.user)", true),
        ("has(event.local_port) && event.local_port == 21", false),
        ("!has(event.local_port) || event.local_port == 21", true),
        ("\"/b/c\" in event.values[\"path\"]", true),
        ("\"/c\" in event.values[\"path\"]", false),
        ("size(event.values[\"path\"]) == 2", true),
        ("size(event.values[\"job_name\"]) == 0", true),
        ("event.values[\"path\"].exists(p, p.startsWith(\"/b\"))", true),
        ("event.values[\"path\"].all(p, p.startsWith(\"/b\"))", false),
        ("event.values[\"path\"].exists_one(p, p == \"/a\")", true),
        ("event.values.path.exists(p, p == event.path)", true),
        ("[\"/x\", \"/a\"].exists(p, p == event.path)", true),
        ("event.values[\"path\"][1] == \"/b/c\"", true),
        ("event.severity > 5 ? event.user == \"BOB\" : false", true),
        ("event.severity + 1 == 8 && event.severity - 1 == 6 && event.severity * 2 == 14", true),
        ("event.severity / 2 == 3 && event.severity % 2 == 1 && -event.severity == -7", true),
        ("1.5 + 1.0 > 2.0 && event.severity < 7.5", true),
        ("string(event.severity) + \"x\" == \"7x\"", true),
        ("int(\"12\") == 12 && int(3.9) == 3 && double(\"1.5\") == 1.5", true),
        ("event.time > timestamp(\"2026-11-25T00:00:00Z\")", true),
        ("event.time < timestamp(\"2026-11-26T00:00:00+01:00\")", false),
        (
            "event.time.getFullYear() == 2026 && event.time.getMonth() == 10 && event.time.getDate() == 25",
            true,
        ),
        ("event.time.getDayOfMonth() == 24 && event.time.getDayOfWeek() == 3", true),
        (
            "event.time.getHours() == 23 && event.time.getMinutes() == 30 && event.time.getSeconds() == 5",
            true,
        ),
        ("event.local_time.getHours() == 0 && event.local_time.getDayOfWeek() == 4", true),
        ("event.time.getDayOfYear() == 328", true),
        ("event.local_time > event.time", true),
        ("event.user <= \"BOC\"", true),
        ("event.user + \"/\" + event.target_user == \"BOB/BOB\"", true),
        // One side decides, whatever becomes of the other.
        ("event.local_port == 21 || event.user == \"BOB\"", true),
        ("event.user == \"EVE\" && event.local_port == 21", false),
        ("[1, 2].all(n, n > 0) && [[1].exists(n, n == 1), true].all(b, b)", true),
        ("event.severity == 7 // with a comment", true),
        ("event.severity\n  == 7", true),
        ("event.raw == \"\"", true),
        ("event.user == \"B\" + \"OB\"", true),
    ];
    for (text, expected) in cases {
        assert_eq!(evaluate(text, &event()), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_neither_true_nor_false() {
    let lacks = "the event has no local_port; ask has(event.local_port) first";
    let mut odd = event();
    odd.push(crate::event::dictionary().find("local_port").unwrap(), "*ANY");
    for (text, of, expected) in [
        ("event.local_port == 21", &event(), lacks),
        ("event.local_port == 21 || event.user == \"EVE\"", &event(), lacks),
        ("event.local_port == 21", &odd, "the event's local_port is no whole number"),
    ] {
        assert_eq!(evaluate(text, of), Err(expected.to_owned()), "{text}");
    }
    for text in [
        "event.severity / (event.severity - 7) == 1",
        "event.severity % (event.severity - 7) == 1",
        "9223372036854775807 + event.severity > 0",
        "int(event.user) == 1",
        "event.values[\"path\"][2] == \"/a\"",
    ] {
        assert!(evaluate(text, &event()).is_err(), "{text}");
    }
}

#[test]
fn what_is_refused_says_why() {
    let cases: [(&str, &str); 43] = [
        ("", "is empty"),
        ("  ", "is empty"),
        ("event.user ==", "at character"),
        ("event.user == \"BOB", "at character"),
        ("event.user = \"BOB\"", "at character"),
        ("user == \"BOB\"", "at character 1: `user` is not known; what an event has is written event.user"),
        ("event.usr == \"BOB\"", "`usr` is no field; docs/fields.md lists them"),
        ("event.fields[\"usr\"] == \"\"", "`usr` is no field"),
        ("event.fields[event.user] == \"\"", "names no field; write its keyword in quotes"),
        ("event.fields == 1", "names no field; write event.fields[\"user\"]"),
        ("event", "`event` alone is no value"),
        ("event.user", "is a text; a condition is true or false"),
        ("event.severity", "is a whole number; a condition is true or false"),
        ("event.time", "is a time"),
        ("event.user == 1", "`==` does not take a text and a whole number"),
        ("event.user && true", "`&&` does not take a text and true or false"),
        ("!event.user", "`!` does not take a text"),
        ("event.user > 1", "`>` does not take"),
        ("event.time > 5", "`>` does not take a time and a whole number"),
        ("event.time == \"2026-01-01\"", "`==` does not take a time and a text"),
        ("event.user + 1 == \"\"", "`+` does not take"),
        ("event.user in \"BOB\"", "`in` does not take"),
        ("event.severity in [\"a\"]", "`in` does not take"),
        ("event.user in []", "is an empty list"),
        ("event.user in [\"a\", 1]", "is a whole number in a list of others"),
        ("true ? 1 : \"a\"", "`? :` does not take"),
        ("event.user.nothing()", "there is no function nothing()"),
        ("nothing(event.user)", "there is no function nothing()"),
        ("event.user.contains(1)", "contains() does not take a text and a whole number"),
        ("event.user.matches(event.path)", "matches() needs a regular expression in quotes"),
        ("event.user.matches(\"(\")", "is no regular expression"),
        ("event.severity.matches(\"a\")", "is asked of a whole number, which is no text"),
        ("event.user.getHours() == 1", "getHours() is asked of event.time or event.local_time"),
        ("timestamp(\"yesterday\") < event.time", "is no time; write timestamp("),
        ("has(event)", "at character"),
        ("has(event.severity)", "`severity` is no field"),
        ("{\"a\": 1}.a == 1", "only `event` has fields"),
        ("[1].map(n, n + 1) == [2]", "map and filter are not supported"),
        ("[1].exists(n, [1].exists(m, m == n))", "is a loop within a loop"),
        ("event.user.exists(n, n == 1)", "loops over a text, which is no list"),
        ("[1].exists(event, event == 1)", "gives an element the name `event`"),
        ("b\"x\" == b\"x\"", "is no text, number, true or false"),
        ("event.user == null", "is no text, number, true or false"),
    ];
    for (text, part) in cases {
        let error = Expression::compile(text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
        assert!(error.chars().count() < 300, "{text}: {error}");
    }
}

#[test]
fn a_place_is_the_character_that_is_wrong() {
    for (text, at) in [
        ("user == 1", 1),
        ("true && usr == \"A\"", 9),
        ("event.usr == \"A\"", 6),
        ("true &&\n  usr == \"A\"", 11),
    ] {
        assert_eq!(Expression::compile(text).unwrap_err().at, at, "{text}");
    }
}

#[test]
fn nothing_is_without_bounds() {
    let refused = |text: &str| Expression::compile(text).unwrap_err().to_string();
    assert!(
        refused(&format!("event.user == \"{}\"", "a".repeat(MAX_BYTES))).contains("longer than 2048 bytes")
    );
    assert!(refused(&format!("{}true{}", "(".repeat(65), ")".repeat(65))).contains("brackets"));
    assert!(refused(&vec!["true"; 200].join(" && ")).contains("operators"));
    assert!(refused("true\0").contains("NUL"));
    // A deep one is refused and costs no stack, whether its brackets are closed or not.
    for text in
        [format!("{}true{}", "(".repeat(60), ")".repeat(60)), "(".repeat(60), "[".repeat(60), "!".repeat(250)]
    {
        assert!(Expression::compile(&text).is_err(), "{text}");
    }
    let sums = format!("{} > 0", vec!["1"; 60].join("+"));
    assert!(refused(&sums).contains("nested too deep"), "{}", refused(&sums));
    let fields: Vec<String> = crate::event::dictionary()
        .rows()
        .iter()
        .take(33)
        .map(|row| format!("has(event.{})", row.keyword))
        .collect();
    assert!(refused(&fields.join("||")).contains("more than 32 different values"));
    let patterns = ["event.user.matches('a')"; 9].join("||");
    assert!(refused(&patterns).contains("more than 8 regular expressions"));
    // Texts made in a loop over 64 values.
    let costly = "event.values[\"path\"].exists(p, p + event.raw + event.raw + event.raw == \"\")";
    assert!(refused(costly).contains("steps an event"), "{}", refused(costly));
    let cheap = "event.values[\"path\"].exists(p, p.contains(\"x\") || p.contains(\"y\"))";
    assert!(Expression::compile(cheap).is_ok());
    assert!(refused("event.user.matches('(a{1000}){1000}')").contains("no regular expression"));
}

#[test]
fn only_what_is_mentioned_is_asked_for() {
    let expression = Expression::compile("event.user == event.user && event.severity > 3").unwrap();
    assert_eq!(expression.variables(), [Variable::Text(field::USER), Variable::Fact(facts::Fact::Severity)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any text is an expression or is refused; what is one gives an answer.
    #[test]
    fn any_text_is_survived(
        parts in proptest::collection::vec(prop_oneof![
            Just("event.user"), Just("event.severity"), Just("event.time"), Just("event.values[\"path\"]"), Just("\"a\""),
            Just("1"), Just("1.5"), Just("true"), Just("=="), Just("!="), Just("&&"), Just("||"), Just("("), Just(")"),
            Just("["), Just("]"), Just("{"), Just("}"), Just("?"), Just(":"), Just("!"), Just("-"), Just("+"), Just("/"),
            Just("%"), Just("in"), Just(".exists(x, x"), Just(".contains("), Just(".matches('a+')"), Just("has("), Just(","),
            Just(" "), Just("\n"), Just("'"), Just("\""), Just("é"), Just("`"), Just("//"), Just("\\"), Just("."),
        ], 0..24),
    ) {
        let text = parts.concat();
        if let Ok(expression) = Expression::compile(&text) {
            let _ = expression.holds(&event(), EventSource::default(), Severity::LOWEST);
        }
    }
}
