//! alarmbell: the bridge from Prometheus Alertmanager to the group chats of DingTalk, WeCom and Feishu/Lark.

pub mod app;
pub mod channel;
pub mod cli;
pub mod clock;
pub mod config;
pub mod dispatch;
mod html;
pub mod http;
pub mod ingest;
pub mod migrate;
pub mod model;
pub mod pacing;
pub mod render;
pub mod routing;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod waiting;
