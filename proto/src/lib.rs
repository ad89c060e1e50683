//! What goes over wires, nothing else.
#![forbid(unsafe_code)]

pub mod mapepire;
