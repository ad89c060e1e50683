//! By which versions a host comes to the one that is wanted.

use crate::admit::matches_from;
use crate::manifest::Manifest;
use semver::Version;
use std::collections::{BTreeMap, VecDeque};

/// The next package on the shortest way from `running` to `wanted`, of packages of one name and platform; of several
/// shortest ways the one by the newest versions. Going back is one step, to the package itself.
///
/// # Errors
/// Why there is none, and what to do.
pub fn next_step<'m>(
    running: &Version,
    wanted: &Version,
    packages: &'m [Manifest],
) -> Result<Option<&'m Manifest>, String> {
    if running == wanted {
        return Ok(None);
    }
    let Some(target) = packages.iter().find(|m| m.version == *wanted) else {
        return Err(format!("there is no package of {wanted} for it; upload one"));
    };
    if wanted < running {
        return Ok(Some(target));
    }
    // Backwards from the target: which packages lead to it in how many steps.
    let mut next: BTreeMap<&Version, &Manifest> = BTreeMap::new();
    let mut queue = VecDeque::from([target]);
    let mut found: Option<&Manifest> = None;
    let mut level_end = target;
    let mut deepest = target;
    while let Some(package) = queue.pop_front() {
        if matches_from(package, running) && found.is_none_or(|best| best.version < package.version) {
            found = Some(package);
        }
        let between = packages.iter().filter(|m| m.version > *running && m.version < package.version);
        for step in between.filter(|m| matches_from(package, &m.version)) {
            if next.insert(&step.version, package).is_none() {
                queue.push_back(step);
                deepest = step;
            }
        }
        // All ways of this length were looked at.
        if package.version == level_end.version {
            if found.is_some() {
                break;
            }
            level_end = deepest;
        }
    }
    found.map(Some).ok_or_else(|| {
        format!(
            "{wanted} upgrades from {}, and no package leads there from {running}; upload one between",
            target.upgrade_from
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::manifest;

    fn package(version: &str, from: &str) -> Manifest {
        let mut manifest = manifest(version);
        manifest.upgrade_from = from.parse().unwrap();
        manifest
    }

    #[test]
    fn the_shortest_way() {
        let packages = [
            package("0.2.0", ">=0.1"),
            package("0.3.0", ">=0.2"),
            package("0.3.1", ">=0.2"),
            package("0.4.0", ">=0.3"),
            package("0.9.0", ">=0.8"),
        ];
        let cases = [
            ("0.4.0", "0.4.0", "-"),
            ("0.3.0", "0.4.0", "0.4.0"),
            ("0.2.0", "0.4.0", "0.3.1"),
            ("0.1.0", "0.4.0", "0.2.0"),
            ("0.4.0", "0.2.0", "0.2.0"),
            ("0.1.0", "0.9.0", "no package leads there from 0.1.0"),
            ("0.1.0", "0.5.0", "no package of 0.5.0"),
        ];
        for (running, wanted, expected) in cases {
            let told = match next_step(&running.parse().unwrap(), &wanted.parse().unwrap(), &packages) {
                Ok(step) => step.map_or("-".to_owned(), |m| m.version.to_string()),
                Err(why) => why,
            };
            assert!(told.contains(expected), "{running} to {wanted}: {told}");
        }
    }
}
