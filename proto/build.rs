//! Compiles the schema texts with protox, so that no `protoc` is needed.

use std::path::Path;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = ["opamp.proto", "muster.proto"];
    for file in files {
        println!("cargo::rerun-if-changed={file}");
    }
    let descriptors = protox::compile(files.map(Path::new), [Path::new(".")])?;
    // Sorted maps: one value has one encoding, which golden files and comparisons rely on.
    prost_build::Config::new().btree_map(["."]).compile_fds(descriptors)?;
    Ok(())
}
