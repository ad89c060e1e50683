//! What goes over Muster's wires, and nothing else: bodies of the HTTP interface, OpAMP with Muster's own
//! payloads, and Mapepire frames. No socket, no runtime.
#![forbid(unsafe_code)]

pub mod api;
pub mod mapepire;
pub mod opamp;
pub mod session;
