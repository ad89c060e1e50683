use super::*;
use jiff::Timestamp;
use muster_proto::api::PolicyRevisionView;
use muster_shared::policy::limits::LimitsSpec;
use muster_shared::policy::parse_document;

/// Documents in force, with the texts that they were published as.
#[derive(Default)]
struct Book {
    documents: Documents,
    stored: BTreeMap<String, StoredRevision>,
    signed: BTreeMap<String, usize>,
}

impl Book {
    fn of(texts: &[&str]) -> Self {
        let mut book = Self::default();
        for (number, text) in (1..).zip(texts) {
            let document = parse_document(text).unwrap();
            let view = PolicyRevisionView {
                comment: String::new(),
                name: document.name.clone(),
                revision: Revision(number),
                published_at: Timestamp::UNIX_EPOCH,
                published_by: "admin".to_owned(),
                removed: false,
                description: String::new(),
                selector: document.selector.clone(),
                priority: document.priority,
                sha256: String::new(),
                standing: Default::default(),
                rollout: None,
            };
            book.stored.insert(
                document.name.clone(),
                StoredRevision { view, text: (*text).to_owned(), signature: None },
            );
            book.documents.insert(document.name.clone(), (number, Arc::new(document)));
        }
        book
    }

    fn plan(&self, order: &Order, fleet: &FleetFacts) -> Plan {
        let (staged, staging) = (Vec::new(), BTreeMap::new());
        let present = Present {
            documents: &self.documents,
            stored: &self.stored,
            signed: &self.signed,
            staged: &staged,
            staging: &staging,
        };
        plan(order, present, fleet, &|id| format!("A{}", id.0.as_u128()))
    }
}

fn order(texts: &[&str]) -> Order {
    let documents = texts.iter().map(|t| Read::text((*t).to_owned())).collect();
    Order { documents, ..Order::default() }
}

fn agents(numbers: std::ops::Range<u128>) -> Vec<AgentId> {
    numbers.map(|n| AgentId(uuid::Uuid::from_u128(n))).collect()
}

fn labels(key: &str, value: &str) -> Labels {
    Labels::from([(key.to_owned(), value.to_owned())])
}

fn fleet() -> FleetFacts {
    let sets =
        BTreeMap::from([(labels("site", "east"), agents(1..8)), (labels("site", "west"), agents(8..10))]);
    FleetFacts { sets, ..FleetFacts::default() }
}

fn document(name: &str, selector: &str, priority: i32, spec: &str) -> String {
    format!(
        "{{api_version: muster/v1, name: {name}, selector: {{{selector}}}, priority: {priority}, spec: {{{spec}}}}}"
    )
}

const UDP: &str = "destinations: {d: {transport: {kind: tcp, address: 'siem:514'}}}";

fn actions(plan: &Plan) -> Vec<(&str, PlanAction, u64)> {
    plan.view.policies.iter().map(|p| (p.name.as_str(), p.action, p.agents)).collect()
}

#[test]
fn each_document_gets_its_action() {
    let (base, east) = (document("base", "", 0, UDP), document("east", "site: east", 5, ""));
    let book = Book::of(&[&base, &east, &document("old", "", 1, "")]);
    let changed = document("east", "site: east", 6, "");
    let new = document("west", "site: west", 5, "");
    let wanted = order(&[&base, &changed, &new]);
    let kept = book.plan(&wanted, &fleet());
    use PlanAction::{Create, Remove, Unchanged, Update};
    assert_eq!(actions(&kept), [("base", Unchanged, 9), ("east", Update, 7), ("west", Create, 2)]);
    assert!(kept.view.valid && kept.view.changes_something());
    assert_eq!(kept.changes.len(), 2);
    assert_eq!(kept.view.policies[1].changes[0].path, "priority");

    let pruned = book.plan(&Order { prune: true, ..wanted.clone() }, &fleet());
    assert_eq!(actions(&pruned)[3], ("old", Remove, 0));
    assert!(matches!(pruned.changes[2], Change::Remove(ref old) if old.view.name == "old"));

    let removed = book.plan(&Order { removals: vec!["old".to_owned()], ..Order::default() }, &fleet());
    assert_eq!(actions(&removed), [("old", Remove, 0)]);

    let same = book.plan(&order(&[&base, &east]), &fleet());
    assert!(!same.view.changes_something() && same.changes.is_empty() && same.groups.is_empty());
}

#[test]
fn a_set_is_checked_as_a_whole() {
    let one = document("one", "", 0, UDP);
    let two = document("two", "site: east", 0, UDP);
    let plan = Book::default().plan(&order(&[&one, &two]), &fleet());
    assert!(!plan.view.valid);
    let faults: Vec<_> = plan.view.policies.iter().map(|p| p.faults.len()).collect();
    assert_eq!(faults, [1, 0], "told once");
    assert!(plan.view.policies[0].faults[0].message.contains("`one` and `two` both set destinations.d"));
    assert!(plan.groups.is_empty());

    // Two documents may change places in one transaction, where one after the other could not.
    let book = Book::of(&[&one, &document("two", "", 1, UDP)]);
    let swapped = [document("one", "", 1, UDP), document("two", "", 0, UDP)];
    assert!(!book.plan(&order(&[&swapped[0]]), &fleet()).view.valid);
    let both = book.plan(&order(&[&swapped[0], &swapped[1]]), &fleet());
    assert!(both.view.valid, "{:?}", both.view);

    let twice = Book::default().plan(&order(&[&one, &document("one", "", 3, "")]), &fleet());
    assert_eq!(twice.view.policies[1].faults[0].path, "name");
    assert!(!twice.view.valid);

    let broken = Book::default().plan(&order(&["spec: [", &one]), &fleet());
    let names: Vec<_> = broken.view.policies.iter().map(|p| p.name.as_str()).collect();
    assert_eq!((names, broken.view.valid), (vec!["", "one"], false));
}

