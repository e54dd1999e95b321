//! Does a reply, as lines, match the lines of a transcript?

use super::file::{ANY_ORDER, CLOSED, NO_REPLY, UNTIL, WAITS};

/// Whether the line begins a reply (rather than being an element of one, or a modifier).
pub(super) fn is_reply_head(line: &str) -> bool {
    !line.starts_with(' ') && ![ANY_ORDER, CLOSED, NO_REPLY, UNTIL, WAITS].contains(&line)
}

/// Compares expected with actual lines. Modifiers apply to the reply that follows them.
pub(super) fn matches(expected: &[String], actual: &[String]) -> bool {
    let (mut wanted, mut got) = (expected, actual);
    let mut any_order = false;
    while let Some((line, rest)) = wanted.split_first() {
        match line.as_str() {
            ANY_ORDER => {
                any_order = true;
                wanted = rest;
            }
            UNTIL => wanted = rest,
            _ => {
                let (reply, after) = wanted.split_at(group_length(wanted));
                if got.is_empty() {
                    return false;
                }
                let (found, later) = got.split_at(group_length(got));
                if !reply_matches(reply, found, any_order) {
                    return false;
                }
                any_order = false;
                (wanted, got) = (after, later);
            }
        }
    }
    got.is_empty()
}

fn reply_matches(wanted: &[String], got: &[String], any_order: bool) -> bool {
    if any_order && wanted.len() > 1 {
        return wanted.first() == got.first() && unordered(&wanted[1..], &got[1..], is_map(&wanted[0]));
    }
    let Some(head) = wanted.first() else {
        return got.is_empty();
    };
    if !line_matches(head.trim_start(), got) {
        return false;
    }
    if is_form(head.trim_start()) {
        return true;
    }
    let (mut wanted, mut got) = (&wanted[1..], &got[1..]);
    while !wanted.is_empty() && !got.is_empty() {
        let (element, after) = wanted.split_at(group_length(wanted));
        let (found, later) = got.split_at(group_length(got));
        if !reply_matches(element, found, false) {
            return false;
        }
        (wanted, got) = (after, later);
    }
    wanted.is_empty() && got.is_empty()
}

fn unordered(wanted: &[String], got: &[String], pairs: bool) -> bool {
    let sorted = |lines| {
        let mut groups = groups(lines, pairs);
        groups.sort();
        groups
    };
    sorted(wanted) == sorted(got)
}

/// The elements of an array, or the pairs of a map, each with all of its lines.
fn groups(mut lines: &[String], pairs: bool) -> Vec<Vec<String>> {
    let mut groups = Vec::new();
    while !lines.is_empty() {
        let mut length = group_length(lines);
        if pairs && length < lines.len() {
            length += group_length(&lines[length..]);
        }
        let (group, rest) = lines.split_at(length);
        groups.push(group.to_vec());
        lines = rest;
    }
    groups
}

/// The first line and those that are indented deeper than it.
fn group_length(lines: &[String]) -> usize {
    let Some((first, rest)) = lines.split_first() else {
        return 0;
    };
    let depth = indentation(first);
    1 + rest.iter().take_while(|line| indentation(line) > depth).count()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn is_map(head: &str) -> bool {
    head.trim_start().starts_with('%')
}

/// Whether the line is a form that stands for a whole reply.
fn is_form(line: &str) -> bool {
    line == "(any)"
        || ["(integer ", "(error ", "(text "]
            .iter()
            .any(|form| line.starts_with(form))
}

fn line_matches(wanted: &str, got: &[String]) -> bool {
    let Some(first) = got.first() else { return false };
    let first = first.trim_start();
    let form = |name: &str| wanted.strip_prefix(name).and_then(|rest| rest.strip_suffix(')'));
    if wanted == "(any)" {
        return is_reply_head(first);
    }
    if let Some(range) = form("(integer ") {
        let bounds = range
            .split_once("..")
            .and_then(|(low, high)| Some((low.parse().ok()?, high.parse().ok()?)));
        let number: Option<i64> = first.strip_prefix(':').and_then(|number| number.parse().ok());
        return bounds
            .zip(number)
            .is_some_and(|((low, high), number): ((i64, i64), i64)| low <= number && number <= high);
    }
    if let Some(code) = form("(error ") {
        return first
            .strip_prefix('-')
            .is_some_and(|text| text == code || text.starts_with(&format!("{code} ")));
    }
    if let Some(part) = form("(text ") {
        return first.starts_with(['+', '"', '=']) && first.contains(part);
    }
    wanted == first
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(expected: &str, actual: &str) -> bool {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        matches(&lines(expected), &lines(actual))
    }

    #[test]
    fn replies_match_line_by_line() {
        assert!(check("*2\n  :1\n  *1\n    +a", "*2\n  :1\n  *1\n    +a"));
        assert!(!check("*2\n  :1\n  :2", "*2\n  :2\n  :1"));
        assert!(!check(":1", ":1\n:2"));
        assert!(!check(":1\n:2", ":1"));
    }

    #[test]
    fn forms_leave_room() {
        assert!(check("*2\n  (any)\n  (integer 1..5)", "*2\n  *1\n    :9\n  :5"));
        assert!(!check("(integer 1..5)", ":6"));
        assert!(check("(error ERR)", "-ERR whatever"));
        assert!(!check("(error ERR)", "-WRONGTYPE x"));
        assert!(check("(text b c)", "\"a b c\""));
        assert!(!check("(any)", "(closed)"));
    }

    #[test]
    fn any_order_compares_elements_as_wholes() {
        assert!(check(
            "(any order)\n*2\n  *1\n    :1\n  :2",
            "*2\n  :2\n  *1\n    :1"
        ));
        assert!(check(
            "(any order)\n%2\n  :1\n  :2\n  :3\n  :4",
            "%2\n  :3\n  :4\n  :1\n  :2"
        ));
        assert!(!check(
            "(any order)\n%2\n  :1\n  :2\n  :3\n  :4",
            "%2\n  :1\n  :4\n  :3\n  :2"
        ));
        assert!(check("(any order)\n*1\n  :1\n+x", "*1\n  :1\n+x"));
    }
}
