//! What the console's page may do in a browser, as a `Content-Security-Policy`.

/// Where the page takes its styles from.
///
/// Files of the bundle only: neither `<style>` elements that a script adds nor `style` attributes in markup, which
/// could be used to draw over the page or to send out what it shows. What components set through the object model
/// (`element.style.width = …`, constructed style sheets) is not concerned. A library that needs more is used
/// in a way that does not (a shadow root, for instance), or replaced; if neither is possible, `style-src-attr`
/// is the smaller hole, and belongs here.
pub(super) const STYLES: &str = "style-src 'self'";

/// All directives but [`STYLES`]. What is not named is refused: workers, frames, plug-ins, media.
///
/// There is no `require-trusted-types-for 'script'`: it refuses `innerHTML`, by which libraries of components and
/// charts draw their tooltips. Without inline scripts, a script does not run that got in that way.
pub(super) const OTHERS: &str = "default-src 'none'; script-src 'self'; img-src 'self' data:; font-src 'self'; \
                                 connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
                                 frame-ancestors 'none'";

/// The header's value.
pub(super) fn value() -> String {
    format!("{OTHERS}; {STYLES}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_the_own_files_and_no_code_in_texts() {
        let value = value();
        for never in ["unsafe-eval", "unsafe-hashes", "http:", "https:", "*", "blob:", "script-src 'self' "] {
            assert!(!value.contains(never), "{never} in {value}");
        }
        assert!(value.starts_with("default-src 'none'; script-src 'self'; "), "{value}");
        assert!(value.contains("frame-ancestors 'none'") && value.contains("base-uri 'none'"), "{value}");
    }
}
