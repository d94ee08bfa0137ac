//! The whole program from the outside: the real binary, strict robots, and what the chats show.
//!
//! Each test has a server, a storage and robots of its own. Windows are a few seconds long; nothing sleeps to wait.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]
#![allow(unreachable_pub, reason = "the harness is shared by binaries")]

mod support;

mod commands;
mod fuzz;
mod keep;
mod kill;
mod layering;
mod merge;
mod network;
mod pace;
mod receive;
mod relief;
mod reload;
mod render;
mod route;
mod secrets;
mod storage;
mod verdicts;
mod watch;
