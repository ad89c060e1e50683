//! Stories of the whole system.

mod agent_restart;
mod api_schema;
mod audit_source;
mod backup;
mod bad_input;
mod code_pages;
mod controller_audit;
mod crash;
mod destinations;
mod examples;
mod exit_records;
mod fleet;
mod foreign_opamp;
mod formats;
mod identity;
mod inspect;
mod journal_codes;
mod layering;
mod lease;
mod licence;
mod planner;
mod policy_as_code;
mod receivers;
mod rollout;
mod scale;
mod stolen_controller;
