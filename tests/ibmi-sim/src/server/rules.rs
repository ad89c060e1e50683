//! The rules of iprules.conf: who may sign on from where.

use std::net::IpAddr;

/// Line of the rule that refuses this user from this address; the last match counts.
pub(super) fn denied(rules: Option<&[String]>, user: &str, address: IpAddr) -> Option<usize> {
    let standard = ["allow *@*".to_owned(), "deny q*@*".to_owned()];
    let rules = rules.unwrap_or(&standard);
    let subject = format!("{}@{address}", user.to_ascii_lowercase());
    let mut verdict = None;
    for (index, rule) in rules.iter().enumerate() {
        let Some((word, pattern)) = rule.trim().split_once(' ') else { continue };
        if wild(&pattern.trim().to_ascii_lowercase(), &subject) {
            verdict = (word == "deny").then_some(index + 1);
        }
    }
    verdict
}

fn wild(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((head, tail)) => text.strip_prefix(head).is_some_and(|rest| {
            (0..=rest.len()).any(|at| rest.is_char_boundary(at) && wild(tail, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_counts() {
        let home: IpAddr = [127, 0, 0, 1].into();
        assert_eq!(denied(None, "QSECOFR", home), Some(2));
        assert_eq!(denied(None, "MUSTER", home), None);
        let rules = ["deny *@*".to_owned(), "allow bob@127.*".to_owned()];
        assert_eq!(denied(Some(&rules), "BOB", home), None);
        assert_eq!(denied(Some(&rules), "BOB", [10, 0, 0, 1].into()), Some(1));
    }
}
