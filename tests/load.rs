//! `rdbkit load`: what arrives in real servers, and what is said of what does not.

use crate::server::{Way, rebuilds};

#[test]
fn redis_7_0_gets_what_it_loads_from_the_dump() {
    rebuilds("redis-7.0.15", &["redis-7.0.15"], &Way::LOADS);
}

#[test]
fn redis_8_10_gets_what_it_loads_from_the_dump() {
    rebuilds("redis-8.10.2", &["redis-8.10.2"], &Way::LOADS);
}

#[test]
fn valkey_9_1_gets_what_it_loads_from_the_dump() {
    rebuilds("valkey-9.1.2", &["valkey-9.1.2"], &Way::LOADS);
}
