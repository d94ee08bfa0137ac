//! The statements of a copy.

use crate::store::copy::{BODIES, Bounds, Kind, Table};

pub(super) const STANDINGS: &str = "SELECT b.name, b.accepted, b.told_named, b.told_counted, b.superseded, b.dead, \
     (SELECT count(*) FROM alarmbell.heads h WHERE h.bot = b.id) FROM alarmbell.bots b ORDER BY b.id";

/// What the copied columns do not say. All of it may be done again.
pub(super) const COMPLETE: &str = "\
UPDATE alarmbell.bots b SET body_bytes = s.bytes
  FROM (SELECT bot, sum(octet_length(body)) AS bytes FROM alarmbell.bodies GROUP BY bot) s WHERE s.bot = b.id;
UPDATE alarmbell.bots b SET silent = s.heads
  FROM (SELECT bot, count(*) AS heads FROM alarmbell.heads WHERE status = 1 AND flags & 2 <> 0 GROUP BY bot) s
  WHERE s.bot = b.id;
UPDATE alarmbell.robots r SET attempts = s.last
  FROM (SELECT robot, max(id) AS last FROM alarmbell.attempts GROUP BY robot) s WHERE s.robot = r.id;";

/// Columns that count by themselves, and must go on behind what was copied.
pub(super) const COUNTING: [(&str, &str); 6] =
    [("bots", "id"), ("vias", "id"), ("bodies", "id"), ("robots", "id"), ("messages", "seq"), ("dead_letters", "id")];

/// Where rows come from: `x` is the table.
pub(super) fn from(table: &Table) -> String {
    match table.name {
        BODIES => format!("alarmbell.{BODIES} x WHERE EXISTS (SELECT 1 FROM alarmbell.heads h WHERE h.body = x.id)"),
        name => format!("alarmbell.{name} x WHERE true"),
    }
}

/// Rows behind a key, in its order, up to a bound of bytes beyond the first: the database counts, so that large ones never
/// leave it in vain.
pub(super) fn page(table: &Table, after: bool, bounds: Bounds) -> String {
    let key = table.key_names();
    let marks: Vec<String> = (1..=table.key).map(|n| format!("${n}")).collect();
    let behind = if after { format!("AND ({key}) > ({})", marks.join(", ")) } else { String::new() };
    let weights: Vec<String> = table
        .columns
        .iter()
        .filter(|column| matches!(column.kind, Kind::Text | Kind::Bytes))
        .map(|column| format!("coalesce(octet_length({}), 0)::bigint", column.name))
        .collect();
    let weight = if weights.is_empty() { "0::bigint".to_owned() } else { weights.join(" + ") };
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| match column.kind {
            Kind::Int => format!("{}::bigint", column.name),
            Kind::Bool => format!("{}::int::bigint", column.name),
            Kind::Text | Kind::Bytes => column.name.to_owned(),
        })
        .collect();
    format!(
        "SELECT {columns} FROM (SELECT *, sum({weight}) OVER (ORDER BY {key} ROWS BETWEEN UNBOUNDED PRECEDING AND 1 \
         PRECEDING) AS bytes_before FROM (SELECT x.* FROM {source} {behind} ORDER BY {key} LIMIT {rows}) p) q \
         WHERE bytes_before IS NULL OR bytes_before < {bytes} ORDER BY {key}",
        columns = columns.join(", "),
        source = from(table),
        rows = bounds.rows,
        bytes = bounds.bytes,
    )
}

/// One statement for a batch: a column is an array.
pub(super) fn insert(table: &Table) -> String {
    let names: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    let arrays: Vec<String> = table
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let of = match column.kind {
                Kind::Int | Kind::Bool => "bigint",
                Kind::Text => "text",
                Kind::Bytes => "bytea",
            };
            format!("${}::{of}[]", at + 1)
        })
        .collect();
    let values: Vec<String> = table
        .columns
        .iter()
        .map(|column| match column.kind {
            Kind::Bool => format!("r.{} <> 0", column.name),
            _ => format!("r.{}", column.name),
        })
        .collect();
    // The replica that made an attempt is gone.
    let (more, constants) = if table.name == "attempts" { (", owner, fence", ", '', 0") } else { ("", "") };
    let names = names.join(", ");
    format!(
        "INSERT INTO alarmbell.{} ({names}{more}) SELECT {}{constants} FROM unnest({}) AS r({names})",
        table.name,
        values.join(", "),
        arrays.join(", ")
    )
}
