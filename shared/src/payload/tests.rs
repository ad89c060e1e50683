//! Tables of texts and what they are read as, and what holds for any text.

use super::*;
use crate::event::{Event, dictionary, field};
use proptest::prelude::*;

/// What a payload is, in one line: kind, header, pairs.
fn shown(text: &str) -> String {
    let payload = detect(text);
    let header = [
        &payload.vendor,
        &payload.product,
        &payload.version,
        &payload.event_id,
        &payload.name,
        &payload.severity,
    ];
    let header: Vec<&str> = header.iter().map(|field| field.as_ref()).collect();
    let pairs: Vec<String> =
        payload.pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect();
    format!("{} [{}] {}", payload.kind.as_str(), header.join("|"), pairs.join(", "))
}

#[test]
fn cef() {
    let cases = [
        (
            "CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|8|suser=bob msg=two words fname=a b",
            "cef [Acme|Payroll|2.1|SAL-7|Salary changed|8] suser=bob, msg=two words, fname=a b",
        ),
        // Escapes of header and extension.
        (
            r"CEF:1|A\|B|C\\D|1|7|x|Low|msg=a\=b\\c\nd\re request=C:\temp\x",
            "cef [A|B|C\\D|1|7|x|Low] msg=a=b\\c\nd\re, request=C:\\temp\\x",
        ),
        // A syslog header before it, and no last pipe.
        ("<134>Nov 22 10:00:00 prod01 CEF:0|A|B|1|7|x|3", "cef [A|B|1|7|x|3] "),
        ("<134>1 2026-11-22T10:00:00Z prod01 app - - - CEF:0|A|B|1|7|x|3|", "cef [A|B|1|7|x|3] "),
        // Custom fields are called by their labels; one without a label keeps its key.
        (
            "CEF:0|A|B|1|7|x|3|cs1Label=order no cs1=4711 cn1=5 cn2Label=pieces cn2=6 devCs1=z",
            "cef [A|B|1|7|x|3] order no=4711, cn1=5, pieces=6, devCs1=z",
        ),
        // An equals sign in a value that was not escaped, empty values, no key at all.
        (
            "CEF:0|A|B|1|7|x|3|request=http://h/?a=1&b=2 act= dst=10.1.1.1",
            "cef [A|B|1|7|x|3] request=http://h/?a=1&b=2, dst=10.1.1.1",
        ),
        ("CEF:0|A|B|1|7|x|3|no pairs here", "cef [A|B|1|7|x|3] "),
        ("CEF:0|A|B|1|7|x|3|a=\\", "cef [A|B|1|7|x|3] a=\\"),
        // No CEF: header not whole, no version, a word that ends like the marker.
        ("CEF:0|A|B|1|7|x", "text [|||||] "),
        ("CEF:x|A|B|1|7|x|3|a=b", "text [|||||] "),
        ("myCEF:0|A|B|1|7|x|3|a=b", "text [|||||] "),
        ("CEF:", "text [|||||] "),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn leef() {
    let cases = [
        (
            "LEEF:1.0|Acme|Payroll|2.1|SAL-7|usrName=bob\tsrc=10.1.1.1\tmsg=two words\tsev=7",
            "leef [Acme|Payroll|2.1|SAL-7||7] usrName=bob, src=10.1.1.1, msg=two words",
        ),
        (
            "LEEF:2.0|Acme|Payroll|2.1|SAL-7|^|usrName=bob^eventName=Salary^empty=^a=b=c",
            "leef [Acme|Payroll|2.1|SAL-7|Salary|] usrName=bob, a=b=c",
        ),
        ("LEEF:2.0|A|B|1|7|x1F|a=1\u{1f}b=2", "leef [A|B|1|7||] a=1, b=2"),
        ("LEEF:2.0|A|B|1|7|0x7C|a=1|b=2", "leef [A|B|1|7||] a=1, b=2"),
        // The delimiter is empty, or left out.
        ("LEEF:2.0|A|B|1|7||a=1\tb=2", "leef [A|B|1|7||] a=1, b=2"),
        ("LEEF:2.0|A|B|1|7|a=1\tb=x|y", "leef [A|B|1|7||] a=1, b=x|y"),
        ("LEEF:1.0|A|B|1|7|a=x|y\tb=2", "leef [A|B|1|7||] a=x|y, b=2"),
        ("LEEF:1.0|A|B|1|7", "leef [A|B|1|7||] "),
        ("<13>Nov 22 10:00:00 prod01 LEEF:1.0|A|B|1|7|a=1", "leef [A|B|1|7||] a=1"),
        ("LEEF:3.0|A|B|1|7|a=1", "text [|||||] "),
        ("LEEF:1.0|A|B", "text [|||||] "),
        ("LEEF:2.0|A|B|1|7|xFFFFFF|a=1", "leef [A|B|1|7||] "),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn json() {
    let cases = [
        (
            r#"{"app_vendor":"Acme","event_id":"SAL-7","severity":"high","user":"bob","amount":12,"ok":true,"no":null}"#,
            "json [Acme|||SAL-7||high] user=bob, amount=12, ok=true",
        ),
        (
            r#" {"a":{"b":{"c":1},"d":[1,"x"]},"e":"\"q\"\n"} "#,
            "json [|||||] a.b.c=1, a.d=[1,\"x\"], e=\"q\"\n",
        ),
        (r#"{"a":{"b":{"c":{"d":{"e":1}}}}}"#, r#"json [|||||] a.b.c.d={"e":1}"#),
        ("{}", "json [|||||] "),
        ("{\"a\":1} x", "text [|||||] "),
        ("{\"a\":", "text [|||||] "),
        ("{not json}", "text [|||||] "),
        ("[1,2]", "text [|||||] "),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn key_value() {
    let cases = [
        ("order=4711 user=BOB", "key_value [|||||] order=4711, user=BOB"),
        ("order=4711, user=BOB; amount=12.50", "key_value [|||||] order=4711, user=BOB, amount=12.50"),
        ("event_id=SAL-7 severity=7 eventName=Salary product=4", "key_value [|||SAL-7|Salary|7] product=4"),
        ("text=two words user=BOB", "key_value [|||||] text=two words, user=BOB"),
        (r#"text="a=b, \"c\"" user='B B'"#, r#"key_value [|||||] text=a=b, "c", user=B B"#),
        (r#"text="never closed user=BOB"#, r#"key_value [|||||] text="never closed, user=BOB"#),
        (r#"text="a" and more user=BOB"#, r#"key_value [|||||] text="a" and more, user=BOB"#),
        ("a= b=1", "key_value [|||||] b=1"),
        ("a=1 ; ;", "key_value [|||||] a=1"),
        ("Größe=1 b=2", "text [|||||] "),
        ("order 4711 user=BOB", "text [|||||] "),
        ("=1", "text [|||||] "),
        ("plain words", "text [|||||] "),
        ("", "text [|||||] "),
    ];
    for (text, expected) in cases {
        assert_eq!(shown(text), expected, "{text}");
    }
}

#[test]
fn severities_are_numbers_or_words() {
    let cases = [
        ("0", Some(1)),
        ("7", Some(7)),
        ("10", Some(10)),
        ("11", None),
        ("Low", Some(3)),
        ("Medium", Some(5)),
        ("High", Some(8)),
        ("Very-High", Some(10)),
        ("WARN", Some(5)),
        ("Unknown", None),
        ("", None),
    ];
    for (word, expected) in cases {
        let text = format!("CEF:0|A|B|1|7|x|{word}|");
        assert_eq!(detect(&text).level().map(Severity::get), expected, "{word}");
    }
}

#[test]
fn no_more_pairs_than_there_is_room_for() {
    let text: Vec<String> = (0..100).map(|number| format!("k{number}=v")).collect();
    for text in [text.join(" "), format!("CEF:0|A|B|1|7|x|3|{}", text.join(" "))] {
        let payload = detect(&text);
        assert_eq!((payload.pairs.len(), payload.left_out), (MAX_PAIRS, 100 - MAX_PAIRS));
    }
    let long = format!("{{\"{}\":1,\"b\":2}}", "k".repeat(MAX_KEY + 1));
    assert_eq!((detect(&long).pairs.len(), detect(&long).left_out), (1, 1));
}

fn fields(event: &Event) -> Vec<(&str, &str)> {
    let keyword = |id| dictionary().get(id).keyword.as_str();
    event.fields().iter().map(|field| (keyword(field.id), event.text(field))).collect()
}

#[test]
fn what_a_text_says_becomes_fields() {
    let text = "CEF:0|Acme|Payroll|2.1|SAL-7|Salary changed|8|suser=bob duser=ann src=10.1.1.1 spt=99 src=x orderNo=4711";
    let mut event = Event::new();
    detect(text).push_into(&mut event);
    let expected = [
        ("message", text),
        ("app_format", "cef"),
        ("app_vendor", "Acme"),
        ("app_product", "Payroll"),
        ("app_version", "2.1"),
        ("app_event_id", "SAL-7"),
        ("app_name", "Salary changed"),
        ("app_severity", "8"),
        ("app_user", "bob"),
        ("target_user", "ann"),
        ("remote_address", "10.1.1.1"),
        ("remote_port", "99"),
        ("app_field", "src=x"),
        ("app_field", "orderNo=4711"),
    ];
    assert_eq!(fields(&event), expected);
    assert_eq!(event.severity.get(), 8);
    // What the system saw is not replaced.
    let mut event = Event::new();
    event.push(field::REMOTE_ADDRESS, "192.0.2.1");
    detect("LEEF:1.0|A|B|1|7|src=10.1.1.1\tsrcPort=9").push_into(&mut event);
    let told: Vec<_> =
        fields(&event).into_iter().filter(|(keyword, _)| !keyword.starts_with("app_v")).collect();
    assert_eq!(told[0], ("remote_address", "192.0.2.1"));
    assert_eq!(told[told.len() - 2..], [("app_field", "src=10.1.1.1"), ("app_field", "srcPort=9")]);
    // Plain text is a message and nothing else.
    let mut event = Event::new();
    detect("  PAYROLL CLOSED ").push_into(&mut event);
    assert_eq!(fields(&event), [("message", "PAYROLL CLOSED")]);
    assert_eq!(event.severity, Severity::LOWEST);
}

proptest! {
    #[test]
    fn any_text_is_safe(
        text in prop_oneof![
            any::<String>(),
            "(CEF:0|LEEF:[12].0|\\{\"|a)[|=\\\\ \t\"'{}:,;a-cä^]{0,60}",
            "[a-c]=[=\"' ,;\\\\a-cé]{0,30}",
        ],
    ) {
        let payload = detect(&text);
        prop_assert_eq!(payload.text, text.trim());
        for pair in &payload.pairs {
            prop_assert!(!pair.value.trim().is_empty());
        }
        let mut event = Event::new();
        payload.push_into(&mut event);
        prop_assert_eq!(event.get(field::MESSAGE).unwrap_or_default(), text.trim());
    }

    #[test]
    fn cef_comes_back(pairs in proptest::collection::vec(("k[a-z]{1,8}", "[a-z=\\\\|]([a-z =\\\\|é]{0,10}[a-z=\\\\|])?"), 0..8)) {
        let escape = |value: &str| value.replace('\\', "\\\\").replace('=', "\\=");
        let extension: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={}", escape(value))).collect();
        let text = format!("CEF:0|A|B|1|7|x|3|{}", extension.join(" "));
        let payload = detect(&text);
        let seen: Vec<_> = payload.pairs.iter().map(|p| (p.key.to_string(), p.value.to_string())).collect();
        prop_assert_eq!(seen, pairs);
    }

    #[test]
    fn leef_comes_back(pairs in proptest::collection::vec(("k[a-z]{1,8}", "[a-z=|]([a-z =|é]{0,10}[a-z=|])?"), 0..8)) {
        let attributes: Vec<String> = pairs.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let text = format!("LEEF:2.0|A|B|1|7|^|{}", attributes.join("^"));
        let payload = detect(&text);
        let seen: Vec<_> = payload.pairs.iter().map(|p| (p.key.to_string(), p.value.to_string())).collect();
        prop_assert_eq!(seen, pairs);
    }
}
