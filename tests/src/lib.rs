//! What the stories share: processes that end with the test, waiting for an event instead of sleeping,
//! and a sandbox with simulated partitions, agents and a controller.
#![forbid(unsafe_code)]

pub mod browser;
pub mod demo;
pub mod eventually;
pub mod everything;
pub mod load;
pub mod namespace;
pub mod packages;
pub mod partition;
pub mod policies;
pub mod process;
pub mod proxy;
pub mod readers;
pub mod receiver;
pub mod results;
pub mod sandbox;
pub mod siem;
