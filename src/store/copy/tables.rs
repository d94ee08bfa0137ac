//! What is copied: every table as rows that belong to no engine.

use serde::{Deserialize, Serialize};

/// Bits of a head's key in SQLite that hold its position; the bot's id is above them.
pub(in crate::store) const POS_BITS: u32 = 40;

/// A value of a row.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(in crate::store) enum Value {
    Null,
    Int(i64),
    Text(String),
    Bytes(Vec<u8>),
}

impl Value {
    /// Bytes of memory, about.
    fn weight(&self) -> usize {
        size_of::<Self>()
            + match self {
                Self::Null | Self::Int(_) => 0,
                Self::Text(text) => text.len(),
                Self::Bytes(bytes) => bytes.len(),
            }
    }
}

/// A row: the values of [`Table::columns`], in their order.
pub(in crate::store) type Row = Vec<Value>;

/// Bytes of memory, about.
pub(in crate::store) fn weight(row: &[Value]) -> usize {
    row.iter().map(Value::weight).sum()
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::store) enum Kind {
    Int,
    /// 0 or 1; a boolean in PostgreSQL.
    Bool,
    Text,
    Bytes,
}

/// A column.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct Column {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) kind: Kind,
}

/// A table. The first [`Table::key`] columns say which row it is; rows are read in their order.
#[derive(Debug)]
pub(in crate::store) struct Table {
    pub(in crate::store) name: &'static str,
    pub(in crate::store) key: usize,
    pub(in crate::store) columns: &'static [Column],
    /// Aggregates in the SQL of both engines that change when a server has worked with the table; cheap, and not a proof.
    pub(in crate::store) marks: &'static [&'static str],
}

impl Table {
    /// A row's key.
    pub(in crate::store) fn key_of(&self, row: &[Value]) -> Vec<Value> {
        row.iter().take(self.key).cloned().collect()
    }

    /// Names of the key's columns.
    pub(in crate::store) fn key_names(&self) -> String {
        let names: Vec<&str> = self.columns.iter().take(self.key).map(|column| column.name).collect();
        names.join(", ")
    }

    /// What a survey asks of the table: the number of its rows, then its marks.
    pub(in crate::store) fn survey(&self) -> String {
        let mut sql = "CAST(count(*) AS BIGINT)".to_owned();
        for mark in self.marks {
            sql.push_str(&format!(", CAST(coalesce({mark}, 0) AS BIGINT)"));
        }
        sql
    }
}

const fn int(name: &'static str) -> Column {
    Column { name, kind: Kind::Int }
}

const fn text(name: &'static str) -> Column {
    Column { name, kind: Kind::Text }
}

const fn bytes(name: &'static str) -> Column {
    Column { name, kind: Kind::Bytes }
}

/// Bodies that a head refers to; others are rubbish that clean-up has not met yet. Their bot is that of their first head.
pub(in crate::store) const BODIES: &str = "bodies";
/// What waits. SQLite has bot and position in one number.
pub(in crate::store) const HEADS: &str = "heads";
/// SQLite counts ids over all robots, PostgreSQL per robot.
pub(in crate::store) const ATTEMPTS: &str = "attempts";

/// All tables, in the order in which they are copied. Leases, views and what else only running replicas need stay.
pub(in crate::store) const TABLES: &[Table] = &[
    Table {
        name: "bots",
        key: 1,
        columns: &[
            int("id"),
            text("name"),
            int("accepted"),
            int("told_named"),
            int("told_counted"),
            int("superseded"),
            int("dead"),
            int("unannounced_dead"),
            text("fallback"),
            text("storm"),
        ],
        marks: &["sum(accepted)", "sum(told_named + told_counted + superseded + dead)", "sum(unannounced_dead)"],
    },
    Table { name: "vias", key: 1, columns: &[int("id"), text("text")], marks: &["max(id)"] },
    Table {
        name: "robots",
        key: 1,
        columns: &[
            int("id"),
            text("hash"),
            int("paused_until_ms"),
            int("failures"),
            int("failing_since_ms"),
            text("last_verdict"),
            int("last_verdict_ms"),
            text("reason"),
            text("remedy"),
        ],
        marks: &["max(last_verdict_ms)", "max(paused_until_ms)", "sum(failures)"],
    },
    Table {
        name: BODIES,
        key: 1,
        columns: &[int("id"), int("received_ms"), int("bot"), bytes("body")],
        marks: &["max(id)"],
    },
    Table {
        name: HEADS,
        key: 2,
        columns: &[
            int("bot"),
            int("pos"),
            int("body"),
            int("body_len"),
            int("idx"),
            int("fp"),
            int("grp"),
            int("status"),
            int("severity"),
            int("flags"),
            int("starts_ms"),
            int("ends_ms"),
            int("accepted_ms"),
            int("via"),
        ],
        marks: &["max(accepted_ms)"],
    },
    Table {
        name: "told",
        key: 2,
        columns: &[
            int("bot"),
            int("fp"),
            int("grp"),
            int("status"),
            int("starts_ms"),
            int("ends_ms"),
            int("accepted_ms"),
            int("told_ms"),
            int("message"),
        ],
        marks: &["max(told_ms)", "max(accepted_ms)", "sum(status)"],
    },
    Table {
        name: "messages",
        key: 1,
        columns: &[
            int("seq"),
            text("id"),
            int("bot"),
            int("robot"),
            text("kind"),
            int("grp"),
            int("at_ms"),
            text("verdict"),
            int("attempts"),
            Column { name: "open", kind: Kind::Bool },
            text("reason"),
            text("text"),
            text("alerts"),
            bytes("covers"),
            bytes("body"),
        ],
        marks: &["max(seq)", "sum(attempts)", "count(body)"],
    },
    Table {
        name: "message_parts",
        key: 2,
        columns: &[text("message"), int("part"), int("named"), int("counted"), text("alerts")],
        marks: &["sum(named)", "sum(counted)"],
    },
    Table { name: "unbegun", key: 1, columns: &[text("message"), int("since_ms")], marks: &["max(since_ms)"] },
    Table {
        name: ATTEMPTS,
        key: 2,
        columns: &[int("robot"), int("id"), int("message"), int("started_ms"), int("ended_ms"), text("verdict")],
        marks: &["max(started_ms)", "max(ended_ms)", "count(ended_ms)"],
    },
    Table {
        name: "dead_letters",
        key: 1,
        columns: &[
            int("id"),
            int("bot"),
            int("pos"),
            int("at_ms"),
            int("via"),
            int("grp"),
            int("severity"),
            text("reason"),
            text("alert"),
            bytes("body"),
        ],
        marks: &["max(id)"],
    },
];

/// A column of a table.
pub(in crate::store) fn column(table: &Table, name: &str) -> Option<usize> {
    table.columns.iter().position(|column| column.name == name)
}
