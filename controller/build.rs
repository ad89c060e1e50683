//! Sees to it that the web console is embedded again after it was built again, and says so when it is left out.
//!
//! The console is built by `make console`, never by this program: it writes nothing, and needs no Node.js.

use std::path::Path;

/// What `make console` builds.
const DIST: &str = "console/dist";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    if Path::new(DIST).join("index.html").is_file() {
        println!("cargo:rerun-if-changed={DIST}");
        return;
    }
    // Where it will appear: Cargo takes a path that is not there for one that changed, and would compile the
    // controller anew each time.
    println!("cargo:rerun-if-changed=console");
    println!(
        "cargo:warning=the web console is left out: controller/{DIST} is not there. Install Node.js and run `make console` to have it"
    );
}