#[test]
fn a_signature_is_part_of_what_is_published() {
    let text = document("base", "", 0, UDP);
    let book = Book::of(&[&text]);
    let signed = |signature: &str| {
        let source =
            PolicyText { text: text.clone(), signature: Some(signature.to_owned()), ..PolicyText::default() };
        book.plan(&Order { documents: vec![Read::from(source)], ..Order::default() }, &fleet())
    };
    let form = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==";
    let plan = signed(form);
    assert_eq!((plan.view.valid, actions(&plan)), (true, vec![("base", PlanAction::Update, 9)]));
    assert!(matches!(&plan.changes[0], Change::Put { signature: Some(s), .. } if s == form));
    let unsigned = book.plan(&order(&[&text.replace("siem", "siem2")]), &fleet()).groups[0].bytes;
    let travels = signed(form).groups.first().map_or(0, |group| group.bytes);
    assert!(travels >= unsigned + text.len() + form.len() - 1, "{travels} and {unsigned}");
    let plan = signed("hello");
    assert!(!plan.view.valid && plan.view.policies[0].faults[0].message.contains("no detached minisign"));
}

#[test]
fn a_private_key_goes_no_further() {
    let text =
        document("a", "", 0, "").replace("spec", "description: '-----BEGIN PRIVATE KEY-----hunter2', spec");
    let plan = Book::default().plan(&order(&[&text]), &fleet());
    assert!(!plan.view.valid && plan.changes.is_empty());
    let told = format!("{:?}", plan.view);
    assert!(told.contains("holds a private key") && !told.contains("hunter2"), "{told}");
}

#[test]
fn nobody_selected_and_missing_secrets_are_warnings() {
    let tls = "destinations: {d: {transport: {kind: tls, address: 'siem:6514', client_certificate: qradar}}}";
    let mut fleet = fleet();
    fleet.secrets = vec![
        (BTreeSet::from(["qradar".to_owned()]), agents(1..3).into_iter().collect()),
        (BTreeSet::new(), agents(3..10).into_iter().collect()),
    ];
    let plan = Book::default().plan(&order(&[&document("a", "site: east", 0, tls)]), &fleet);
    assert!(plan.view.valid);
    let told = &plan.view.policies[0].warnings[0];
    assert_eq!(told.path, "spec.destinations.d.transport.client_certificate");
    assert!(
        told.message.contains("the secrets folder of A3, A4, A5, A6, A7 had no entry `qradar`"),
        "{told:?}"
    );
    let plan = Book::default().plan(&order(&[&document("a", "site: north", 0, UDP)]), &fleet);
    assert!(plan.view.policies[0].warnings[0].message.contains("no agent has the labels site=north now"));
    let plan = Book::default().plan(&order(&[&document("a", "", 0, UDP)]), &FleetFacts::default());
    assert_eq!(plan.view.policies[0].warnings, [], "an empty fleet is no surprise");
}

#[test]
fn what_is_too_large_together_is_refused_and_names_the_partitions() {
    let many = |from: usize| -> String {
        let one = |i| format!("d{i}: {{transport: {{kind: tcp, address: 'a:1'}}}}, ");
        format!("destinations: {{{}}}", (from..from + 40).map(one).collect::<String>())
    };
    let book = Book::of(&[&document("one", "", 0, &many(0))]);
    let plan = book.plan(&order(&[&document("two", "site: east", 1, &many(40))]), &fleet());
    assert!(!plan.view.valid);
    assert_eq!(
        plan.view.faults[0].message,
        "the merged policy of A1, A2, A3, A4, A5 and 2 more has 80 destinations, at most 64 are possible; it is \
         made of two, one"
    );
    let elsewhere = book.plan(&order(&[&document("two", "site: north", 1, &many(40))]), &fleet());
    assert!(elsewhere.view.valid, "nobody gets both");
}

#[test]
fn what_limits_forbid_is_a_warning_that_names_the_limit() {
    let mut fleet = fleet();
    let spec =
        LimitsSpec { destinations: Some(vec!["siem.example.com".to_owned()]), ..LimitsSpec::default() };
    fleet.limits = vec![(Limits::build(spec).unwrap(), agents(2..4).into_iter().collect())];
    let plan = Book::default().plan(&order(&[&document("a", "", 0, UDP)]), &fleet);
    assert!(plan.view.valid);
    assert_eq!(
        plan.view.warnings[0].message,
        "A2, A3 would refuse what is merged for it: its local limits forbid it: limit `destinations`: \
         spec.destinations.d: tcp://siem:514 is not among the allowed receivers"
    );
    let lost = "routes: {r: {destinations: [ghost]}}";
    let plan = Book::default().plan(&order(&[&document("a", "site: west", 0, lost)]), &fleet);
    assert!(plan.view.warnings[0].message.starts_with("A8, A9 would refuse"), "{:?}", plan.view.warnings);
}
