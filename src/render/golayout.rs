//! Go writes a time's layout as an example, the 2nd of January 2006 at 15:04:05 in a zone 7 hours behind; templates here
//! use strftime. Source: <https://pkg.go.dev/time#pkg-constants>.

/// Go's signs, longer ones before those they begin with, and their counterparts; `None` where there is none.
const SIGNS: &[(&str, Option<&str>)] = &[
    ("January", Some("%B")),
    ("Jan", Some("%b")),
    ("Monday", Some("%A")),
    ("Mon", Some("%a")),
    ("MST", Some("%Z")),
    ("2006", Some("%Y")),
    ("-07:00:00", None),
    ("-070000", None),
    ("-07:00", Some("%:z")),
    ("-0700", Some("%z")),
    ("-07", None),
    ("Z07:00:00", None),
    ("Z070000", None),
    // "Z" instead of "+00:00" for UTC is the same moment.
    ("Z07:00", Some("%:z")),
    ("Z0700", Some("%z")),
    ("Z07", None),
    ("002", Some("%j")),
    ("01", Some("%m")),
    ("02", Some("%d")),
    ("03", Some("%I")),
    ("04", Some("%M")),
    ("05", Some("%S")),
    ("06", Some("%y")),
    ("15", Some("%H")),
    ("__2", None),
    ("_2006", Some("_%Y")),
    ("_2", Some("%e")),
    ("PM", Some("%p")),
    ("pm", Some("%P")),
    ("1", Some("%-m")),
    ("2", Some("%-d")),
    ("3", Some("%-I")),
    ("4", Some("%-M")),
    ("5", Some("%-S")),
];

/// The same layout for strftime.
///
/// # Errors
/// The first sign that has no counterpart.
pub fn strftime(layout: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut rest = layout;
    while let Some(c) = rest.chars().next() {
        if let Some((length, sign)) = fraction(rest, &out) {
            out.push_str(&sign);
            rest = rest.get(length..).unwrap_or_default();
            continue;
        }
        // "Januaryish" is no month; Go looks at what follows "Jan" in the same way.
        let small =
            |sign: &str| rest.get(sign.len()..).is_some_and(|r| r.starts_with(|c: char| c.is_ascii_lowercase()));
        let found = SIGNS.iter().find(|(sign, _)| rest.starts_with(sign) && !(*sign == "Jan" && small(sign)));
        match found {
            Some((sign, Some(own))) => {
                out.push_str(own);
                rest = rest.get(sign.len()..).unwrap_or_default();
            }
            Some((sign, None)) => return Err((*sign).to_owned()),
            None => {
                out.push(c);
                if c == '%' {
                    out.push('%');
                }
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    Ok(out)
}

/// `.000` or `,999` behind seconds, not followed by another digit: how many digits of a second.
fn fraction(rest: &str, before: &str) -> Option<(usize, String)> {
    if !before.ends_with('S') {
        return None;
    }
    let digits = rest.strip_prefix(['.', ','])?;
    let first = digits.chars().next().filter(|c| matches!(c, '0' | '9'))?;
    let count = digits.chars().take_while(|c| *c == first).count();
    let ends = !digits.get(count..)?.starts_with(|c: char| c.is_ascii_digit());
    let point = rest.get(..1)?;
    (ends && count <= 9).then(|| (count + 1, format!("{point}%{count}f")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layouts() {
        for (go, own) in [
            ("2006-01-02 15:04:05", "%Y-%m-%d %H:%M:%S"),
            ("2006.01.02 15:04:05", "%Y.%m.%d %H:%M:%S"),
            ("2006-01-02T15:04:05Z07:00", "%Y-%m-%dT%H:%M:%S%:z"),
            ("Mon, 02 Jan 2006 15:04:05 MST", "%a, %d %b %Y %H:%M:%S %Z"),
            ("Monday, January 2 at 3:04PM", "%A, %B %-d at %-I:%M%p"),
            ("2006年1月2日 15时04分", "%Y年%-m月%-d日 %H时%M分"),
            ("15:04:05.000", "%H:%M:%S.%3f"),
            ("06/1/_2 -0700 100%", "%y/%-m/%e %z %-m00%%"),
            ("", ""),
        ] {
            assert_eq!(strftime(go).as_deref(), Ok(own), "{go}");
        }
        assert_eq!(strftime("15 -07"), Err("-07".to_owned()));
    }
}
